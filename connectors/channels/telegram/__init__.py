"""Telegram bots: messages of private chats and groups in, answers and files out (https://core.telegram.org/bots/api).

Updates come by webhook if `secret` is set, else they are fetched by long poll; Telegram allows one of the two. The bot
token is part of every URL, so URLs are secrets here. A person's identity is (`telegram`, user id), the same for all
bots; in a private chat it is the chat's id too. There are no receipts, and deletions are not told to bots.

Nothing says whether a message arrived that went out without an answer: it is tried again and flagged (class C).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta, Struct

from connectors.channels.telegram import updates
from connectors.channels.telegram.updates import Sent, Way
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
    HubPort,
    Identity,
    Item,
    Outgoing,
    Pause,
    Refuse,
    Reply,
    Request,
    Retry,
    Secret,
    Step,
    Uncertain,
    hookimpl,
    multipart,
    split_text,
    token_verify,
    unwell,
    utf16_units,
)

MAX_TEXT = 4096  # UTF-16 units, "sendMessage"
MAX_UPLOAD = 50 << 20  # bytes, "sendDocument"
MAX_DOWNLOAD = 20 << 20  # bytes, "getFile"
FORGOTTEN = timedelta(days=6)  # "Update": after a week without updates the next id is random, the old offset nonsense
_SECRET = re.compile(r"[A-Za-z0-9_-]{1,256}")  # "setWebhook", secret_token
_TOKEN = re.compile(r"[0-9]{1,20}:[A-Za-z0-9_-]{10,100}")
_ANSWERED = (400, 401, 403, 404, 413, 429)
_CODES = (  # part of Telegram's description, in lower case → CAUSES; the first that is found
    ("blocked by the user", "recipient_blocked"),
    ("can't initiate conversation", "must_write_first"),
    ("deactivated", "recipient_unknown"),
    ("was deleted", "recipient_unknown"),
    ("chat not found", "recipient_unknown"),
    ("peer_id_invalid", "recipient_unknown"),
    ("thread not found", "recipient_unknown"),
    ("too long", "too_long"),
    ("too big", "media_too_large"),
    ("too large", "media_too_large"),
    ("wrong type", "media_unsupported"),
    ("wrong file", "media_unsupported"),
    ("forbidden", "not_allowed"),
    ("not enough rights", "not_allowed"),
    ("have no rights", "not_allowed"),
)


class TelegramSettings(Struct, frozen=True, kw_only=True):
    """Settings of kind `telegram`."""

    token: Annotated[Secret, Meta(description="The bot's token, as @BotFather gives it (110201543:AAH…).")]
    secret: Annotated[
        Secret | None,
        Meta(description="Secret token of the webhook; unset: updates are fetched by long poll, no webhook is needed."),
    ] = None
    api_url: Annotated[
        str, Meta(description="Where the Bot API is; another for a Bot API server of your own.", pattern="^https?://")
    ] = "https://api.telegram.org"
    groups: Annotated[bool, Meta(description="Take messages of groups too; answers there are public in the group.")] = (
        True
    )

    poll: Annotated[
        int,
        Meta(description="Seconds that a poll waits for updates; less than `timeout` of [hub.egress].", ge=0, le=50),
    ] = 25

    def __post_init__(self) -> None:
        """What a type can't say; blanked secrets pass."""
        if self.token.reveal() and not _TOKEN.fullmatch(self.token.reveal()):
            raise ValueError("token is not of the form that @BotFather gives: digits, a colon, letters")
        if self.secret and self.secret.reveal() and not _SECRET.fullmatch(self.secret.reveal()):
            raise ValueError("secret is 1 to 256 of A-Z, a-z, 0-9, _ and -")


class _Cursor(Struct, frozen=True):
    offset: int
    at: datetime


class _Parameters(Struct, frozen=True):
    retry_after: float | None = None
    migrate_to_chat_id: int | None = None


class _Told(Struct, frozen=True):
    """Telegram's answer."""

    ok: bool = False
    result: msgspec.Raw = msgspec.Raw(b"null")
    description: str = ""
    parameters: _Parameters = _Parameters()


class _Part(Struct, frozen=True, omit_defaults=True):
    """A step's body: the parameters of a method, and for a file what it is."""

    chat_id: int
    text: str = ""
    message_thread_id: int | None = None
    reply_parameters: Mapping[str, Any] | None = None
    file: tuple[str, str, str] | None = None
    """sha256, name, media type."""


