"""What the hub gives to a plugin, for tests: a clock that is turned by hand, and ports that record what was asked."""

import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from plugins.errors import Retry
from plugins.model import Answer, Call, Done, Envelope, Line, Received, Signal
from plugins.protocols import Link

START = datetime(2026, 11, 21, 12, tzinfo=UTC)


class FakeClock:
    """Starts at noon of 2026-11-21 UTC; `sleep` returns at once, that much later."""

    def __init__(self, at: datetime = START) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


class StubEgress:
    """Records calls; `answer` makes the answers and may raise any contract error."""

    def __init__(
        self,
        answer: Callable[[Call], Answer] = lambda call: Answer(status=200, body=b"{}"),  # noqa: ARG005  # the default looks at nothing
        *,
        blobs: Mapping[str, bytes] | None = None,
        clock: FakeClock | None = None,
    ) -> None:
        self.clock = clock or FakeClock()
        self.calls: list[Call] = []
        self.tokens: dict[str, bytes] = {}
        self.blobs = dict(blobs or {})
        self._answer = answer

    async def call(self, call: Call, *, expect: Collection[int] = ()) -> Answer:  # the answer decides
        self.calls.append(call)
        return self._answer(call)

    async def token(self, name: str, renew: Callable[[bytes | None], Awaitable[tuple[bytes, datetime]]]) -> bytes:
        if name not in self.tokens:
            self.tokens[name], _ = await renew(None)
        return self.tokens[name]

    async def blob(self, sha256: str) -> bytes:
        return self.blobs[sha256]


class StubAttempt(StubEgress):
    """One try of one step; `effects` counts those that a person would notice twice."""

    def __init__(
        self,
        answer: Callable[[Call], Answer] = lambda call: Answer(status=200, body=b"{}"),  # noqa: ARG005  # as above
        *,
        key: str = "attempt-1",
        ticket: str = "",
        made: Sequence[Done] = (),
        blobs: Mapping[str, bytes] | None = None,
    ) -> None:
        super().__init__(answer, blobs=blobs)
        self.key = key
        self.number = 1
        self.ticket = ticket
        self.made = made
        self._others = 0

    def effect(self) -> None:
        self._others += 1

    @property
    def effects(self) -> int:
        http = [c for c in self.calls if (c.effect if c.effect is not None else c.method not in {"GET", "HEAD"})]
        return len(http) + self._others


class StubHub(StubEgress):
    """A hub that journals in memory: `envelopes` by key, `cursors` by name, `seen` counts signs of life."""

    def __init__(
        self, answer: Callable[[Call], Answer] | None = None, *, blobs: Mapping[str, bytes] | None = None
    ) -> None:
        super().__init__(*([answer] if answer else []), blobs=blobs)
        self.envelopes: dict[str, Envelope] = {}
        self.cursors: dict[str, bytes] = {}
        self.lines: dict[str, list[Line]] = {}
        self.signals: list[tuple[str, str]] = []
        self.redeemable: set[str] = set()
        self.seen = 0

    async def receive(
        self,
        *envelopes: Envelope,
        cursor: bytes | None = None,
        name: str = "",
        wait: bool = True,  # never full
    ) -> Sequence[Received]:
        answers = []
        for envelope in envelopes:
            fresh = envelope.key not in self.envelopes
            self.envelopes.setdefault(envelope.key, envelope)
            answers.append(self.received(envelope, fresh=fresh))
        if cursor is not None:
            self.cursors[name] = cursor
        return answers

    def received(self, envelope: Envelope, *, fresh: bool = True) -> Received:
        """What the journal would answer: the same number and receipt for the same key."""
        number = int.from_bytes(hashlib.sha256(envelope.key.encode()).digest()[:6], "big")
        return Received(id=number, fresh=fresh, receipt=f"R{number:015d}")

    async def cursor(self, name: str = "") -> bytes | None:
        return self.cursors.get(name)

    def alive(self) -> None:
        self.seen += 1

    async def dial(self, call: Call) -> Link:
        self.calls.append(call)
        raise Retry("nothing listens there")

    async def last(self, thread: str) -> int:
        return max((line.seq for line in self.lines.get(thread, [])), default=0)

    async def feed(self, thread: str, after: int) -> AsyncGenerator[Line | Signal, None]:
        for line in self.lines.get(thread, []):
            if line.seq > after:
                yield line

    def signal(self, thread: str, what: str) -> None:
        self.signals.append((thread, what))

    async def reference(self, envelope: Envelope) -> str:
        return self.received(envelope).receipt

    async def notices(self) -> Sequence[str]:
        return ()

    async def redeem(self, token: str, envelope: Envelope) -> bool:  # any envelope
        return token in self.redeemable
