"""Messages from programs of your own: JSON over a POST that is signed after Standard Webhooks 1.0.

    POST /in/{instance}/
    webhook-id: msg_2Lh9KRb0pzN4LePd3XiA0c9BTcx        the delivery's key: the same on every retry
    webhook-timestamp: 1763726400                      unix seconds, within five minutes of our clock
    webhook-signature: v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=

    {
      "type": "message",                               may be left out
      "id": "chat-42-7",                               default: the webhook-id; the same with other content is another
      "at": "2026-11-21T12:00:00Z",                    with its zone; default: the time of receipt
      "sender": {"scheme": "email", "value": "ann@acme.test", "name": "Ann"},
      "thread": "chat-42",                             the conversation, if the caller knows one
      "subject": "VPN down", "text": "AnyConnect fails since 8",
      "kind": "chat",                                  mail, chat, call, form, post, sms or note; default by channel
      "private": true, "language": "en",
      "replies_to": ["chat-42-6"], "tokens": [],       ids of messages; continuation tokens
      "fields": {"floor": "3"},                        anything else, as text: rules can read it
      "attachments": [{"name": "log.txt", "type": "text/plain", "data": "<base64>"}]
    }

Only `sender` must be there. A list of up to 500 such objects is a batch; messages of one thread keep their order
over several POSTs if each POST is about one thread. Whatever is signed is stored and answered with 200; what can't
be read is parked with the reason, alone: the rest of a batch goes on.

Answers go, if `deliver_url` is set, as a POST of `{"type": "message", "id": …, "to": {"scheme": …, "value": …},
"thread": …, "reference": …, "subject": …, "text": …, "author": …, "replies_to": […], "token": …, "automatic": …}`,
signed in the same way. A retry carries the same webhook-id, by which the receiver must know it again.
"""

import hashlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, ClassVar, Literal, get_args

import msgspec
from msgspec import Meta, Struct

from plugins import (
    Attempt,
    Call,
    Capabilities,
    Channel,
    Claim,
    Connector,
    Done,
    Envelope,
    Identity,
    Instant,
    Item,
    Media,
    Message,
    Outgoing,
    Refuse,
    Reply,
    Request,
    Secret,
    Skipped,
    Step,
    Unfit,
    WebAddress,
    hookimpl,
    standard_key,
    standard_sign,
    standard_verify,
)

Kind = Literal["mail", "chat", "call", "form", "post", "sms", "note"]
_KINDS: dict[str, Kind] = dict(zip(get_args(Channel), ("mail", "chat", "call", "post", "form", "note"), strict=True))
_BATCH = 500
_KEY_LIFE = 75 * 3600.0  # seconds: Standard Webhooks' own schedule of retries, over which a receiver must know the id
_EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
_UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)  # ValueError: bytes that are no UTF-8


class WebhookSettings(Struct, frozen=True, kw_only=True):
    """Settings of kind `webhook`."""

    secrets: Annotated[
        tuple[Secret, ...],
        Meta(min_length=1, max_length=4, description="Signing secrets (whsec_…); several while they rotate."),
    ]
    channel: Annotated[Channel, Meta(description="The family of contact that these messages belong to.")] = "chat"
    scheme: Annotated[
        str,
        Meta(
            description="Identity scheme whose values the caller itself has authenticated (A1); all others are A0.",
            pattern="^([a-z][a-z0-9_]{0,31})?$",
        ),
    ] = ""
    issuer: Annotated[
        str, Meta(description="Who authenticated them, as rules of trust name it; goes with scheme.", max_length=200)
    ] = ""
    deliver_url: Annotated[
        WebAddress, Meta(description="Where answers are posted; empty: this instance can't answer.")
    ] = ""
    deliver_secret: Annotated[
        Secret | None, Meta(description="Signs the answers (whsec_…); default: the first of secrets.")
    ] = None

    def __post_init__(self) -> None:
        """Checks over several fields, and what a type can't say; blanked secrets pass."""
        wrong = []
        if bool(self.scheme) != bool(self.issuer):
            wrong.append(("issuer" if self.scheme else "scheme", "is missing: scheme and issuer go together"))
        named = [(f"secrets[{number}]", secret) for number, secret in enumerate(self.secrets)]
        for key, secret in (*named, ("deliver_secret", self.deliver_secret)):
            try:
                if secret and secret.reveal():
                    standard_key(secret)
            except ValueError as error:
                wrong.append((key, str(error)))
        if wrong:
            raise Unfit(*wrong)


