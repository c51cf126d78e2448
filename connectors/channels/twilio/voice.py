"""Telephone calls over Twilio: callers walk the menu of `plugins.voice`, and all that they do is a thread of messages.

    POST /in/{instance}/                    a call comes in (the number's voice URL)
    POST /in/{instance}/step/{node}?…       what was pressed, said, recorded, or became of dialling at a node
    POST /in/{instance}/joined/{node}?…     on the way back from a PIN that opened its query
    POST /in/{instance}/status              the call's state (the number's status callback)
    POST /in/{instance}/recording, …/transcript

Twilio hears its answer when the request is on disk; no tool or vendor is asked for it. Where a call stands is in our
URLs alone. The caller's number is a claim (A0); answers go by text message or another channel: a call has no way back.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from connectors.channels.twilio import calls, twiml, wire
from connectors.channels.twilio.sms import checked
from plugins import (
    Capabilities,
    Channel,
    Desk,
    Egress,
    Envelope,
    Finding,
    Item,
    Received,
    Reply,
    Request,
    Unfit,
    voice,
)


class TwilioVoiceSettings(Struct, frozen=True, kw_only=True):
    """Settings of kind `twilio_voice`."""

    account: wire.Account
    tokens: wire.Tokens
    number: Annotated[wire.E164, Meta(description="Our number, which people call.")]
    start: Annotated[str, Meta(description="The node of the menu at which a call begins.")]
    menu: Annotated[
        dict[str, voice.Node], Meta(description="The menu: nodes by their names, each a table [….menu.NAME].")
    ]
    hours: Annotated[
        dict[str, voice.Hours], Meta(description="Calendars by their names, each a table [….hours.NAME].")
    ] = {}
    languages: Annotated[
        tuple[str, ...],
        Meta(
            min_length=1, max_length=20,
            description="Languages of the menu, as Twilio calls voices (en-GB, de-DE); the first is spoken first.",
        ),
    ] = ("en-GB",)  # fmt: skip
    by_number: Annotated[
        dict[str, str],
        Meta(description='Beginning of the caller\'s number to language, such as "+49" = "de-DE"; the longest counts.'),
    ] = {}
    sorry: Annotated[
        str, Meta(description="What callers hear when the menu can't be read to them just now.", max_length=1000)
    ] = "We are sorry, this line is out of order. Your call has been noted. Please call again later."
    api_url: wire.ApiUrl = "https://api.twilio.com"

    def __post_init__(self) -> None:
        """A menu that can be walked, in languages that there are."""
        wrong = voice.problems(self.start, self.menu, self.languages, self.hours)
        for prefix, language in self.by_number.items():
            if language not in self.languages:
                wrong.append((f"by_number.{prefix}", f"{language} is none of languages"))
        if wrong:
            raise Unfit(*wrong)


class TwilioVoiceConnector:
    """Calls in, by a menu; answered while they wait."""

    contract: ClassVar[int] = 1
    kind: ClassVar[str] = "twilio_voice"
    settings_type: ClassVar[type[TwilioVoiceSettings]] = TwilioVoiceSettings
    isolate: ClassVar[bool] = False
    channel: ClassVar[Channel] = "phone"
    capabilities = Capabilities(media=True)

    def __init__(self, instance: str, settings: TwilioVoiceSettings) -> None:  # the contract's arguments
        self._settings = settings
        self._menu = voice.Menu(settings.start, settings.menu, settings.languages, settings.hours)
        self._reader = calls.Reader(self._menu)

    @property
    def accepted(self) -> Reply:
        """An apology, when the menu is late: what has come is on disk."""
        return twiml.goodbye(self._settings.sorry, self._settings.languages[0])

    def verify(self, request: Request) -> Envelope | Reply:
        """What Twilio signs is kept; a place that is none of ours is refused, for nothing of ours leads there."""
        if request.method != "POST":
            return Reply(status=405, headers=(("Allow", "POST"),))
        given, where = wire.verify(request, self._settings.tokens), calls.where_of(request)
        if where is None:
            return Reply(status=404)
        if not calls.SID.fullmatch(given.get("CallSid", "")):
            return wire.odd(request)
        return calls.envelope(given, where, request)

    async def respond(self, envelope: Envelope, received: Received, desk: Desk) -> Reply:
        """The next turn; a repeated request gets the same."""
        given, where = calls.read(envelope), calls.where_said(envelope)
        if given is None or where.about in calls.ABOUT:
            return twiml.nothing()
        if where.about == "begin":
            language = self._language(given.get("From", ""))
            return await self._turn(self._settings.start, language, where, envelope, desk)
        node = self._menu.nodes.get(where.node)
        if node is None:  # the menu has changed since
            return await self._turn(self._settings.start, self._known(where.language), where, envelope, desk)
        if where.about == "joined":
            return await self._turn(node.next, self._known(where.language), where, envelope, desk)
        if node.do in ("record", "queue") and given.get("CallStatus") in ("completed", "no-answer", "canceled"):
            return twiml.nothing()  # the caller has hung up
        opened = node.do == "pin" and await self._opens(given.get("Digits", ""), envelope, desk)
        if opened:
            place = twiml.Place(node=where.node, language=self._known(where.language), step=where.step + 1)
            return twiml.redirect(place.url(where.base, "joined", of=str(where.step)))
        move = self._menu.heard(where.node, self._known(where.language), where.tries, calls.heard(node, given))
        tries = where.tries + 1 if move.again else 0
        return await self._turn(move.to, move.language, where, envelope, desk, tries)

    def parse(self, envelope: Envelope) -> Iterator[Item]:
        """Messages of the call's thread."""
        yield from self._reader.items(envelope)

    async def fetch(self, ref: str, egress: Egress) -> bytes:
        """A recording."""
        return await wire.recording(self._settings, ref, egress)

    async def check(self, egress: Egress) -> Sequence[Finding]:
        """Is the token good, is the number ours, and does it call us?"""
        return await checked(self._settings, self._settings.number, "voice_url", egress)

    async def _turn(
        self, name: str, language: str, where: calls.Where, envelope: Envelope, desk: Desk, tries: int = 0
    ) -> Reply:
        turn = self._menu.turn(name, language, envelope.at, await desk.notices())
        return twiml.response(turn, where.base, where.step + 1, tries)

    async def _opens(self, digits: str, envelope: Envelope, desk: Desk) -> bool:
        return len(digits) == voice.PIN_DIGITS and digits.isdecimal() and await desk.redeem(digits, envelope)

    def _language(self, number: str) -> str:
        """By the caller's number, which is a claim: it chooses a greeting and nothing else."""
        known = [prefix for prefix in self._settings.by_number if number.startswith(prefix)]
        return self._settings.by_number[max(known, key=len)] if known else self._settings.languages[0]

    def _known(self, language: str) -> str:
        return language if language in self._settings.languages else self._settings.languages[0]
