"""Text messages over Twilio, both ways, with delivery states.

    POST /in/{instance}/          a message came in (the number's or messaging service's webhook)
    POST /in/{instance}/status    what became of one of ours

A sender's number is a claim (A0). What is between one number of theirs and our number is one thread. STOP and START are
facts about the person; Twilio itself refuses to send to somebody who stopped (21610), and so do we.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta, Struct

from connectors.channels.twilio import wire
from connectors.channels.twilio.segments import segments
from plugins import (
    Attempt,
    Capabilities,
    Channel,
    Done,
    Egress,
    Envelope,
    Fact,
    Finding,
    Item,
    Media,
    Message,
    Outgoing,
    Pause,
    Receipt,
    Refuse,
    Reply,
    Request,
    Retry,
    Skipped,
    Step,
    Uncertain,
    Unfit,
    split_text,
    unwell,
    utf16_units,
)

MAX_TEXT = 1600  # error 21617
SAME = timedelta(hours=1)
"""How long ago a message may have been made that is taken for one whose answer was lost."""
_STOP = frozenset(["STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"])
_START = frozenset(["START", "UNSTOP", "YES"])
_STATES: Mapping[str, Literal["sent", "delivered", "read", "failed"]] = {
    "sent": "sent", "delivered": "delivered", "read": "read", "undelivered": "failed", "failed": "failed",
    "canceled": "failed",
}  # fmt: skip
_SID = re.compile(r"(SM|MM)[0-9a-fA-F]{32}")


class TwilioSmsSettings(Struct, frozen=True, kw_only=True):
    """Settings of kind `twilio_sms`."""

    account: wire.Account
    tokens: wire.Tokens
    number: Annotated[wire.E164, Meta(description="Our number: what answers come from.")] = ""
    service: Annotated[
        str,
        Meta(
            description="SID of a messaging service (MG…) to send through, in place of one number.",
            pattern="^(MG[0-9a-fA-F]{32})?$",
        ),
    ] = ""
    most_segments: Annotated[
        int | None, Meta(description="Refuse an answer that would be billed as more segments.", ge=1)
    ] = None
    find_lag: Annotated[
        float, Meta(description="Seconds until Twilio's list of messages shows one that was just made.", ge=0, le=600)
    ] = 10.0
    api_url: wire.ApiUrl = "https://api.twilio.com"

    def __post_init__(self) -> None:
        """One of the two says where answers come from."""
        if bool(self.number) == bool(self.service):
            raise Unfit(("number", "give either number or service"))


class _Part(Struct, frozen=True):
    """A step's body."""

    to: str
    text: str
    status: str = ""
    """Where Twilio tells what becomes of it."""


class _Way(Struct, frozen=True):
    """`reply_via`: the instance's own URL as Twilio called it."""

    base: str


class _Made(Struct, frozen=True):
    sid: str
    body: str = ""
    direction: str = ""
    date_created: str | None = None


class _List(Struct, frozen=True):
    messages: tuple[_Made, ...]


