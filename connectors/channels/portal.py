"""The portal's form: a plain HTML form that `hub/web` shows and this connector takes.

Fields, as multipart/form-data or urlencoded: `submission` first (hidden, random, new for each showing of the form:
the delivery's key, so that a double click is one message), `name`, `email`, `subject`, `message`, `category`,
`attachments` (files), and `website`: hidden from people, so that only a machine fills it in. Further fields are
kept as they are, for rules.

Nothing that a person sent is lost for a mistake in it: without a usable address the message hangs on an identity of
this submission alone; a filled `website` marks the message as automatic, so that it is recorded but never answered.
A form without any content is skipped with that reason; its bytes stay.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import ClassVar, NamedTuple
from urllib.parse import parse_qsl, quote, urlsplit

from msgspec import Struct
from multipart import MultipartParser, parse_options_header

from plugins import (
    Capabilities,
    Channel,
    Claim,
    Connector,
    Desk,
    Envelope,
    Identity,
    Item,
    Media,
    Message,
    NotAuthentic,
    Received,
    Reply,
    Request,
    Skipped,
    hookimpl,
)

_LIMIT = 25 << 20  # bytes of a whole submission, attachments included
_TEXT_LIMIT = 256 << 10  # bytes of an urlencoded form, which has no files: decoding one of 25 MB takes half a minute
_PARTS = 100
_SUBMISSION = re.compile(r"[A-Za-z0-9_-]{16,64}")
_SUBMISSION_PAIR = re.compile(rb"(?:^|&)submission=([A-Za-z0-9_-]{16,64})(?:&|$)")
_ADDRESS = re.compile(r"[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f]{1,255}")
_TRAP = "website"
_OWN = frozenset({"submission", "name", "email", "subject", "message", _TRAP})


class PortalSettings(Struct, frozen=True, kw_only=True):
    """Kind `portal` has no settings of its own."""


class _Form(NamedTuple):
    fields: dict[str, str]
    files: tuple[Media, ...]


class PortalConnector:
    """Form posts in. Answers go by mail, over another instance: this one has no way back."""

    contract: ClassVar[int] = 1
    kind: ClassVar[str] = "portal"
    settings_type: ClassVar[type[PortalSettings]] = PortalSettings
    isolate: ClassVar[bool] = False
    channel: ClassVar[Channel] = "portal"
    capabilities = Capabilities(media=True, max_media=_LIMIT, max_body=_LIMIT)
    accepted = Reply(body=b"Your message has been received.\n")

    def __init__(self, instance: str, settings: PortalSettings) -> None:  # the contract's arguments
        self._instance = instance

    def verify(self, request: Request) -> Envelope | Reply:
        """Refuses what another site sends from a visitor's browser; stores everything else, readable or not."""
        if request.method != "POST":
            return Reply(status=405, headers=(("Allow", "POST"),))
        _same_site(request)
        # a header may hold bytes that are no text; facts must be
        content_type = request.header("content-type")[:1000].encode("utf-8", "replace").decode()
        digest = _digest(request.body, content_type)
        key = _submission(request.body, content_type) or digest.hex()
        facts = {"type": content_type, "id": key}
        return Envelope(key=key, raw=request.body, at=request.at, lane=key, facts=facts, fingerprint=digest)

    async def respond(self, envelope: Envelope, received: Received, desk: Desk) -> Reply:  # the receipt says all
        """To the page of the receipt: reloading that repeats nothing (303, RFC 9110 §15.4.4)."""
        return Reply(status=303, headers=(("Location", f"/portal/receipt/{quote(received.receipt, safe='')}"),))

    def parse(self, envelope: Envelope) -> Iterator[Item]:
        """One message."""
        try:
            form = _read(envelope.raw, envelope.facts.get("type", ""))
        except ValueError as error:  # multipart's errors are ValueErrors, as are those of decoding
            yield Skipped(reason=f"not a form: {str(error)[:500]}", park=True)
            return
        fields, key = form.fields, envelope.facts.get("id") or envelope.key
        text, subject = fields.get("message", ""), " ".join(fields.get("subject", "").split())
        if not (text or subject or form.files):
            yield Skipped(reason="the form was sent without a message, subject or file")
            return
        yield Message(
            key=key,
            sender=self._sender(fields, key),
            at=envelope.at,
            text=text,
            subject=subject,
            kind="form",
            automatic="bulk" if fields.get(_TRAP) else "",
            fields={name: value for name, value in fields.items() if value and self._kept(name, value)},
            media=form.files,
        )

    def _kept(self, name: str, value: str) -> bool:
        """All that has no place of its own in the message: an address that is none stays readable here."""
        return name not in _OWN or name == _TRAP or (name == "email" and not _ADDRESS.fullmatch(value))

    def _sender(self, fields: dict[str, str], key: str) -> Claim:
        """Who fills in a form can claim any address: A0."""
        name, address = " ".join(fields.get("name", "").split())[:1024], fields.get("email", "")
        if not _ADDRESS.fullmatch(address):
            return Claim(identity=Identity(scheme="portal", value=f"{self._instance}:{key}"[:1024]), name=name)
        local, _, domain = address.rpartition("@")
        return Claim(identity=Identity(scheme="email", value=f"{local}@{domain.lower()}"), name=name)


