"""The checks of a connector that fetches: nothing lost, nothing doubled, wherever the hub dies; and it ends when told.

Part of `VendorConformance`, which has the stand-in.
"""

import asyncio
import itertools
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, ClassVar

from plugins.fit import roles
from plugins.model import Envelope, Message, Received
from plugins.testing.lines import LiveHub
from plugins.testing.standins import StandIn
from plugins.testing.stubs import FakeClock

ENDS_WITHIN = 1.0
"""Seconds from a cancellation to the end."""
QUIET = 0.3
"""Seconds after which a runner that does not sleep waits at the far side, as nothing has come."""


class _CrashError(Exception):
    """The hub died."""


class _CrashingHub(LiveHub):
    """Dies at its n-th `receive`: before anything of it is on disk, or just after and before the runner hears of it."""

    def __init__(self, at: int, *, after: bool) -> None:
        super().__init__()
        self.crashed = False
        self.known = 0
        """Signs of life before it died."""
        self._left, self._after = at, after

    async def receive(self, *envelopes: Envelope, **more: Any) -> Sequence[Received]:
        self._left -= 1
        if self._left:
            return await super().receive(*envelopes, **more)
        if self._after:
            await super().receive(*envelopes, **more)
        self.crashed, self.known = True, self.seen
        raise _CrashError


class _SleepyClock(FakeClock):
    """Whoever sleeps does so until cancelled."""

    def __init__(self) -> None:
        super().__init__()
        self.asleep = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.asleep.set()
        await asyncio.Event().wait()


class _SleepyHub(LiveHub):
    """Its clock stands still; after `over` nothing of it works, so that a runner that won't end does."""

    def __init__(self) -> None:
        super().__init__()
        self.sleepy = _SleepyClock()
        self.clock = self.sleepy
        self._over = False

    async def call(self, *given: Any, **more: Any) -> Any:
        if self._over:
            raise _CrashError
        return await super().call(*given, **more)

    async def end(self, task: "asyncio.Future[None]") -> bool:
        """Cancel it: does it end in time?"""
        task.cancel()
        await asyncio.wait({task}, timeout=ENDS_WITHIN)
        ended, self._over = task.done(), True
        if not ended:
            task.cancel()
            await asyncio.wait({task}, timeout=ENDS_WITHIN)
        with suppress(asyncio.CancelledError, _CrashError):
            await task  # what it raised comes out here
        return ended


class FetchingChecks:
    """Mixed into `VendorConformance`; skipped where the class is no `Runner`."""

    cls: ClassVar[type[Any]]
    patience: ClassVar[float] = 10.0
    """Seconds that the runner may take to bring what was pushed."""
    cannot: Any
    make: Any
    polling: Any
    _live: Any
    _new: Any
    _hides: Any

    async def test_runner_brings_every_event_and_goes_on_where_it_stopped(self) -> None:
        self._needs_runner()
        async with self._live() as (far, _):
            hub = LiveHub()
            await far.push(far.says("one"), far.says("two"))
            await self._run_until(far, hub, lambda: len(hub.envelopes) >= 2)
            await far.push(far.says("three"))
            await self._run_until(far, hub, lambda: len(hub.envelopes) >= 3)
            assert self._texts(hub) == ["one", "two", "three"]

    async def test_runner_whose_hub_crashed_loses_and_doubles_nothing(self) -> None:
        self._needs_runner()
        for after in (False, True):
            for at in itertools.count(1):
                async with self._live() as (far, _):
                    hub = _CrashingHub(at, after=after)
                    await far.push(far.says("one"), far.says("two"))
                    await self._brought(far, hub, 2)
                    await far.push(far.says("three"))
                    await self._brought(far, hub, 3)
                    assert self._texts(hub) == ["one", "two", "three"]
                if not hub.crashed:  # so often is `receive` not called
                    assert at > 1
                    break

    async def test_runner_ends_within_a_second_when_cancelled(self) -> None:
        self._needs_runner()
        async with self._live(self.polling()) as (far, made):
            hub = _SleepyHub()
            task = asyncio.ensure_future(made.run(hub))
            while not hub.calls:  # noqa: ASYNC110  # until it waits at the far side
                await asyncio.sleep(0.01)
            assert await hub.end(task), "it goes on when cancelled while it asks"
            assert far.refused == []

    async def test_runner_that_has_nothing_to_do_ends_within_a_second_when_cancelled(self) -> None:
        self._needs_runner()
        async with self._live(self.polling()) as (far, made):
            hub = _SleepyHub()
            await far.push(far.says("one"))
            task = asyncio.ensure_future(made.run(hub))
            async with asyncio.timeout(self.patience):
                while not hub.envelopes and not task.done():  # noqa: ASYNC110  # a plain value
                    await asyncio.sleep(0.01)
            with suppress(TimeoutError):
                await asyncio.wait_for(hub.sleepy.asleep.wait(), QUIET)
            assert await hub.end(task), "it goes on when cancelled while it rests"

    async def _brought(self, far: StandIn, hub: _CrashingHub, number: int) -> None:
        """Until so many events are on disk; in a second life, if the hub dies."""
        died = hub.crashed
        with suppress(_CrashError):
            await self._run_until(
                far, hub, lambda: len(hub.envelopes) >= number or (hub.crashed and not died and hub.seen > hub.known)
            )
        await self._run_until(far, hub, lambda: len(hub.envelopes) >= number)

    def _needs_runner(self) -> None:
        if "runner" not in roles(self.cls):
            self.cannot("has no runner")

    async def _run_until(self, far: StandIn, hub: LiveHub, true: Any) -> None:
        """A new connector each time: nothing is remembered but what the hub keeps."""
        task = asyncio.ensure_future(self._new(far, self.polling()).run(hub))
        try:
            async with asyncio.timeout(self.patience):
                while not true() and not task.done():  # noqa: ASYNC110  # what it asks is a plain value
                    await asyncio.sleep(0.01)
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task  # what it raised comes out here
        self._hides(*hub.cursors.values(), repr(list(hub.envelopes.values())), repr(hub.calls))

    def _texts(self, hub: LiveHub) -> list[str]:
        items = [item for envelope in hub.envelopes.values() for item in self.make().parse(envelope)]
        return [item.text for item in items if isinstance(item, Message)]
