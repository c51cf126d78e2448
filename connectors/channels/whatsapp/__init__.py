"""WhatsApp Cloud API: messages of people in, answers, files and templates out, receipts back.

(https://developers.facebook.com/docs/whatsapp/cloud-api.) Free text may go to a person for 24 hours after their last
message; later a template that Meta approved is sent if one is configured, else the delivery is refused by name.

Nothing says whether a message arrived that went out without an answer: it is tried again and flagged (class C). Its
statuses name our own key, though, so the journey shows what became of it.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import parse_qs, quote, urlsplit

import msgspec
from msgspec import Struct

from connectors.channels.whatsapp import webhooks
from connectors.channels.whatsapp.errors import raise_for
from connectors.channels.whatsapp.settings import WhatsAppSettings
from connectors.channels.whatsapp.webhooks import Way
from plugins import (
    Answer,
    Attempt,
    Call,
    Capabilities,
    Channel,
    Connector,
    Done,
    Egress,
    Envelope,
    Finding,
    Identity,
    Item,
    MediaRef,
    NotAuthentic,
    Outgoing,
    Pause,
    Refuse,
    Reply,
    Request,
    Retry,
    Step,
    Uncertain,
    hmac_verify,
    hookimpl,
    multipart,
    one_line,
    split_text,
    token_verify,
    unwell,
    utf16_units,
)

MAX_TEXT = 4096  # "text object"; characters of a kind that Meta does not name: UTF-16 units are never fewer
MAX_PARAMETER = 1024  # "template messages": a body with its parameters
WINDOW = 24 * 3600  # seconds, "customer service windows"
MAX_BODY = 4 << 20  # bytes of a notification; Meta sends up to 3 MB
_ANSWERED = (400, 401, 403, 404, 413, 429)
_USER_ID = re.compile(r"[A-Z]{2}\.(?:ENT\.)?[A-Za-z0-9]{1,128}")
_MB = 1 << 20
MAX_FILE = 100 * _MB  # documents are the longest
_OFFICE = "application/vnd.openxmlformats-officedocument."
_MEDIA: Mapping[str, tuple[str, int]] = {  # "Supported media types"
    **dict.fromkeys(("image/jpeg", "image/png"), ("image", 5 * _MB)),
    **dict.fromkeys(("audio/aac", "audio/amr", "audio/mpeg", "audio/mp4", "audio/ogg"), ("audio", 16 * _MB)),
    **dict.fromkeys(("video/mp4", "video/3gpp"), ("video", 16 * _MB)),
    **dict.fromkeys(
        (
            "text/plain", "application/pdf", "application/msword", "application/vnd.ms-excel",
            "application/vnd.ms-powerpoint", f"{_OFFICE}wordprocessingml.document",
            f"{_OFFICE}spreadsheetml.sheet", f"{_OFFICE}presentationml.presentation",
        ),
        ("document", 100 * _MB),
    ),
}  # fmt: skip


class _Part(Struct, frozen=True, omit_defaults=True):
    """A step's body: a part of the text, or a file."""

    way: Way
    echo: str
    """Our own key, which statuses repeat."""
    text: str = ""
    reference: str = ""
    answers: str = ""
    file: MediaRef | None = None


class _Id(Struct, frozen=True):
    id: str


class _Sent(Struct, frozen=True):
    messages: tuple[_Id, ...]


class _Stored(Struct, frozen=True):
    """A file at Meta."""

    url: str
    sha256: str = ""