class TwilioSmsConnector:
    """Text messages in and out, and what became of them."""

    contract: ClassVar[int] = 1
    kind: ClassVar[str] = "twilio_sms"
    settings_type: ClassVar[type[TwilioSmsSettings]] = TwilioSmsSettings
    isolate: ClassVar[bool] = False
    channel: ClassVar[Channel] = "phone"
    capabilities = Capabilities(
        max_text=MAX_TEXT,
        sends_to=frozenset({"tel"}),
        verbs=frozenset({"receipts"}),
        rates=(("lane", 15, 30.0),),  # "messages per second": between two numbers; to all Twilio's queue sets the pace
    )
    accepted = Reply(type="text/xml", body=b"<Response/>")

    def __init__(self, instance: str, settings: TwilioSmsSettings) -> None:  # the contract's arguments
        self._settings = settings

    def verify(self, request: Request) -> Envelope | Reply:
        """A message by its SID, a state by SID and state; what Twilio signs and we can't read is kept."""
        if request.method != "POST":
            return Reply(status=405, headers=(("Allow", "POST"),))
        given = wire.verify(request, self._settings.tokens)
        sid, state = given.get("MessageSid", ""), given.get("MessageStatus", "")
        if not _SID.fullmatch(sid):
            return wire.odd(request)
        about = request.tail.strip("/") == "status"
        key = f"{sid} {state}" if about else sid
        facts = {"about": "status" if about else "message", "base": wire.base_of(request)}
        lane = sid if about else given.get("From", "")
        return Envelope(key=key, raw=request.body, at=request.at, facts=facts, lane=lane)

    def parse(self, envelope: Envelope) -> Iterator[Item]:
        """A message with what it says of consent, or a receipt."""
        try:
            given = wire.read(envelope.raw)
        except ValueError as error:
            yield Skipped(reason=f"not a form of Twilio's: {str(error)[:200]}", park=True)
            return
        if not _SID.fullmatch(given.get("MessageSid", "")):
            yield Skipped(reason="it names no message", park=True)
        elif envelope.facts.get("about") == "status":
            yield _receipt(given, envelope)
        else:
            yield from _said(given, envelope)

    def plan(self, work: Outgoing) -> Sequence[Step]:
        """A step for each 1600 characters."""
        if work.to.scheme != "tel" or not wire.is_number(work.to.value):
            raise Refuse("recipient_unknown", "not a telephone number in E.164")
        if work.media:
            raise Refuse("media_unsupported", "files are not sent by text message")
        coding, count = segments(work.text)
        most = self._settings.most_segments
        if most is not None and count > most:
            raise Refuse("too_long", f"{count} segments ({coding}); most_segments is {most}")
        via = msgspec.json.decode(work.reply_via, type=_Way) if work.reply_via else _Way("")
        status = f"{via.base}status" if via.base else ""
        parts = [_Part(work.to.value, text, status) for text in split_text(work.text, MAX_TEXT, utf16_units)]
        return [Step(kind="sms", body=msgspec.json.encode(part), find_lag=self._settings.find_lag) for part in parts]

    def place(self, step: Step) -> str:
        """The number, in however many matters."""
        return msgspec.json.decode(step.body, type=_Part).to

    async def perform(self, step: Step, attempt: Attempt) -> Done:
        """One message; its SID is what receipts name."""
        part = msgspec.json.decode(step.body, type=_Part)
        form = {"To": part.to, "Body": part.text, **self._origin()}
        if part.status:
            form["StatusCallback"] = part.status
        call = wire.post(self._settings, "Messages.json", form)
        made: _Made = wire.judged(await attempt.call(call, expect=wire.ANSWERED), _Made)
        return Done(ref=made.sid, objects=(made.sid,))

    async def find(self, step: Step, attempt: Attempt) -> Sequence[Done]:
        """The same words to the same number within the hour: Twilio has no key of ours to ask for."""
        part = msgspec.json.decode(step.body, type=_Part)
        since = attempt.clock.now() - SAME
        asked = {"To": part.to, "PageSize": "100", "DateSent>": f"{since:%Y-%m-%d}"}
        told = await wire.get(self._settings, "Messages.json", asked, attempt)
        try:
            found = msgspec.convert(told, _List).messages
        except msgspec.ValidationError as error:
            raise Pause("no list of Twilio's: is something in between?") from error
        known = {done.ref for done in attempt.made}
        same = [one for one in found if one.body == part.text and one.direction.startswith("outbound")]
        return [Done(ref=one.sid, objects=(one.sid,)) for one in same if one.sid not in known and _after(one, since)]

    async def fetch(self, ref: str, egress: Egress) -> bytes:
        """A picture that came with a message."""
        return await wire.recording(self._settings, ref, egress)

    async def check(self, egress: Egress) -> Sequence[Finding]:
        """Is the token good, and is the number ours?"""
        return await checked(self._settings, self._settings.number, "sms_url", egress)

    def _origin(self) -> dict[str, str]:
        if self._settings.service:
            return {"MessagingServiceSid": self._settings.service}
        return {"From": self._settings.number}


