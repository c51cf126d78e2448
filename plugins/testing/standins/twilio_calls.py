"""Calls as Twilio makes them: a telephone that walks our TwiML, and refuses every verb and attribute that is not there.

    async with TwilioVoice() as far:
        phone = await far.call("ann")        # phone.heard: what was read out; phone.waits: the verb that waits
        await phone.press("1")
        await phone.leave("My laptop burns", seconds=4)
        await phone.hang_up()

Written from https://www.twilio.com/docs/voice/twiml; `twice` sends every request again, as Twilio may.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import urlencode, urlsplit, urlunsplit
from xml.etree.ElementTree import Element, ParseError, fromstring

import aiohttp
from aiohttp import web

from plugins.model import Identity, Request
from plugins.testing.standins.base import StandIn
from plugins.testing.standins.twilio import ACCOUNT, OURS, PEOPLE, TROUBLES, Account, error
from plugins.testing.stubs import START

LARGEST = 64 << 10
LONGEST_SAY = 4096
VERBS: Mapping[str, frozenset[str]] = {
    "Say": frozenset({"voice", "language", "loop"}),
    "Play": frozenset({"loop", "digits"}),
    "Pause": frozenset({"length"}),
    "Gather": frozenset({
        "input", "action", "method", "timeout", "speechTimeout", "maxSpeechTime", "profanityFilter", "finishOnKey",
        "numDigits", "partialResultCallback", "partialResultCallbackMethod", "language", "hints", "bargeIn", "debug",
        "actionOnEmptyResult", "speechModel", "enhanced",
    }),
    "Record": frozenset({
        "action", "method", "timeout", "finishOnKey", "maxLength", "playBeep", "trim", "recordingStatusCallback",
        "recordingStatusCallbackMethod", "recordingStatusCallbackEvent", "transcribe", "transcribeCallback",
    }),
    "Dial": frozenset({
        "action", "method", "timeout", "hangupOnStar", "timeLimit", "callerId", "record", "trim",
        "recordingStatusCallback", "answerOnBridge", "ringTone",
    }),
    "Number": frozenset({"sendDigits", "url", "method", "statusCallback", "statusCallbackEvent"}),
    "Sip": frozenset({"username", "password", "url", "method"}),
    "Enqueue": frozenset({"action", "method", "maxQueueSize", "waitUrl", "waitUrlMethod", "workflowSid"}),
    "Redirect": frozenset({"method"}),
    "Reject": frozenset({"reason"}),
    "Hangup": frozenset(),
}  # fmt: skip
"""Verb or noun → its attributes."""
INSIDE: Mapping[str, frozenset[str]] = {
    "Response": frozenset(VERBS) - {"Number", "Sip"},
    "Gather": frozenset({"Say", "Play", "Pause"}),
    "Dial": frozenset({"Number", "Sip"}),
}
NUMBERS: Mapping[str, tuple[int, int]] = {
    "timeout": (1, 600), "numDigits": (1, 100), "maxLength": (1, 14400), "length": (1, 600),
}  # fmt: skip
WAITING = ("Gather", "Record", "Dial", "Enqueue")
MOST_REDIRECTS = 10


class TwimlError(Exception):
    """Twilio would refuse this document (12100 and its like), and the caller would hear an error."""


class TwilioVoice(Account, StandIn):
    """One number that people call."""

    kinds: ClassVar[tuple[str, ...]] = ("twilio_voice",)
    person: ClassVar[Identity] = Identity(scheme="tel", value=PEOPLE["ann"])

    def __init__(self, token: str = "stand-in-token") -> None:  # noqa: S107  # its own
        super().__init__(token)
        self.recordings: dict[str, bytes] = {}
        self.twice = False
        """Every request comes twice; both must be answered alike."""
        self.cuts = 0
        """So many times each request's connection breaks, within it or before its answer; then it comes whole."""

    def routes(self) -> Sequence[web.RouteDef]:
        """Recordings and numbers."""
        account = f"/2010-04-01/Accounts/{ACCOUNT}"
        return [
            web.get(f"{account}/Recordings/{{name}}", self._file),
            web.get(f"{account}/IncomingPhoneNumbers.json", self._own),
        ]

    @property
    def table(self) -> Mapping[str, Any]:
        """Settings with the smallest menu that takes a message."""
        menu = {
            "voicemail": {"do": "record", "say": "Please leave a message.", "next": "bye"},
            "bye": {"do": "hangup", "say": "Thank you."},
        }
        return {
            "account": ACCOUNT, "tokens": ["env:TWILIO_TOKEN"], "number": OURS, "api_url": self.url,
            "start": "voicemail", "menu": menu,
        }  # fmt: skip

    def says(self, text: str, *, who: str = "ann", private: bool = True) -> Any:
        """The first request of a call; what is said in it comes later."""
        return self._common(self.sid("CA"), who) if private else None

    def edits(self, event: Any, text: str) -> Any:
        """There are none."""
        return None

    def signed(self, event: Any, at: datetime) -> tuple[Mapping[str, str], bytes]:
        """Over the URL and all parameters; no time is signed."""
        return self.headers(self._base, event), urlencode(event).encode()

    def queue(self, events: Sequence[Any]) -> None:
        """Twilio calls; nothing fetches."""
        raise AssertionError("there is no poller")

    def asks(self, tail: str, event: Mapping[str, str], at: datetime = START) -> Request:
        """A request of a call to `tail` (with its query), as the hub would see it."""
        url = self._base + tail
        headers, body = self.headers(url, event), urlencode(event).encode()
        return Request(method="POST", url=url, tail=tail.partition("?")[0], headers=headers, body=body, at=at)

    async def call(self, who: str = "ann", **more: str) -> "Phone":
        """Ring the hub; returns when it waits for the caller."""
        phone = Phone(self, {**self._common(self.sid("CA"), who), **more})
        await phone.begin()
        return phone

    async def bring(self, text: str) -> str:
        """A voice message with its transcript."""
        phone = await self.call()
        await phone.leave(text)
        await phone.hang_up()
        return " / ".join(phone.heard)

    def _common(self, call: str, who: str) -> dict[str, str]:
        return {
            "CallSid": call, "AccountSid": ACCOUNT, "From": PEOPLE.get(who, who), "To": OURS, "CallStatus": "ringing",
            "Direction": "inbound", "ApiVersion": "2010-04-01", "Called": OURS, "Caller": PEOPLE.get(who, who),
            "FromCountry": "US", "CallerName": "",
        }  # fmt: skip

    @property
    def _base(self) -> str:
        return self.public or self.hook or "https://hub.acme.test/in/sample/"

    async def post(self, url: str, event: Mapping[str, str]) -> tuple[int, bytes]:
        """One signed request, or two."""
        answers = [await self._send(url, event) for _ in range(2 if self.twice else 1)]
        if answers[0] != answers[-1]:
            raise TwimlError("the same request was answered differently")
        return answers[0]

    async def _send(self, url: str, event: Mapping[str, str]) -> tuple[int, bytes]:
        place = url.replace(self.public, self.hook, 1) if self.public else url
        headers = self.headers(url, event)
        for number in range(self.cuts):
            await self._cut(place, headers, urlencode(event).encode(), whole=number % 2 == 1)
        async with (
            aiohttp.ClientSession() as session,
            session.post(place, data=urlencode(event).encode(), headers=headers) as response,
        ):
            return response.status, await response.read()

    @staticmethod
    async def _cut(place: str, headers: Mapping[str, str], body: bytes, *, whole: bool) -> None:
        """Half a request, or a whole one whose answer nobody reads."""
        parts = urlsplit(place)
        lines = {**headers, "Host": parts.netloc, "Content-Length": str(len(body))}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        target = urlunsplit(("", "", parts.path, parts.query, ""))
        _, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(f"POST {target} HTTP/1.1\r\n{head}\r\n".encode() + (body if whole else body[: len(body) // 2]))
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def _file(self, request: web.Request) -> web.Response:
        if not self.knows(request):
            return self.refuse("wrong token", error(*TROUBLES["token_revoked"]))
        name = request.match_info["name"].removesuffix(".mp3")
        if name not in self.recordings:
            return self.refuse("no such recording", error(404, 20404, "not found"))
        return web.Response(body=self.recordings[name])

    async def _own(self, request: web.Request) -> web.Response:
        if not self.knows(request):
            return self.refuse("wrong token", error(*TROUBLES["token_revoked"]))
        return web.json_response({"incoming_phone_numbers": [{"phone_number": OURS, "voice_url": self.hook}]})


class Phone:
    """One call, from its caller's side."""

    def __init__(self, far: TwilioVoice, common: dict[str, str]) -> None:
        self._far = far
        self._common = common
        self.heard: list[str] = []
        """What was read out, oldest first."""
        self.waits: Element | None = None
        """The verb that waits; None: the call is over."""
        self.sid = common["CallSid"]

    async def begin(self) -> None:
        """The call comes in."""
        await self._ask(self._far._base)  # noqa: SLF001  # its telephone exchange
        self._common["CallStatus"] = "in-progress"

    async def press(self, keys: str) -> None:
        """As far as the menu takes them."""
        gather = self._waiting("Gather")
        if "dtmf" not in gather.get("input", "dtmf").split():
            raise TwimlError("no keys are taken here")
        await self._answer(gather, Digits=keys[: int(gather.get("numDigits", "100"))])

    async def speak(self, text: str) -> None:
        """Say it."""
        gather = self._waiting("Gather")
        if "speech" not in gather.get("input", "dtmf").split():
            raise TwimlError("no words are taken here")
        await self._answer(gather, SpeechResult=text, Confidence="0.9")

    async def silence(self) -> None:
        """Say and press nothing until it is over."""
        gather = self._waiting("Gather")
        if gather.get("actionOnEmptyResult") != "true":
            raise TwimlError("the document goes on below, which this telephone does not do")
        await self._answer(gather, Digits="")

    async def leave(self, transcript: str = "", seconds: int = 5, sound: bytes = b"mp3") -> str:
        """Leave a voice message; returns its SID."""
        record = self._waiting("Record")
        sid = self._far.sid("RE")
        self._far.recordings[sid] = sound
        url = f"{self._far.url}/2010-04-01/Accounts/{ACCOUNT}/Recordings/{sid}"
        said = {"RecordingSid": sid, "RecordingUrl": url, "RecordingDuration": str(seconds)}
        await self._answer(record, **said, Digits="#")
        if "recordingStatusCallback" in record.attrib:
            await self._tell(record.attrib["recordingStatusCallback"], **said, RecordingStatus="completed")
        if record.get("transcribe") == "true":
            status = {"TranscriptionStatus": "completed" if transcript else "failed", "TranscriptionText": transcript}
            callback = record.attrib["transcribeCallback"]
            await self._tell(callback, RecordingSid=sid, TranscriptionSid=self._far.sid("TR"), **status)
        return sid

    async def answered(self, state: str = "completed") -> None:
        """The agent's telephone, or the waiting line: `no-answer`, `busy`, `completed`, `bridged`."""
        verb = self._waiting("Dial", "Enqueue")
        if verb.tag == "Dial":
            await self._answer(verb, DialCallStatus=state, DialCallDuration="65", DialCallSid=self._far.sid("CA"))
        else:
            await self._answer(verb, QueueResult=state, QueueTime="30", QueueSid=self._far.sid("QU"))

    async def hang_up(self) -> None:
        """The number's status callback tells of it."""
        self.waits = None
        await self._tell(f"{self._far._base}status", CallStatus="completed", CallDuration="34")  # noqa: SLF001

    def _waiting(self, *verbs: str) -> Element:
        if self.waits is None or self.waits.tag not in verbs:
            raise TwimlError(f"waits for {None if self.waits is None else self.waits.tag}, not for {verbs}")
        return self.waits

    async def _answer(self, verb: Element, **more: str) -> None:
        await self._ask(verb.attrib["action"], **more)

    async def _tell(self, url: str, **more: str) -> None:
        status, _ = await self._far.post(url, {**self._common, **more})
        if status != 200:
            raise TwimlError(f"a callback was answered {status}")

    async def _ask(self, url: str, **more: str) -> None:
        """Fetch a document and walk it up to the verb that waits."""
        for _ in range(MOST_REDIRECTS):
            status, body = await self._far.post(url, {**self._common, **more})
            if status != 200:
                raise TwimlError(f"{url} answered {status}")
            url, more = self._walk(read(body, self._far._base)), {}  # noqa: SLF001
            if not url:
                return
        raise TwimlError("redirected without end")

    def _walk(self, document: Element) -> str:
        """Where it goes on, "" where it waits or is over."""
        self.waits = None
        for verb in document:
            self.heard += [say.text or "" for say in verb.iter("Say")]
            if verb.tag == "Redirect":
                return verb.text or ""
            if verb.tag in WAITING:
                self.waits = verb
                return ""
            if verb.tag in ("Hangup", "Reject"):
                return ""
        return ""


def read(body: bytes, base: str) -> Element:
    """The document, if Twilio would take it. `base`: where its URLs must lead."""
    if len(body) > LARGEST or b"<!" in body:
        raise TwimlError("too large, or with a document type")
    try:
        root = fromstring(body)  # noqa: S314  # no document type, hence no entities
    except ParseError as problem:
        raise TwimlError(f"12100: {problem}") from problem
    if root.tag != "Response" or root.attrib or (root.text or "").strip():
        raise TwimlError("a document is one <Response>")
    _check(root, base)
    return root


def _check(parent: Element, base: str) -> None:
    for verb in parent:
        if verb.tag not in INSIDE.get(parent.tag, frozenset()):
            raise TwimlError(f"<{verb.tag}> can't stand in <{parent.tag}>")
        if unknown := verb.attrib.keys() - VERBS[verb.tag]:
            raise TwimlError(f"<{verb.tag}> has no attribute {', '.join(sorted(unknown))}")
        if (verb.tail or "").strip() or (len(verb) and (verb.text or "").strip()):
            raise TwimlError("text stands between verbs")
        for name, value in verb.attrib.items():
            _check_value(verb.tag, name, value, base)
        if verb.tag in ("Say", "Redirect", "Enqueue", "Number", "Sip") and not 0 < len(verb.text or "") <= LONGEST_SAY:
            raise TwimlError(f"<{verb.tag}> is empty or too long")
        if verb.tag == "Redirect" and not (verb.text or "").startswith(base):
            raise TwimlError(f"leads elsewhere: {verb.text}")
        _check(verb, base)


def _check_value(verb: str, name: str, value: str, base: str) -> None:
    if name in NUMBERS and not (value.isdecimal() and NUMBERS[name][0] <= int(value) <= NUMBERS[name][1]):
        raise TwimlError(f"<{verb} {name}>: {value} is out of range")
    if (name == "action" or name.endswith("Callback")) and not value.startswith(base):
        raise TwimlError(f"<{verb} {name}> leads elsewhere: {value}")
    if name in ("method", "recordingStatusCallbackMethod") and value not in ("GET", "POST"):
        raise TwimlError(f"<{verb} {name}>: {value}")
    if name == "input" and not set(value.split()) <= {"dtmf", "speech"}:
        raise TwimlError(f"<Gather input>: {value}")