def _same_site(request: Request) -> None:
    """Sec-Fetch-Site decides where the browser sends it, else Origin; neither: no browser, so nobody is tricked."""
    site, origin = request.header("sec-fetch-site"), request.header("origin")
    ours = urlsplit(request.url)
    if site not in {"", "same-origin", "none"} or (not site and origin not in {"", f"{ours.scheme}://{ours.netloc}"}):
        raise NotAuthentic("the form was sent by another site")


def _boundary(content_type: str) -> str:
    """The boundary of a multipart form, "" for other content."""
    kind, options = parse_options_header(content_type)
    return options.get("boundary", "") if kind == "multipart/form-data" else ""


def _digest(raw: bytes, content_type: str) -> bytes:
    """Of the content: browsers draw a new boundary each time the same form is sent.

    Theirs are longer than 15 characters; a short one could stand in the body millions of times.
    """
    boundary = _boundary(content_type).encode()
    return hashlib.sha256(raw.replace(boundary, b"") if len(boundary) > 15 else raw).digest()


def _submission(raw: bytes, content_type: str) -> str:
    """The hidden id, "" if absent. It stands first in the form, so 64 KiB are enough to find it."""
    boundary = _boundary(content_type)
    if not boundary:
        found = _SUBMISSION_PAIR.search(raw[: 1 << 16])
        return found[1].decode() if found else ""
    try:
        for part in MultipartParser(BytesIO(raw[: 1 << 16]), boundary, part_limit=_PARTS):
            if part.name == "submission":
                value = part.raw.decode()
                return value if _SUBMISSION.fullmatch(value) else ""
    except ValueError:
        pass  # cut off or broken before it: parse tells the reason
    return ""


def _read(raw: bytes, content_type: str) -> _Form:
    """Fields by name (the first of a name counts) and files.

    Raises:
        ValueError: this is no form, or one beyond the limits.
    """
    boundary = _boundary(content_type)
    if boundary:
        return _read_multipart(raw, boundary)
    if content_type.partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise ValueError("its content type is neither multipart/form-data nor urlencoded")
    if len(raw) > _TEXT_LIMIT:
        raise ValueError(f"an urlencoded form holds {_TEXT_LIMIT} bytes, this one {len(raw)}")
    pairs = parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=_PARTS)
    return _Form({name: _text(value) for name, value in reversed(pairs)}, ())


def _read_multipart(raw: bytes, boundary: str) -> _Form:
    fields: dict[str, str] = {}
    files: list[Media] = []
    # spooling to disk is kept out of a pure parse: the body is in memory already
    for part in MultipartParser(BytesIO(raw), boundary, part_limit=_PARTS, spool_limit=_LIMIT, memory_limit=_LIMIT):
        if part.filename is None:
            fields.setdefault(part.name, _text(part.raw.decode("utf-8", "replace")))
        elif part.raw or part.filename:  # an empty file input is sent too, without a name
            files.append(Media(name=part.filename[:1024], type=(part.content_type or "")[:1024], data=part.raw))
    return _Form(fields, tuple(files))


def _text(value: str) -> str:
    return value.replace("\r\n", "\n").strip()


@hookimpl
def register_connectors() -> Sequence[type[Connector]]:
    """Kind `portal`."""
    return [PortalConnector]