class TelegramConnector:
    """A Telegram bot: private chats and groups in, answers and files out."""

    contract: ClassVar[int] = 1
    kind: ClassVar[str] = "telegram"
    settings_type: ClassVar[type[TelegramSettings]] = TelegramSettings
    isolate: ClassVar[bool] = False
    once: ClassVar[bool] = True
    channel: ClassVar[Channel] = "social"
    capabilities = Capabilities(
        max_text=MAX_TEXT,
        media=True,
        max_media=MAX_UPLOAD,
        sends_to=frozenset({"telegram"}),
        rates=(("lane", 1, 1.0), ("instance", 30, 1.0)),  # "Bots FAQ"; groups' 20 a minute: by 429
    )
    accepted = Reply()

    def __init__(self, instance: str, settings: TelegramSettings) -> None:  # the contract's arguments
        self._settings = settings

    def verify(self, request: Request) -> Envelope | Reply:
        """The header is the whole proof: nothing signs the body (hence https only)."""
        secret = self._settings.secret
        token_verify(request.header("x-telegram-bot-api-secret-token"), [secret] if secret else [])
        if request.method != "POST":
            return Reply(status=405, headers=(("Allow", "POST"),))
        return updates.envelope(request.body, request.at)

    async def run(self, hub: HubPort) -> None:
        """Long poll; an offset confirms what is on disk. With a webhook there is nothing to run."""
        if self._settings.secret is not None:
            return
        kept = await hub.cursor()
        cursor = msgspec.json.decode(kept, type=_Cursor) if kept else _Cursor(0, datetime.min.replace(tzinfo=UTC))
        while True:
            asked: dict[str, Any] = {"timeout": self._settings.poll, "allowed_updates": updates.KINDS}
            if hub.clock.now() - cursor.at < FORGOTTEN:
                asked["offset"] = cursor.offset
            found = await self._ask(hub, "getUpdates", asked, list[msgspec.Raw])
            hub.alive()
            if found:
                now = hub.clock.now()
                cursor = _Cursor(max(map(updates.number, found)) + 1, now)
                envelopes = [updates.envelope(bytes(raw), now) for raw in found]
                await hub.receive(*envelopes, cursor=msgspec.json.encode(cursor))

    def parse(self, envelope: Envelope) -> Iterator[Item]:
        """One item per update; kinds that we don't read are skipped with their name."""
        yield updates.item(envelope, groups=self._settings.groups)

    def plan(self, work: Outgoing) -> Sequence[Step]:
        """A step for each part of the text and for each file, in this order; private answers never go into a group."""
        way = msgspec.json.decode(work.reply_via, type=Way) if work.reply_via else Way(_user_id(work.to))
        if work.private and way.chat < 0:
            way = Way(_user_id(work.to))
        answered = updates.message_in(way.chat, work.replies_to)
        reply = {"message_id": answered, "allow_sending_without_reply": True} if answered else None
        parts = [
            _Part(way.chat, text, way.topic, reply if n == 0 else None)
            for n, text in enumerate(split_text(work.text, MAX_TEXT, utf16_units))
        ]
        files = [_Part(way.chat, "", way.topic, None, (each.sha256, each.name, each.type)) for each in work.media]
        if any(each.size > MAX_UPLOAD for each in work.media):
            raise Refuse("media_too_large", f"a bot sends files up to {MAX_UPLOAD} bytes")
        return [
            Step(kind="sendDocument" if part.file else "sendMessage", body=msgspec.json.encode(part))
            for part in (*parts, *files)
        ]

    def place(self, step: Step) -> str:
        """The chat, whoever in it is answered."""
        return str(msgspec.json.decode(step.body, type=_Part).chat_id)

    async def perform(self, step: Step, attempt: Attempt) -> Done:
        """One message. A group that has moved is asked for once more, under its new id."""
        part = msgspec.json.decode(step.body, type=_Part)
        told = await self._send(step.kind, part, attempt)
        moved = told.parameters.migrate_to_chat_id
        if moved is not None:
            part = msgspec.structs.replace(part, chat_id=moved)
            told = await self._send(step.kind, part, attempt)
        ref = updates.key(part.chat_id, msgspec.json.decode(told.result, type=Sent).message_id)
        way = msgspec.json.encode(Way(moved, part.message_thread_id)) if moved is not None else b""
        return Done(ref=ref, objects=(ref,), reply_via=way)

    async def _send(self, method: str, part: _Part, attempt: Attempt) -> _Told:
        body, kind = msgspec.json.encode(part), "application/json"
        if part.file is not None:
            sha256, name, media_type = part.file
            fields = {"chat_id": str(part.chat_id)}
            if part.message_thread_id is not None:
                fields["message_thread_id"] = str(part.message_thread_id)
            kind, body = multipart(fields, [("document", name, media_type, await attempt.blob(sha256))])
        call = Call(method="POST", url=self._url(method), headers={"content-type": kind}, body=body)
        return _judged(await attempt.call(call, expect=_ANSWERED))

    async def find(self, step: Step, attempt: Attempt) -> Sequence[Done]:  # nothing can be asked
        """A bot can't read what it sent: a second try is flagged by the hub."""
        return ()

    async def fetch(self, ref: str, egress: Egress) -> bytes:
        """Telegram gives bots files up to 20 MB; larger ones are refused by name."""
        found = await self._ask(egress, "getFile", {"file_id": ref}, dict[str, Any])
        url = self._settings.token.wrap(f"{self._settings.api_url}/file/bot{{}}/{found['file_path']}")
        return (await egress.call(Call(method="GET", url=url, longest=MAX_DOWNLOAD))).body

    async def check(self, egress: Egress) -> Sequence[Finding]:
        """Is the token good, and do updates come the way that is configured?"""
        try:
            me = await self._ask(egress, "getMe", {}, dict[str, Any])
            hook = await self._ask(egress, "getWebhookInfo", {}, dict[str, Any])
        except (Pause, Refuse, Retry, Uncertain) as error:
            return (unwell("Telegram", error, "ask @BotFather for the bot's token"),)
        findings = [Finding(ok=True, what=f"the token is that of @{me.get('username', '?')}")]
        wanted = self._settings.secret is not None
        if wanted and not hook.get("url"):
            fix = "call setWebhook with this instance's URL and secret_token, or leave secret out"
            findings.append(Finding(ok=False, what="no webhook is set, so nothing arrives", fix=fix))
        if not wanted and hook.get("url"):
            fix = "call deleteWebhook, or set secret"
            findings.append(Finding(ok=False, what="a webhook is set, which forbids fetching", fix=fix))
        if hook.get("last_error_message"):
            findings.append(Finding(ok=False, what=f"Telegram could not deliver: {hook['last_error_message']}"))
        return findings

    async def _ask(self, egress: Egress, method: str, given: Mapping[str, Any], result: Any) -> Any:
        """A question without effect, and its answer as `result`."""
        headers = {"content-type": "application/json"}
        call = Call(
            method="POST", url=self._url(method), headers=headers, body=msgspec.json.encode(given), effect=False
        )
        told = _judged(await egress.call(call, expect=_ANSWERED))
        return msgspec.json.decode(told.result, type=result)

    def _url(self, method: str) -> Secret:
        return self._settings.token.wrap(f"{self._settings.api_url}/bot{{}}/{method}")


def _judged(answer: Answer) -> _Told:
    """The answer if it is good, or names a chat's new id; else the error with its name."""
    try:
        told = msgspec.json.decode(answer.body, type=_Told)
    except (msgspec.MsgspecError, ValueError) as error:
        raise Pause(f"no answer of Telegram's, but HTTP {answer.status}: is something in between?") from error
    if told.ok or told.parameters.migrate_to_chat_id is not None:
        return told
    words = told.description[:300]
    if answer.status == 429:
        raise Retry(words, after=told.parameters.retry_after)
    if answer.status in (401, 404):  # 404: the token is none at all
        raise Pause(f"token_revoked: {words}")
    code = next((code for part, code in _CODES if part in words.lower()), "content_refused")
    raise Refuse(code, words)


def _user_id(identity: Identity) -> int:
    if identity.scheme != "telegram" or not identity.value.isdecimal():
        raise Refuse("recipient_unknown", "not a user id of Telegram")
    return int(identity.value)


@hookimpl
def register_connectors() -> Sequence[type[Connector]]:
    """Kind `telegram`."""
    return [TelegramConnector]
