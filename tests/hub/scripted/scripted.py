"""A channel and four targets that do what a test says: written as a third party would, against the façade alone.

The far side keeps a ledger of every effect. A script is a list of words, one for each try:
ok · retry · refuse · pause · uncertain · lost (the effect, then no answer) · late (the effect, then silence) ·
bug · bug_after (after the effect) · cancelled · exit · garbage. After its last word all goes well.
"""

import asyncio
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import msgspec
from msgspec import Struct

from plugins import (
    Attempt,
    Capabilities,
    Channel,
    Connector,
    Done,
    Egress,
    Envelope,
    HubPort,
    Identity,
    Item,
    Malformed,
    NotAuthentic,
    Open,
    Outgoing,
    Pause,
    Refuse,
    Reply,
    Request,
    Retry,
    Say,
    Secret,
    StaleKeys,
    Step,
    Ticketing,
    TicketWork,
    Uncertain,
    hookimpl,
)

_items = msgspec.json.Decoder(list[Item])


CLASSES: dict[str, dict[str, Any]] = {
    "A": {"key_life": 60.0},
    "B": {"find_lag": 0.05},
    "C": {},
    "harmless": {"harmless": True},
}


class Effect(Struct, frozen=True):
    """What the far side has had done to it."""

    key: str
    body: bytes
    ref: str


class FarSide:
    """Effects with a ledger; which class of target it is stands in `kind_of_step`."""

    def __init__(self, kind_of_step: str) -> None:
        self.kind_of_step = kind_of_step
        self.script: list[str] = []
        self.asks: list[str] = []
        """Words for `find`: retry, bug; then it answers."""
        self.ledger: list[Effect] = []
        self.tried: list[tuple[str, bytes, int]] = []
        self.asked = 0
        self.gate: asyncio.Event | None = None
        """Closed: every try waits before its effect."""
        self.error: BaseException | None = None
        """What `raise` raises."""
        self.rates: Sequence[Any] = ()
        self.plans: Any = None
        """What `plan` returns instead of a plan."""

    def steps(self, body: bytes) -> Sequence[Step]:
        if self.plans is not None:
            return self.plans
        more: dict[str, Any] = {
            "A": {"key_life": 60.0},
            "B": {"find_lag": 0.05},
            "C": {},
            "harmless": {"harmless": True},
        }
        return [Step(kind="do", body=part, **more[self.kind_of_step]) for part in body.split(b"|")]

    def bodies(self) -> list[bytes]:
        return [effect.body for effect in self.ledger]

    async def try_once(self, step: Step, attempt: Attempt) -> Done:
        self.tried.append((attempt.key, step.body, attempt.number))
        if self.gate is not None:
            await self.gate.wait()
        word = self.script.pop(0) if self.script else "ok"
        self._before(word)
        attempt.effect()
        done = self._effect(step, attempt.key)
        if word == "lost":
            raise ConnectionResetError("the answer got lost")
        if word == "late":
            await asyncio.Event().wait()
        if word == "bug_after":
            raise ZeroDivisionError("after the effect")
        return "what?" if word == "garbage" else done  # type: ignore[return-value]

    def _before(self, word: str) -> None:
        match word:
            case "retry":
                raise Retry("not now")
            case "refuse":
                raise Refuse("no_such_recipient", "nobody \x00 here \ud800")
            case "pause":
                raise Pause("credentials")
            case "uncertain":
                raise Uncertain("who knows")
            case "bug":
                raise ZeroDivisionError("before the effect")
            case "cancelled":
                raise asyncio.CancelledError
            case "exit":
                sys.exit(3)
            case "raise" if self.error is not None:
                raise self.error

    def _effect(self, step: Step, key: str) -> Done:
        known = next((effect for effect in self.ledger if effect.key == key), None)
        if known is not None and self.kind_of_step in ("A", "harmless"):
            return Done(ref=known.ref)
        effect = Effect(key, step.body, f"far-{len(self.ledger) + 1}")
        self.ledger.append(effect)
        return Done(ref=effect.ref, objects=[effect.ref])

    async def look(self, step: Step, attempt: Attempt) -> Sequence[Done]:
        self.asked += 1
        word = self.asks.pop(0) if self.asks else "ok"
        if word != "ok":
            raise ZeroDivisionError("can't be asked")
        return [Done(ref=effect.ref) for effect in self.ledger if effect.key == attempt.key]


class LineSettings(Struct, frozen=True, kw_only=True):
    channel: Channel = "chat"
    sends_to: tuple[str, ...] = ("chat",)
    address: str = ""
    steps: str = "A"


