"""The portal's form: a plain HTML form that `hub/web` shows and this connector takes.

Fields, as multipart/form-data or urlencoded: `submission` first (hidden, random, new for each showing of the form:
the delivery's key, so that a double click is one message), `name`, `email`, `subject`, `message`, `category`,
`attachments` (files), and `website`: hidden from people, so that only a machine fills it in. Further fields are
kept as they are, for rules.

Nothing that a person sent is lost for a mistake in it: without a usable address the message hangs on an identity of
this submission alone; a filled `website` marks the message as automatic: recorded, but never answered; of a
form that breaks off, what came is the message, and its field `limits` says so. A form without any content is skipped
with that reason; its bytes stay. What is no form at all (no browser sends it) is refused with a page that says so, and
nothing is kept: a stranger's garbage is not put before a person.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from typing import ClassVar, NamedTuple
from urllib.parse import parse_qsl, quote, urlsplit

from msgspec import Struct
from multipart import MultipartSegment, PushMultipartParser, parse_options_header

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
    one_line,
)

_LIMIT = 25 << 20  # bytes of a whole submission, attachments included
_TEXT_LIMIT = 256 << 10  # bytes of an urlencoded form, which has no files: decoding one of 25 MB takes half a minute
_PARTS = 100
_WINDOW = 64 << 10  # bytes in which a form must show that it is one, and its submission id
_SUBMISSION = re.compile(r"[A-Za-z0-9_-]{16,64}")
_SUBMISSION_PAIR = re.compile(rb"(?:^|&)submission=([A-Za-z0-9_-]{16,64})(?:&|$)")
_ADDRESS = re.compile(r"[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f]{1,255}")
_LINE = 1000  # characters of a subject or name
_PAGE = (
    b'<!doctype html><html lang="en"><meta charset="utf-8"><title>Not sent</title>'
    b"<h1>Your message was not sent</h1><p>Nothing was kept: {}. Please go back and send it again.</p></html>\n"
)
_TRAP = "website"
_OWN = frozenset({"submission", "name", "email", "subject", "message", _TRAP})


class PortalSettings(Struct, frozen=True, kw_only=True):
    """Kind `portal` has no settings of its own."""


class _Form(NamedTuple):
    fields: dict[str, str]
    files: tuple[Media, ...]
    broken: str = ""
    """Why it could not be read to its end."""


class PortalConnector:
    """Form posts in. Answers go by mail, over another instance: this one has no way back."""

    contract: ClassVar[int] = 1
    kind: ClassVar[str] = "portal"
    settings_type: ClassVar[type[PortalSettings]] = PortalSettings
    isolate: ClassVar[bool] = True  # anybody may send a form, of any size
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
        if wrong := _wrong(request.body, content_type):
            return Reply(status=400, type="text/html; charset=utf-8", body=_PAGE.replace(b"{}", wrong.encode()))
        digest = _digest(request.body, content_type)
        key = _submission(request.body, content_type) or digest.hex()
        facts = {"type": content_type, "id": key}
        return Envelope(key=key, raw=request.body, at=request.at, lane=key, facts=facts, fingerprint=digest)

    async def respond(self, envelope: Envelope, received: Received, desk: Desk) -> Reply:  # the receipt says all
        """To the page of the receipt: reloading that repeats nothing (303, RFC 9110 §15.4.4)."""
        return Reply(status=303, headers=(("Location", f"/portal/receipt/{quote(received.receipt, safe='')}"),))

    def parse(self, envelope: Envelope) -> Iterator[Item]:
        """One message."""
        content_type = envelope.facts.get("type", "")
        if wrong := _wrong(envelope.raw, content_type):
            yield Skipped(reason=f"not a form: {wrong}", park=True)
            return
        form = _read(envelope.raw, content_type)
        fields, key = form.fields, envelope.facts.get("id") or envelope.key
        text, subject = fields.get("message", ""), one_line(fields.get("subject", ""))
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
            fields=self._others(form),
            media=form.files,
        )

    def _others(self, form: _Form) -> dict[str, str]:
        """All that has no place of its own in the message: an address or a subject that is none stays readable here."""
        kept = {name: value for name, value in form.fields.items() if value and self._kept(name, value)}
        return kept | ({"limits": f"form broken off: {form.broken}"} if form.broken else {})

    def _kept(self, name: str, value: str) -> bool:
        if name == "email":
            return not _ADDRESS.fullmatch(value)
        return name not in _OWN or name == _TRAP or (name in ("subject", "name") and len(value) > _LINE)

    def _sender(self, fields: dict[str, str], key: str) -> Claim:
        """Who fills in a form can claim any address: A0."""
        name, address = one_line(fields.get("name", "")), fields.get("email", "")
        if not _ADDRESS.fullmatch(address):
            return Claim(identity=Identity(scheme="portal", value=f"{self._instance}:{key}"[:1024]), name=name)
        return Claim(identity=Identity(scheme="email", value=address), name=name)


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


def _wrong(raw: bytes, content_type: str) -> str:
    """Why this can't be a form, in words for whoever sent it; "" if it may be one. Cheap: the beginning tells."""
    boundary = _boundary(content_type)
    if boundary:
        return "" if _opens(raw[:_WINDOW], boundary) else "the form that was sent could not be read"
    if content_type.partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        return "what was sent is not a form"
    if len(raw) > _TEXT_LIMIT:
        return f"a form of this kind may hold {_TEXT_LIMIT >> 10} KiB; long texts and files go as multipart/form-data"
    return "" if raw.count(b"&") < _PARTS else f"a form may have {_PARTS} fields"