def _after(made: _Made, since: Any) -> bool:
    try:
        return made.date_created is None or parsedate_to_datetime(made.date_created) > since
    except (ValueError, TypeError):
        return True


async def checked(settings: Any, number: str, hook: str, egress: Egress) -> list[Finding]:
    """What `trunkline check` says of an account and its number."""
    try:
        asked = {"PhoneNumber": number} if number else {"PageSize": "1"}
        told = await wire.get(settings, "IncomingPhoneNumbers.json", asked, egress)
    except (Pause, Refuse, Retry, Uncertain) as error:
        return [unwell("Twilio", error, "compare account and tokens with the console")]
    found = told.get("incoming_phone_numbers", [])
    if number and not found:
        return [Finding(ok=False, what=f"{number} is not a number of this account", fix="correct number")]
    findings = [Finding(ok=True, what=f"the token is that of {settings.account}")]
    if number and not found[0].get(hook):
        fix = "set the number's webhook to this instance's URL"
        findings.append(Finding(ok=False, what=f"{number} has no webhook, so nothing arrives", fix=fix))
    return findings


# ---- in ------------------------------------------------------------------------------------------------


def _said(given: Mapping[str, str], envelope: Envelope) -> Iterator[Item]:
    """Consent words as Twilio names them, else by the word itself (its default keywords, in any case)."""
    sid, text = given["MessageSid"], given.get("Body", "")
    said = wire.claim(given, sid)
    word = given.get("OptOutType", "").upper() or _consent(text)
    if word in ("STOP", "START"):
        what: Literal["opted_out", "opted_in"] = "opted_out" if word == "STOP" else "opted_in"
        yield Fact(key=f"{sid} consent", at=envelope.at, who=said.identity, what=what)
    if word == "STOP" or (word == "START" and text.strip().upper() != "YES"):
        return
    if word == "HELP":
        yield Skipped(reason="HELP: Twilio has answered it")
        return
    media = tuple(_media(given))
    if not text.strip() and not media:
        yield Skipped(reason="a message without text and file")
        return
    ours = given.get("To", "")
    fields = {"to": ours, "segments": given.get("NumSegments", "")}
    yield Message(
        key=sid,
        thread=f"{ours} {said.identity.value}" if said.identity.scheme == "tel" else sid,
        sender=said,
        at=envelope.at,
        text=text,
        kind="sms",
        fields={name: value[:200] for name, value in fields.items() if value},
        media=media,
        reply_via=msgspec.json.encode(_Way(envelope.facts.get("base", ""))),
    )


def _consent(text: str) -> str:
    word = text.strip().upper()
    return "STOP" if word in _STOP else "START" if word in _START else ""


def _media(given: Mapping[str, str]) -> Iterator[Media]:
    """Ten at most, as Twilio says."""
    for number in range(10):
        if url := given.get(f"MediaUrl{number}"):
            kind = given.get(f"MediaContentType{number}", "")[:200] or "application/octet-stream"
            name = f"file-{number + 1}.{kind.rpartition('/')[2].partition(';')[0][:20]}"
            yield Media(ref=url, name=name, type=kind)


def _receipt(given: Mapping[str, str], envelope: Envelope) -> Item:
    sid, said = given["MessageSid"], given.get("MessageStatus", "")
    state = _STATES.get(said)
    if state is None:
        return Skipped(reason=f"a message of ours is {said[:50] or 'in no state'}")
    return Receipt(key=f"{sid} {said}", at=envelope.at, state=state, of=sid, reason=_why(given))


def _why(given: Mapping[str, str]) -> str:
    """The named cause of a failed message, with Twilio's number."""
    code = given.get("ErrorCode", "")
    if not re.fullmatch(r"[0-9]{1,6}", code) or code == "0":
        return ""
    return f"{wire.cause_of(int(code))}: {given.get('ErrorMessage', '')[:300] or 'Twilio'} ({code})"
