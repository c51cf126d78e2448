"""The fabric of one process: wake-ups and shared limits in memory."""

import asyncio
from collections import defaultdict

from plugins import Clock


class LocalFabric:
    """Topics that tasks wait on, and limits that are counted together."""

    def __init__(self, clock: Clock) -> None:
        """Limits count by this clock."""
        self._clock = clock
        self._topics: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._windows: dict[str, tuple[float, int]] = {}

    def wake(self, topic: str) -> None:
        """There is work: a wake-up while nobody waits is kept until somebody does."""
        self._topics[topic].set()

    async def wait(self, topic: str, seconds: float) -> None:
        """Return at the next wake-up, or after `seconds`: work is found in the store even if a wake-up is lost."""
        event = self._topics[topic]
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            return
        event.clear()

    def allow(self, key: str, most: int, seconds: float) -> bool:
        """Count one for `key`; False once `most` were counted in the current window."""
        now = self._clock.now().timestamp()
        since, n = self._windows.get(key, (now, 0))
        if now - since >= seconds:
            since, n = now, 0
            if len(self._windows) > 10_000:  # forget the windows that have passed: strangers may send any key
                self._windows = {k: w for k, w in self._windows.items() if now - w[0] < seconds}
        self._windows[key] = (since, n + 1)
        return n < most