def _opens(raw: bytes, boundary: str) -> bool:
    try:
        return any(isinstance(event, MultipartSegment) for event in _events(raw, boundary))
    except ValueError:  # multipart's errors are
        return False


def _events(raw: bytes, boundary: str) -> Iterator[MultipartSegment | bytes | bytearray | None]:
    """The parts of a multipart body, each with its pieces. Raises ValueError where it is at fault or not whole."""
    with PushMultipartParser(boundary, max_segment_count=_PARTS) as parser:
        for at in range(0, len(raw), _WINDOW):
            yield from parser.parse(raw[at : at + _WINDOW])


def _submission(raw: bytes, content_type: str) -> str:
    """The hidden id, "" if absent. It stands first in the form, so its beginning is enough to find it."""
    boundary = _boundary(content_type)
    if not boundary:
        found = _SUBMISSION_PAIR.search(raw[:_WINDOW])
        return found[1].decode() if found else ""
    value = _read_multipart(raw[:_WINDOW], boundary).fields.get("submission", "")
    return value if _SUBMISSION.fullmatch(value) else ""


def _read(raw: bytes, content_type: str) -> _Form:
    """Fields by name (the first of a name counts) and files."""
    boundary = _boundary(content_type)
    if boundary:
        return _read_multipart(raw, boundary)
    pairs = parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True)
    return _Form({name: _text(value) for name, value in reversed(pairs)}, ())


def _read_multipart(raw: bytes, boundary: str) -> _Form:
    """Whatever can be read: a part that breaks off counts as far as it came."""
    parts: list[tuple[MultipartSegment, list[bytes | bytearray]]] = []
    broken = ""
    try:
        for event in _events(raw, boundary):
            if isinstance(event, MultipartSegment):
                parts.append((event, []))
            elif event:
                parts[-1][1].append(event)
    except ValueError as error:
        broken = str(error)[:500]
    fields: dict[str, str] = {}
    files: list[Media] = []
    for part, pieces in parts:
        data = b"".join(pieces)
        if part.filename is None:
            fields.setdefault(part.name, _text(data.decode("utf-8", "replace")))
        elif data or part.filename:  # an empty file input is sent too, without a name
            files.append(Media(name=one_line(part.filename), type=one_line(part.content_type or ""), data=data))
    return _Form(fields, tuple(files), broken)


def _text(value: str) -> str:
    return value.replace("\r\n", "\n").strip()


@hookimpl
def register_connectors() -> Sequence[type[Connector]]:
    """Kind `portal`."""
    return [PortalConnector]
