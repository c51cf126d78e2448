"""A hub that journals as the real one does (key and fingerprint), and mails to send through it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from connectors.channels.email.settings import EmailSettings, Imap, Listen, Timeouts
from plugins import Busy, Envelope, Received, Secret
from plugins.testing.stubs import FakeClock, StubAttempt, StubHub

ADDRESS = "support@hub.example"


class WallClock(FakeClock):
    """IMAP servers date mails by the machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class Journal(StubHub):
    """Keeps what it received in order; `until` waits for it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.clock = WallClock()
        self.taken: list[Envelope] = []
        self.repeats = 0
        self.busy = False
        self._known: set[tuple[str, bytes]] = set()
        self._changed = asyncio.Event()

    async def receive(
        self, *envelopes: Envelope, cursor: bytes | None = None, name: str = "", wait: bool = True
    ) -> Sequence[Received]:
        while self.busy:
            if not wait:
                raise Busy
            await asyncio.sleep(0.01)
        answers = []
        for envelope in envelopes:
            seen = (envelope.key, envelope.fingerprint)
            fresh = seen not in self._known
            self._known.add(seen)
            self.taken += [envelope] if fresh else []
            self.repeats += not fresh
            answers.append(self.received(envelope, fresh=fresh))
        if cursor is not None:
            self.cursors[name] = cursor
        self._changed.set()
        return answers

    def alive(self) -> None:
        super().alive()
        self._changed.set()

    async def until(self, true: Callable[[], bool], seconds: float = 20) -> None:
        async with asyncio.timeout(seconds):
            while not true():
                self._changed.clear()
                await self._changed.wait()

    async def until_taken(self, count: int) -> None:
        await self.until(lambda: len(self.taken) >= count)


class Attempt(StubAttempt):
    pass


def mail(number: int | str, body: str = "hello") -> bytes:
    lines = [
        "From: Ann Lee <ann@acme.test>",
        f"To: {ADDRESS}",
        f"Subject: Matter {number}",
        f"Message-ID: <m{number}@acme.test>",
        "Date: Sat, 21 Nov 2026 10:00:00 +0000",
        "",
        body,
        "",
    ]
    return "\r\n".join(lines).encode()


def imap_settings(port: int, user: str, **more: Any) -> EmailSettings:
    outer = {name: more.pop(name) for name in ("max_bytes", "oauth") if name in more}
    given: dict[str, Any] = {"host": "127.0.0.1", "port": port, "tls": "none", "user": user, "poll": 30.0}
    given |= {
        "password": None if "oauth" in outer else Secret("secret"),
        "timeouts": Timeouts(connect=5, login=5),
    } | more
    return EmailSettings(address=ADDRESS, imap=Imap(**given), **outer)


def listen_settings(**more: Any) -> EmailSettings:
    outer = {name: more.pop(name) for name in ("max_bytes",) if name in more}
    return EmailSettings(address=ADDRESS, aliases=("help@hub.example",), listen=Listen(port=0, **more), **outer)


@asynccontextmanager
async def running(work: Any) -> AsyncIterator["asyncio.Task[None]"]:
    """Run it beside the test; a failure of its own shows when the block ends well."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        ended = (await asyncio.gather(task, return_exceptions=True))[0]
    if isinstance(ended, Exception):
        raise ended