class _Sender(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    scheme: Annotated[str, Meta(pattern="^[a-z][a-z0-9_]{0,31}$")]
    value: Annotated[str, Meta(min_length=1, max_length=1024)]
    name: Annotated[str, Meta(max_length=1024)] = ""


class _Attachment(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Annotated[str, Meta(max_length=1024)] = ""
    type: Annotated[str, Meta(max_length=1024)] = "application/octet-stream"
    data: bytes


class _Incoming(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Unknown fields are refused: a misspelt `text` would otherwise be lost without a word."""

    sender: _Sender
    type: Literal["message"] = "message"
    id: Annotated[str, Meta(max_length=1024)] = ""
    at: Instant | None = None
    thread: Annotated[str, Meta(max_length=1024)] = ""
    subject: str = ""
    text: str = ""
    kind: Kind | None = None
    private: bool = True
    language: Annotated[str, Meta(max_length=35)] = ""  # RFC 5646 §4.4.1: the longest tag that must be kept
    replies_to: Annotated[tuple[str, ...], Meta(max_length=100)] = ()
    tokens: Annotated[tuple[str, ...], Meta(max_length=10)] = ()
    fields: Annotated[dict[str, str], Meta(max_length=100)] = {}
    attachments: Annotated[tuple[_Attachment, ...], Meta(max_length=50)] = ()


class _Place(Struct, frozen=True, kw_only=True):
    """What a lane is made of, read without the rest."""

    thread: str = ""
    sender: _Sender

    def lane(self) -> str:
        return f"t {self.thread}" if self.thread else f"s {self.sender.scheme} {self.sender.value}"


_place = msgspec.json.Decoder(_Place | list[_Place])
_incoming = msgspec.json.Decoder(_Incoming)


class WebhookConnector:
    """Signed JSON messages in, signed JSON answers out."""

    contract: ClassVar[int] = 1
    kind: ClassVar[str] = "webhook"
    settings_type: ClassVar[type[WebhookSettings]] = WebhookSettings
    isolate: ClassVar[bool] = False
    accepted = Reply(body=b"stored\n")

    def __init__(self, instance: str, settings: WebhookSettings) -> None:  # the contract's arguments
        self._settings = settings

    @property
    def channel(self) -> Channel:
        """By the setting: callers of every family use this format."""
        return self._settings.channel

    @property
    def capabilities(self) -> Capabilities:
        """Answers reach the people whom the caller itself authenticates: only their ids mean something to it."""
        reached = {self._settings.scheme} if self._settings.deliver_url and self._settings.scheme else ()
        return Capabilities(max_body=10 << 20, sends_to=frozenset(reached))

    def verify(self, request: Request) -> Envelope | Reply:
        """401 for anything that is not signed; whatever is signed is stored, readable or not."""
        if request.method != "POST":
            return Reply(status=405, headers=(("Allow", "POST"),))
        key = standard_verify(request, self._settings.secrets)
        return Envelope(key=key, raw=request.body, at=request.at, lane=_lane(request.body), facts={"id": key})

    def parse(self, envelope: Envelope) -> Iterator[Item]:
        """One item per object; an unreadable one is parked alone."""
        key = envelope.facts.get("id") or envelope.key
        if not envelope.raw.lstrip().startswith(b"["):
            yield self._message(envelope.raw, envelope, key)
            return
        try:
            batch = msgspec.json.decode(envelope.raw, type=list[msgspec.Raw])
        except _UNREADABLE as error:
            yield _parked(error)
            return
        if not 0 < len(batch) <= _BATCH:
            yield Skipped(reason=f"a batch holds 1 to {_BATCH} messages, this one {len(batch)}", park=True)
            return
        for number, raw in enumerate(batch):
            yield self._message(raw, envelope, f"{key}/{number}")

    def _message(self, raw: bytes | msgspec.Raw, envelope: Envelope, key: str) -> Item:
        try:
            said = _incoming.decode(raw)
        except _UNREADABLE as error:
            return _parked(error)
        return Message(
            key=said.id or key,
            digest=hashlib.sha256(msgspec.json.encode(said)).hexdigest() if said.id else "",
            thread=said.thread,
            sender=self._claim(said.sender),
            at=_plausible(said.at, envelope.at),
            text=said.text,
            subject=said.subject,
            kind=said.kind or _KINDS[self.channel],
            private=said.private,
            language=said.language,
            replies_to=said.replies_to,
            tokens=said.tokens,
            fields=said.fields,
            media=tuple(Media(name=each.name, type=each.type, data=each.data) for each in said.attachments),
        )

    def _claim(self, sender: _Sender) -> Claim:
        """A1 only for the scheme that this caller is bound to: its signature proves nothing of other issuers' ids."""
        identity = Identity(scheme=sender.scheme, value=sender.value)
        if sender.scheme != self._settings.scheme:
            return Claim(identity=identity, name=sender.name)
        issuer = self._settings.issuer
        return Claim(identity=identity, name=sender.name, assurance=1, issuer=issuer, evidence="standard-webhooks")

    def plan(self, work: Outgoing) -> Sequence[Step]:
        """One POST. The receiver knows a retry by its webhook-id, so it may come twice."""
        if not self._settings.deliver_url:
            raise Refuse("no_way_back", "deliver_url is not set")
        body = {
            "type": "message",
            "id": work.key,
            "to": {"scheme": work.to.scheme, "value": work.to.value},
            "thread": work.thread,
            "reference": work.reference,
            "subject": work.subject,
            "text": work.text,
            "author": work.author,
            "replies_to": work.replies_to,
            "token": work.token,
            "automatic": work.automatic,
        }
        return (Step(kind="post", body=msgspec.json.encode(body), key_life=_KEY_LIFE),)

    async def perform(self, step: Step, attempt: Attempt) -> Done:
        """Signed anew at each try: the timestamp is of this one, the id is of all."""
        settings = self._settings
        secrets = [settings.deliver_secret or settings.secrets[0]]
        signed = standard_sign(secrets, key=attempt.key, at=attempt.clock.now(), body=step.body)
        headers = {**signed, "content-type": "application/json"}
        await attempt.call(Call(method="POST", url=settings.deliver_url, headers=headers, body=step.body))
        return Done(ref=attempt.key)

    async def find(self, step: Step, attempt: Attempt) -> Sequence[Done]:  # nothing can be asked
        """The receiver can't be asked; its knowledge of the webhook-id makes a second try harmless."""
        return ()


def _parked(error: Exception) -> Skipped:
    what = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
    return Skipped(reason=f"not a message: {what[:500]}", park=True)


def _plausible(said: datetime | None, received: datetime) -> datetime:
    """The caller's time, unless its clock is plainly wrong: then ours."""
    if said is None or not _EARLIEST < said < received + timedelta(days=1):
        return received
    return said


def _lane(raw: bytes) -> str:
    """The thread or sender of all messages in the body; "" (the whole instance) if they differ or can't be read."""
    try:
        said = _place.decode(raw)
    except _UNREADABLE:
        return ""
    lanes = {said.lane()} if isinstance(said, _Place) else {each.lane() for each in said}
    return lanes.pop() if len(lanes) == 1 else ""


@hookimpl
def register_connectors() -> Sequence[type[Connector]]:
    """Kind `webhook`."""
    return [WebhookConnector]
