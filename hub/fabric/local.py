"""The fabric of one process, in memory; also what a node falls back on when it can't reach the others."""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from hub.fabric import PRESENCE, Limit
from plugins import Clock

MOST = 10_000
"""Topics, windows and subjects that are remembered, because strangers may name any; of more some are forgotten."""
WORDS = 16
"""Different words that wait for one follower: those of signals, such as typing."""

K = TypeVar("K")
V = TypeVar("V")


class _Topic:
    __slots__ = ("event", "waiting")

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.waiting = 0


class Follower:
    """What one who follows a topic has been told and has not taken yet: each word once, in order."""

    def __init__(self) -> None:
        """For `LocalFabric.following`."""
        self._words: dict[str, None] = {}
        self._told = asyncio.Event()

    def tell(self, what: str) -> None:
        """Words beyond `WORDS` are left out, but for "", after which the store is looked into."""
        if len(self._words) < WORDS or not what:
            self._words[what] = None
        self._told.set()

    async def news(self, seconds: float) -> Collection[str]:
        """As the protocol says."""
        try:
            async with asyncio.timeout(seconds):
                await self._told.wait()
        except TimeoutError:
            return ()
        self._told.clear()
        words, self._words = list(self._words), {}
        return words


def fullest(counted: dict[K, V], weight: Callable[[K, V], tuple[float, int]]) -> dict[K, V]:
    """All, or of `MOST` the half that weighs most: (seconds that it lasts, how often it was counted).

    A limit that is nearly reached must hold while somebody comes from ten thousand addresses once.
    """
    if len(counted) < MOST:
        return counted
    return dict(sorted(counted.items(), key=lambda item: weight(*item))[MOST // 2 :])


class LocalFabric:
    """Topics that tasks wait on, the number of the newest event, limits that are counted together, who looks where."""

    trouble = ""

    def __init__(self, clock: Clock) -> None:
        """Limits and presence go by this clock."""
        self._clock = clock
        self._topics: dict[str, _Topic] = {}
        self._followers: dict[str, list[Follower]] = {}
        self._newest = 0
        self._grown = asyncio.Event()
        self._windows: dict[tuple[str, float], tuple[int, int]] = {}
        self._turns: dict[Limit, deque[float]] = {}
        """When the last n were let through, oldest first."""
        self._looking: dict[str, dict[str, float]] = {}

    async def start(self) -> None:
        """There is nothing to connect to."""

    async def close(self) -> None:
        """Nothing is held."""

    # ---- wake-ups --------------------------------------------------------------------------------------

    def wake(self, topic: str) -> None:
        """As the protocol says."""
        self._topic(topic).event.set()

    def wake_all(self) -> None:
        """Wake-ups may have been missed: everybody looks into the store."""
        for topic in self._topics.values():
            topic.event.set()
        for topic_name in self._followers:
            self.tell(topic_name)
        self._grow()

    async def wait(self, topic: str, seconds: float) -> None:
        """As the protocol says."""
        found = self._topic(topic)
        found.waiting += 1
        try:
            async with asyncio.timeout(seconds):
                await found.event.wait()
        except TimeoutError:
            return
        finally:
            found.waiting -= 1
        found.event.clear()

    def _topic(self, name: str) -> _Topic:
        found = self._topics.get(name)
        if found is None:
            if len(self._topics) >= MOST:  # a kept wake-up that is forgotten is found by looking
                self._topics = {n: topic for n, topic in self._topics.items() if topic.waiting}
            found = self._topics[name] = _Topic()
        return found

    # ---- live events -----------------------------------------------------------------------------------

    def announce(self, seq: int) -> None:
        """As the protocol says."""
        if seq > self._newest:
            self._newest = seq
            self._grow()

    async def beyond(self, after: int, seconds: float) -> None:
        """As the protocol says."""
        if self._newest > after:
            return
        grown = self._grown
        try:
            async with asyncio.timeout(seconds):
                await grown.wait()
        except TimeoutError:
            return

    def _grow(self) -> None:
        """All who wait wake, and those who come later wait for the next."""
        self._grown.set()
        self._grown = asyncio.Event()

    # ---- who follows -----------------------------------------------------------------------------------

    def tell(self, topic: str, what: str = "") -> None:
        """As the protocol says."""
        for follower in self._followers.get(topic, ()):
            follower.tell(what)

    @contextmanager
    def following(self, *topics: str) -> Iterator[Follower]:
        """As the protocol says."""
        follower = Follower()
        for topic in topics:
            self._followers.setdefault(topic, []).append(follower)
        try:
            yield follower
        finally:
            for topic in topics:
                left = self._followers[topic]
                left.remove(follower)
                if not left:
                    del self._followers[topic]

    # ---- limits ----------------------------------------------------------------------------------------

    def allow(self, key: str, most: int, seconds: float) -> bool:
        """As the protocol says."""
        return self.count(key, seconds)[1] <= most

    def count(self, key: str, seconds: float) -> tuple[int, int]:
        """(number of the current window, how often it was counted in it), this time included."""
        now = self._clock.now().timestamp()
        window = int(now // seconds)
        since, n = self._windows.get((key, seconds), (0, 0))
        if not since and len(self._windows) >= MOST:
            current = {(k, s): w for (k, s), w in self._windows.items() if w[0] == int(now // s)}
            self._windows = fullest(current, lambda key, window: (key[1], window[1]))
        n = n + 1 if since == window else 1
        self._windows[key, seconds] = (window, n)
        return window, n

    async def turn(self, limits: Sequence[Limit]) -> Sequence[float]:
        """As the protocol says."""
        now = self._clock.now().timestamp()
        waits = [self._wait(limit, now) for limit in limits]
        if not any(waits):
            self.took(limits)
        return waits

    def took(self, limits: Sequence[Limit]) -> None:
        """One was let through, here or by the word of all nodes."""
        now = self._clock.now().timestamp()
        for limit in limits:
            if limit not in self._turns and len(self._turns) >= MOST:
                current = {key: last for key, last in self._turns.items() if last[-1] + key[2] > now}
                self._turns = fullest(current, lambda key, last: (key[2], len(last)))
            self._turns.setdefault(limit, deque(maxlen=limit[1])).append(now)

    async def turned(self, limits: Sequence[Limit]) -> None:
        """As the protocol says."""
        now = self._clock.now().timestamp()
        for limit in limits:
            if limit in self._turns:
                self._turns[limit][-1] = now

    def _wait(self, limit: Limit, now: float) -> float:
        last = self._turns.get(limit)
        return 0.0 if last is None or len(last) < limit[1] else max(0.0, last[0] + limit[2] - now)

    # ---- presence --------------------------------------------------------------------------------------

    def look(self, subject: str, who: str) -> None:
        """As the protocol says."""
        now = self._clock.now().timestamp()
        if subject not in self._looking and len(self._looking) >= MOST:
            current = {s: there for s, there in self._looking.items() if max(there.values()) > now}
            self._looking = current if len(current) < MOST else {}
        self._looking.setdefault(subject, {})[who] = now + PRESENCE

    async def lookers(self, subject: str) -> Sequence[str]:
        """As the protocol says."""
        now = self._clock.now().timestamp()
        there = {who: until for who, until in self._looking.get(subject, {}).items() if until > now}
        if there:
            self._looking[subject] = there
        else:
            self._looking.pop(subject, None)
        return sorted(there)