class WhatsAppConnector:
    """A number of the WhatsApp Business Platform."""

    contract: ClassVar[int] = 1
    kind: ClassVar[str] = "whatsapp"
    settings_type: ClassVar[type[WhatsAppSettings]] = WhatsAppSettings
    isolate: ClassVar[bool] = False
    channel: ClassVar[Channel] = "social"
    capabilities = Capabilities(
        max_text=MAX_TEXT,
        media=True,
        max_media=MAX_FILE,
        sends_to=frozenset({"whatsapp"}),
        verbs=frozenset({"receipts"}),
        max_body=MAX_BODY,
        rates=(("lane", 45, 270.0), ("instance", 80, 1.0)),  # to one person one in 6 seconds, 45 at once
    )
    accepted = Reply()

    def __init__(self, instance: str, settings: WhatsAppSettings) -> None:  # the contract's arguments
        self._settings = settings

    def verify(self, request: Request) -> Envelope | Reply:
        """A POST is signed; a GET with our own word is the set-up of the webhook, and its challenge is repeated."""
        if request.method == "GET":
            return self._challenge(request)
        hmac_verify(request.header("x-hub-signature-256"), request.body, [self._settings.app_secret])
        if request.method != "POST":
            return Reply(status=405, headers=(("Allow", "GET, POST"),))
        return webhooks.envelope(request.body, request.at)

    def _challenge(self, request: Request) -> Reply:
        try:
            asked = parse_qs(urlsplit(request.url).query, max_num_fields=20, errors="strict")
        except ValueError:
            raise NotAuthentic("the question can't be read") from None
        token_verify(asked.get("hub.verify_token", [""])[0], [self._settings.verify_token])
        return Reply(body=asked.get("hub.challenge", [""])[0].encode())

    def parse(self, envelope: Envelope) -> Iterator[Item]:
        """Messages, edits, receipts and facts; kinds that we don't read are skipped with their name."""
        return webhooks.items(envelope, self._settings.phone_number_id)

    def plan(self, work: Outgoing) -> Sequence[Step]:
        """A step for each part of the text and for each file, in this order."""
        way = msgspec.json.decode(work.reply_via, type=Way) if work.reply_via else _way(work.to)
        answers = next((key for key in work.replies_to if key.startswith("wamid.")), "")
        parts = [
            _Part(way, work.key, text, work.reference, answers if n == 0 else "")
            for n, text in enumerate(split_text(work.text, MAX_TEXT, utf16_units))
        ]
        files = [_Part(way, work.key, file=each) for each in work.media]
        for each in work.media:
            _kind(each)
        return [
            Step(kind=_kind(part.file) if part.file else "text", body=msgspec.json.encode(part))
            for part in (*parts, *files)
        ]

    def place(self, step: Step) -> str:
        """The person, in however many matters."""
        way = msgspec.json.decode(step.body, type=_Part).way
        return way.to or way.user

    async def perform(self, step: Step, attempt: Attempt) -> Done:
        """One message: the text or file inside the window, the template outside."""
        part = msgspec.json.decode(step.body, type=_Part)
        if part.way.last and attempt.clock.now().timestamp() - part.way.last >= WINDOW:
            return await self._send(part, self._template(part, "it is over 24 hours old"), attempt)
        try:
            return await self._send(part, await self._content(part, attempt), attempt)
        except Refuse as refused:
            if refused.code != "window_closed" or self._settings.template is None:
                raise
            why = str(refused)
        return await self._send(part, self._template(part, why), attempt)

    async def _content(self, part: _Part, attempt: Attempt) -> dict[str, Any]:
        if part.file is None:
            return {"type": "text", "text": {"body": part.text, "preview_url": False}}
        file, kind = part.file, _kind(part.file)
        form = {"messaging_product": "whatsapp", "type": file.type}
        media_type, body = multipart(form, [("file", file.name, file.type, await attempt.blob(file.sha256))])
        url = f"{self._base}/{self._settings.phone_number_id}/media"
        headers = {"content-type": media_type, "authorization": self._bearer}
        # No person sees an upload, and unused ones are forgotten after 30 days: twice does no harm.
        call = Call(method="POST", url=url, headers=headers, body=body, effect=False)
        stored = _read(await attempt.call(call, expect=_ANSWERED), _Id)
        return {"type": kind, kind: {"id": stored.id} | ({"filename": file.name} if kind == "document" else {})}

    def _template(self, part: _Part, why: str) -> dict[str, Any]:
        template = self._settings.template
        if template is None:
            raise Refuse("window_closed", f"{why}; no template is configured")
        if part.file is not None:
            raise Refuse("window_closed", f"{why}; templates carry no files of ours")
        values = {"reference": part.reference, "text": " ".join(part.text.split())}  # line ends are refused there
        if len(values["text"]) > MAX_PARAMETER:
            raise Refuse("too_long", f"{why}, and a template takes {MAX_PARAMETER} characters")
        parameters = [{"type": "text", "text": values[name] or "-"} for name in template.parameters]
        body = {"type": "body", "parameters": parameters}
        language = {"code": template.language}
        return {"type": "template", "template": {"name": template.name, "language": language, "components": [body]}}

    async def _send(self, part: _Part, content: Mapping[str, Any], attempt: Attempt) -> Done:
        message: dict[str, Any] = {"messaging_product": "whatsapp", "recipient_type": "individual", **content}
        message |= {"to": part.way.to} if part.way.to else {"recipient": part.way.user}
        message["biz_opaque_callback_data"] = part.echo
        if part.answers and content["type"] != "template":
            message["context"] = {"message_id": part.answers}
        url = f"{self._base}/{self._settings.phone_number_id}/messages"
        headers = {"content-type": "application/json", "authorization": self._bearer}
        call = Call(method="POST", url=url, headers=headers, body=msgspec.json.encode(message))
        sent = _read(await attempt.call(call, expect=_ANSWERED), _Sent, Uncertain)
        if not sent.messages:
            raise Uncertain("the answer names no message")
        return Done(ref=sent.messages[0].id, objects=tuple(each.id for each in sent.messages))

    async def find(self, step: Step, attempt: Attempt) -> Sequence[Done]:  # nothing can be asked
        """The Cloud API lists no messages: a second try is flagged by the hub."""
        return ()

    async def fetch(self, ref: str, egress: Egress) -> bytes:
        """Two steps: the id gives an address for five minutes, and that the bytes, both for the token alone.

        Raises: Retry if the bytes are not those that Meta has hashed.
        """
        url = f"{self._base}/{quote(ref, safe='')}?phone_number_id={self._settings.phone_number_id}"
        headers = {"authorization": self._bearer}
        stored = _read(await egress.call(Call(method="GET", url=url, headers=headers), expect=_ANSWERED), _Stored)
        if not stored.url.startswith(("https://", self._settings.api_url)):
            raise Refuse("content_refused", "the file's address is not one of Meta's")
        data = (await egress.call(Call(method="GET", url=stored.url, headers=headers, longest=MAX_FILE))).body
        if _digest(stored.sha256) not in (b"", hashlib.sha256(data).digest()):
            raise Retry("the file differs from what WhatsApp has hashed")
        return data

    async def check(self, egress: Egress) -> Sequence[Finding]:
        """Is the token good for this number?"""
        url = f"{self._base}/{self._settings.phone_number_id}?fields=display_phone_number,verified_name"
        call = Call(method="GET", url=url, headers={"authorization": self._bearer})
        try:
            found = _read(await egress.call(call, expect=_ANSWERED), dict[str, Any])
        except (Pause, Refuse, Retry, Uncertain) as error:
            fix = "make a token of a system user with whatsapp_business_messaging, and look at phone_number_id"
            return (unwell("WhatsApp", error, fix),)
        number = f"{found.get('display_phone_number', '?')} ({found.get('verified_name', '?')})"
        return (Finding(ok=True, what=f"the token is good for {number}"),)

    @property
    def _base(self) -> str:
        return f"{self._settings.api_url}/{self._settings.version}"

    @property
    def _bearer(self) -> Any:
        return self._settings.token.wrap("Bearer {}")


