"""What a call tells us: every request of Twilio's about it as messages of one thread. Pure."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from connectors.channels.twilio import wire
from plugins import Envelope, Item, Media, Message, Request, Skipped, one_line, voice

SID = re.compile(r"CA[0-9a-fA-F]{32}")
_OVER = ("completed", "busy", "failed", "no-answer", "canceled")
_REACHED = ("completed", "answered", "bridged")
_PLACE = re.compile(r"(step|joined)/([a-z][a-z0-9_-]{0,31})")
_COUNT = re.compile(r"[0-9]{1,6}")
ABOUT = ("status", "recording", "transcript")


class Where(Struct, frozen=True, kw_only=True):
    """What our own URL says of a request."""

    about: str
    """begin, step, joined, status, recording, transcript."""
    base: str
    node: str = ""
    language: str = ""
    step: int = 0
    tries: int = 0
    of: int = 0
    """joined: the step whose PIN opened a query."""


def where_of(request: Request) -> Where | None:
    """None: no such place of ours."""
    base, tail = wire.base_of(request), request.tail.strip("/")
    if not tail:
        return Where(about="begin", base=base)
    if tail in ABOUT:
        return Where(about=tail, base=base)
    found, asked = _PLACE.fullmatch(tail), wire.query_of(request.url)
    if found is None:
        return None
    return Where(
        about=found[1], base=base, node=found[2], language=asked.get("l", ""), step=_number(asked, "n"),
        tries=_number(asked, "t"), of=_number(asked, "of"),
    )  # fmt: skip


def envelope(given: Mapping[str, str], where: Where, request: Request) -> Envelope:
    """A step by its number, everything else by the thing that it speaks of; all of a call in one lane."""
    call = given["CallSid"]
    names = {
        "begin": "begin",
        "status": f"status {given.get('CallStatus', '')}",
        "recording": f"recording {given.get('RecordingSid', '')} {given.get('RecordingStatus', '')}",
        "transcript": f"transcript {given.get('TranscriptionSid', '')}",
    }
    facts = {name: str(getattr(where, name)) for name in Where.__struct_fields__}
    key = f"{call} {names.get(where.about) or step_name(where.about, where.node, where.step)}"
    return Envelope(key=key, raw=request.body, at=request.at, lane=call, facts=facts)


def step_name(about: str, node: str, step: int) -> str:
    """Of a request within its call."""
    return f"{about} {node} {step}"


def where_said(envelope: Envelope) -> Where:
    """As it was when the request came."""
    said = envelope.facts
    numbers = {name: _number(said, name) for name in ("step", "tries", "of")}
    words = {name: said.get(name, "") for name in ("about", "base", "node", "language")}
    return Where(**words, **numbers)  # type: ignore[arg-type]  # two dictionaries, by the kind of field


def read(envelope: Envelope) -> dict[str, str] | None:
    """The parameters; None if it is nothing about a call."""
    try:
        given = wire.read(envelope.raw)
    except ValueError:
        return None
    return given if SID.fullmatch(given.get("CallSid", "")) else None


def heard(node: voice.Node, given: Mapping[str, str], *, reached: bool = False) -> voice.Heard:
    """What a step brought; `reached`: the PIN opens its query."""
    if node.do == "pin":
        return voice.Heard(reached=reached)
    if node.do in ("dial", "queue"):
        state = given.get("DialCallStatus") or given.get("QueueResult", "")
        return voice.Heard(reached=state in _REACHED)
    digits = re.sub(r"[^0-9*]", "", given.get("Digits", ""))[:32] if node.do != "record" else ""
    return voice.Heard(digits=digits, speech=one_line(given.get("SpeechResult", ""))[:2000])


class Reader:
    """Reads the requests of calls through one menu."""

    def __init__(self, menu: voice.Menu) -> None:
        self._menu = menu

    def items(self, envelope: Envelope) -> Iterator[Item]:
        """One item each, or two where a file comes with a step."""
        given, where = read(envelope), where_said(envelope)
        if given is None:
            yield Skipped(reason="not a form of Twilio's about a call", park=True)
        elif where.about == "begin":
            yield self._begun(given, envelope)
        elif where.about == "step":
            yield self._stepped(given, where, envelope)
        elif where.about == "joined":
            token = f"{given['CallSid']} {step_name('step', where.node, where.of)}"
            text = "The caller continues by PIN."
            yield self._message(given, envelope, "joined", text, more=True, tokens=(token,))
        elif where.about == "recording":
            yield self._recording(given, envelope)
        elif where.about == "transcript":
            yield self._transcript(given, envelope)
        else:
            yield self._status(given, envelope)

    def _begun(self, given: Mapping[str, str], envelope: Envelope) -> Item:
        turn = self._menu.turn(self._menu.start, self._menu.languages[0], envelope.at)
        number = given.get("From", "")
        text = f"Call from {number if wire.is_number(number) else 'a hidden number'} to {given.get('To', '?')}"
        fields = {"call": "begun", "to": given.get("To", ""), "verstat": given.get("StirVerstat", "")}
        return self._message(given, envelope, "begin", text, more=turn.choosing, fields=fields)

    def _stepped(self, given: Mapping[str, str], where: Where, envelope: Envelope) -> Item:
        node = self._menu.nodes.get(where.node)
        if node is None:
            return Skipped(reason=f"the menu has no node {where.node[:50]} any more")
        if node.do == "record":
            return self._recording(given, envelope)
        if node.do == "pin":
            return Skipped(reason="a PIN was entered: whether it opens its query shows in what follows")
        what = heard(node, given)
        move = self._menu.heard(where.node, where.language, where.tries, what)
        if node.do in ("dial", "queue"):
            return self._connected(given, envelope, node, where, reached=what.reached)
        if not move.text:
            tried = f"{what.digits} leads nowhere" if what.digits else "nothing was heard"
            return Skipped(reason=f"at {where.node[:50]}: {tried[:100]}")
        turn = self._menu.turn(move.to, move.language, envelope.at)
        text = f"{where.node}: {move.text}" if node.do == "choose" and move.fields else move.text
        return self._message(
            given, envelope, step_name("step", where.node, where.step), text, more=turn.choosing,
            fields=move.fields, language=move.language,
        )  # fmt: skip

    def _connected(
        self, given: Mapping[str, str], envelope: Envelope, node: voice.Node, where: Where, *, reached: bool
    ) -> Item:
        """What came of calling an agent, or of the waiting line."""
        state = (given.get("DialCallStatus") or given.get("QueueResult", ""))[:50]
        long = given.get("DialCallDuration") or given.get("QueueTime", "")
        how = f", {long} s" if _COUNT.fullmatch(long) else ""
        words = "Spoke with an agent" if reached else "Nobody answered"
        place = "the waiting line" if node.do == "queue" else "the agent's telephone"
        return self._message(
            given, envelope, step_name("step", where.node, where.step), f"{words} ({place}: {state or '?'}{how})",
            more=False, fields={where.node: "reached" if reached else "missed"},
        )  # fmt: skip

    def _recording(self, given: Mapping[str, str], envelope: Envelope) -> Item:
        """Twilio names it twice, at its end and when it is ready: one message, by its own SID."""
        sid, url, seconds = (given.get(name, "") for name in ("RecordingSid", "RecordingUrl", "RecordingDuration"))
        if not re.fullmatch(r"RE[0-9a-fA-F]{32}", sid) or not url or given.get("RecordingStatus") == "absent":
            return Skipped(reason="nothing was recorded")
        if given.get("RecordingStatus", "completed") != "completed":
            return Skipped(reason="the recording is not ready yet")
        text = f"Voice message, {seconds if _COUNT.fullmatch(seconds) else '?'} s"
        media = Media(ref=f"{url}.mp3", name="voice-message.mp3", type="audio/mpeg")
        return self._message(given, envelope, sid, text, more=False, media=(media,), fields={"voicemail": "yes"})

    def _transcript(self, given: Mapping[str, str], envelope: Envelope) -> Item:
        sid, text = given.get("TranscriptionSid", ""), given.get("TranscriptionText", "").strip()
        if given.get("TranscriptionStatus") != "completed" or not text or not sid:
            return Skipped(reason=f"no transcript: {given.get('TranscriptionStatus', '')[:50] or 'it is empty'}")
        recording = f"{given['CallSid']} {given.get('RecordingSid', '')}"
        return self._message(given, envelope, sid, text, more=False, replies_to=(recording,))

    def _status(self, given: Mapping[str, str], envelope: Envelope) -> Item:
        state, seconds = given.get("CallStatus", ""), given.get("CallDuration", "")
        if state not in _OVER:
            return Skipped(reason=f"the call is {state[:50] or 'in no state'}")
        text = f"The call is over ({state}{f', {seconds} s' if _COUNT.fullmatch(seconds) else ''})."
        return self._message(given, envelope, "over", text, more=False, fields={"call": "over"})

    def _message(
        self, given: Mapping[str, str], envelope: Envelope, name: str, text: str, *, more: bool,
        fields: Mapping[str, str] | None = None, language: str = "", **others: Any,
    ) -> Message:  # fmt: skip
        call = given["CallSid"]
        kept = {key: value[:1000] for key, value in (fields or {}).items() if value}
        several = len(self._menu.languages) > 1
        return Message(
            key=f"{call} {name}", thread=call, sender=wire.claim(given, call), at=envelope.at, text=text, kind="call",
            subject="Telephone call", fields=kept, more=more, language=language if several else "", **others,
        )  # fmt: skip


def _number(said: Mapping[str, str], name: str) -> int:
    text = said.get(name, "")
    return int(text) if _COUNT.fullmatch(text) else 0