class Line:
    """A webhook whose body is a list of items, and which can answer."""

    contract: ClassVar[int] = 1
    kind: ClassVar[str] = "line"
    settings_type: ClassVar[type[LineSettings]] = LineSettings
    isolate: ClassVar[bool] = False
    accepted = Reply(body=b"kept\n")

    def __init__(self, instance: str, settings: LineSettings) -> None:
        self.settings = settings
        self.far = FarSide(settings.steps)
        self.mended = False
        """True: `parse` reads what it raised on before."""
        self.readings: dict[bytes, bytes] = {}
        """What other items a mended parser finds in the same bytes."""
        self.media: dict[str, bytes] = {}
        self.fetched: list[str] = []
        self.signing_keys = ["right"]

    @property
    def channel(self) -> Channel:
        return self.settings.channel

    @property
    def capabilities(self) -> Capabilities:
        own = [Identity(scheme="email", value=self.settings.address)] if self.settings.address else []
        return Capabilities(
            sends_to=frozenset(self.settings.sends_to), own=frozenset(own), max_body=40 << 20, rates=self.far.rates
        )

    def verify(self, request: Request) -> Envelope | Reply:
        match request.header("x-do"):
            case "bug":
                raise ZeroDivisionError("verify")
            case "exit":
                sys.exit(3)
            case "malformed":
                raise Malformed("what is this")
            case "challenge":
                return Reply(body=request.body)
        if request.header("x-sign") == "unknown":
            raise StaleKeys
        if request.header("x-sign") not in self.signing_keys:
            raise NotAuthentic("sign")
        return Envelope(
            key=request.header("x-key"), raw=request.body, at=request.at, lane=request.header("x-lane"),
            facts={"do": request.header("x-parse")},
        )  # fmt: skip

    def parse(self, envelope: Envelope) -> Iterable[Item]:
        word = "" if self.mended else envelope.facts.get("do", "")
        if word == "raise":
            raise ValueError(f"can't read {envelope.raw[:20]!r} \x00 \ud800")
        if word == "exit":
            sys.exit(3)
        if word == "hang":
            time.sleep(3)
        return _items.decode(self.readings.get(envelope.raw, envelope.raw))

    def plan(self, work: Outgoing) -> Sequence[Step]:
        return self.far.steps(f"{work.to.value}: {work.text}".encode())

    def place(self, step: Step) -> str:
        return step.body.decode().partition(":")[0]

    async def perform(self, step: Step, attempt: Attempt) -> Done:
        return await self.far.try_once(step, attempt)

    async def find(self, step: Step, attempt: Attempt) -> Sequence[Done]:
        return await self.far.look(step, attempt)

    async def fetch(self, ref: str, egress: Egress) -> bytes:
        self.fetched.append(ref)
        if ref not in self.media:
            raise Retry("not there yet")
        return self.media[ref]


class Apart(Line):
    """The same, parsed in worker processes."""

    kind: ClassVar[str] = "apart"
    isolate: ClassVar[bool] = True


class RadioSettings(Struct, frozen=True, kw_only=True):
    does: str = "listen"
    token: Secret | None = None


class Radio:
    """A runner that raises, hangs, returns, ignores that it is told to stop, or raises then ("sore")."""

    contract: ClassVar[int] = 1
    kind: ClassVar[str] = "radio"
    settings_type: ClassVar[type[RadioSettings]] = RadioSettings
    channel: ClassVar[Channel] = "phone"
    isolate: ClassVar[bool] = False
    once: ClassVar[bool] = True
    capabilities = Capabilities()

    def __init__(self, instance: str, settings: RadioSettings) -> None:
        self.does = settings.does
        self.token = settings.token.reveal() if settings.token else ""
        self.port: HubPort | None = None
        self.runs = 0
        self.let_go = asyncio.Event()
        """Ends a runner that ignores being cancelled."""

    async def run(self, hub: HubPort) -> None:
        self.port = hub
        self.runs += 1
        match self.does:
            case "raise":
                raise ConnectionError(f"no carrier \x00 \ud800 at https://air.test/bot{self.token}/listen")
            case "exit":
                sys.exit(3)
            case "cancelled":
                raise asyncio.CancelledError
            case "return":
                return
        while self.does == "stubborn":
            try:
                await self.let_go.wait()
            except asyncio.CancelledError:
                continue
            return
        try:
            await asyncio.Event().wait()
        finally:
            if self.does == "sore":
                raise ConnectionError("cut off")

    def parse(self, envelope: Envelope) -> Iterable[Item]:
        return _items.decode(envelope.raw)


class ToolSettings(Struct, frozen=True, kw_only=True):
    steps: str = "A"
    pace: float = 0.0


class Tool:
    """A ticketing tool of a chosen class, whose tickets can be read back."""

    contract: ClassVar[int] = 1
    kind: ClassVar[str] = "tool"
    settings_type: ClassVar[type[ToolSettings]] = ToolSettings
    isolate: ClassVar[bool] = False
    capabilities = Capabilities(verbs=frozenset({"open", "say"}))
    accepted = Reply()

    def __init__(self, instance: str, settings: ToolSettings) -> None:
        self.far = FarSide(settings.steps)
        self.tickets: dict[str, bytes] = {}
        """Ticket → the items that reading it gives."""

    def verify(self, request: Request) -> Envelope | Reply:
        return Envelope(key=request.header("x-key"), raw=request.body, at=request.at)

    def parse(self, envelope: Envelope) -> Iterable[Item]:
        return _items.decode(envelope.raw)

    def plan(self, work: TicketWork) -> Sequence[Step]:
        assert isinstance(work, Open | Say)
        return self.far.steps(f"{'open' if isinstance(work, Open) else 'say'} {work.text}".encode())

    async def perform(self, step: Step, attempt: Attempt) -> Done:
        return await self.far.try_once(step, attempt)

    async def find(self, step: Step, attempt: Attempt) -> Sequence[Done]:
        return await self.far.look(step, attempt)

    async def read(self, ticket: str, egress: Egress) -> Envelope:
        return Envelope(
            key=f"read {ticket} {len(self.tickets[ticket])}", raw=self.tickets[ticket], at=egress.clock.now()
        )


@hookimpl
def register_connectors() -> Sequence[type[Connector]]:
    return [Line, Apart, Radio]


@hookimpl
def register_ticketing() -> Sequence[type[Ticketing]]:
    return [Tool]