def _read(answer: Answer, kind: Any, unreadable: type[Pause | Uncertain] = Pause) -> Any:
    """The answer if it is good, else the error with its name; `unreadable` for a page that is none of WhatsApp's."""
    if answer.status >= 400:
        raise_for(answer)
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise unreadable("the answer is none of WhatsApp's: is something in between?") from None


def _way(identity: Identity) -> Way:
    """Without an earlier message of theirs; then Meta itself knows whether the window is open."""
    value = identity.value
    if identity.scheme == "whatsapp" and value.isascii() and value.isdecimal():
        return Way(to=value)
    if identity.scheme == "whatsapp" and _USER_ID.fullmatch(value):
        return Way(user=value)
    raise Refuse("recipient_unknown", "no number and no user id of WhatsApp")


def _kind(file: MediaRef) -> str:
    """The kind of message that carries the file. Raises Refuse before anything is sent."""
    kind, limit = _MEDIA.get(file.type, ("", 0))
    if not kind:
        raise Refuse("media_unsupported", one_line(f"WhatsApp takes no {file.type}", 200))
    if file.size > limit:
        raise Refuse("media_too_large", f"as {kind} WhatsApp takes up to {limit >> 20} MB")
    return kind


def _digest(said: str) -> bytes:
    """Meta writes it in hex here and in base64 there; b"" for neither."""
    try:
        found = bytes.fromhex(said) if len(said) == 64 else base64.b64decode(said, validate=True)
    except (ValueError, binascii.Error):
        return b""
    return found if len(found) == 32 else b""


@hookimpl
def register_connectors() -> Sequence[type[Connector]]:
    """Kind `whatsapp`."""
    return [WhatsAppConnector]
