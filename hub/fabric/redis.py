"""The fabric of several nodes: one channel for wake-ups and news, counters for limits, a sorted set for presence.

Nobody's call waits for the network. What is to be told gathers in memory and one task sends it in one round trip, what
is told is heard by another; either connects anew by itself, with growing pauses. Until then each node goes on alone:
work is found by polling, limits are counted here. After a reconnection everybody is woken once, since what was said in
between is gone: Redis keeps nothing.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from hashlib import sha256
from secrets import token_hex
from typing import Any

import msgspec
import structlog
from msgspec import Struct
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from hub.fabric import BOUND, PRESENCE, Following, Limit
from hub.fabric.local import MOST, LocalFabric, fullest
from plugins import Clock

log = structlog.get_logger("trunkline.fabric")

ROUND_TRIP = 1.0
"""Seconds after which Redis is held to be away; redis-py's own retries would take four (libraries.md)."""
BEAT = 2.0
"""Seconds between two signs of life while there is nothing to tell."""
GATHER = 0.01
"""Seconds between two round trips under load: what is told in between shares the next one."""
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0


TURN = """
local at = redis.call('TIME')
local now, waits, free = at[1] * 1000 + math.floor(at[2] / 1000), {}, true
for i, key in ipairs(KEYS) do
  local nth = redis.call('LINDEX', key, -tonumber(ARGV[2 * i - 1]))
  waits[i] = nth and math.max(0, nth + ARGV[2 * i] - now) or 0
  free = free and waits[i] == 0
end
for i, key in ipairs(free and KEYS or {}) do
  redis.call('RPUSH', key, string.format('%d', now))
  redis.call('LTRIM', key, -ARGV[2 * i - 1], -1)
  redis.call('PEXPIRE', key, ARGV[2 * i])
end
return waits
"""
TURNED = """
local at = redis.call('TIME')
local now = string.format('%d', at[1] * 1000 + math.floor(at[2] / 1000))
for i, key in ipairs(KEYS) do
  if redis.call('EXISTS', key) == 1 then
    redis.call('LSET', key, -1, now)
    redis.call('PEXPIRE', key, ARGV[2 * i])
  end
end
return {}
"""
"""A list of the last n moments for each limit, in milliseconds of Redis' own clock: no node's clock counts."""


class _Said(Struct, frozen=True, omit_defaults=True):
    """What one node tells all in one round trip."""

    node: str
    wake: Sequence[str] = ()
    tell: Sequence[tuple[str, str]] = ()
    seq: int = 0


_said = msgspec.json.Decoder(_Said)


@dataclass(slots=True)
class _Count:
    """One key's counts in one window: by us, of these told to Redis, and by all as Redis said last."""

    window: int
    lasts: float
    own: int = 0
    told: int = 0
    all: int = 0


class RedisFabric:
    """What `LocalFabric` does, on all nodes that share the Redis and the `installation`."""

    def __init__(self, url: str, password: str, installation: str, clock: Clock) -> None:
        """`url` is redis://, rediss:// or unix://. Several installations may share one Redis."""
        self.trouble = ""
        self._local = LocalFabric(clock)
        self._clock = clock
        self._node = token_hex(4)
        self._prefix = f"trunkline:{installation}"
        given: dict[str, Any] = {"password": password} if password else {}
        self._redis: Redis = Redis.from_url(
            url, socket_timeout=ROUND_TRIP, socket_connect_timeout=ROUND_TRIP, retry=Retry(NoBackoff(), 0), **given
        )
        self._topics: set[str] = set()
        self._words: set[tuple[str, str]] = set()
        self._announced = 0
        self._counts: dict[tuple[str, float], _Count] = {}
        self._counted: set[tuple[str, float]] = set()
        self._looks: dict[tuple[str, str], float] = {}
        self._to_tell = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._heard = self._told = True
        """Did the last attempt of each task succeed?"""

    async def start(self) -> None:
        """As the protocol says."""
        for name, part in (("tell", self._tell_on), ("hear", self._hear_on)):
            self._tasks.append(asyncio.create_task(self._keep(name, part), name=f"fabric-{name}"))

    async def close(self) -> None:
        """As the protocol says."""
        left: set[asyncio.Task[None]] = set(self._tasks)
        while left:  # redis-py takes a cancellation that meets its own time-out for the latter
            for task in left:
                task.cancel()
            _, left = await asyncio.wait(left, timeout=0.1)
        with suppress(RedisError, OSError):
            await self._redis.aclose()

    # ---- what the hub says and asks ---------------------------------------------------------------------

    def wake(self, topic: str) -> None:
        """As the protocol says."""
        self._local.wake(topic)
        if len(self._topics) < MOST:
            self._topics.add(topic)
        self._to_tell.set()

    async def wait(self, topic: str, seconds: float) -> None:
        """As the protocol says."""
        await self._local.wait(topic, seconds)

    def tell(self, topic: str, what: str = "") -> None:
        """As the protocol says."""
        self._local.tell(topic, what)
        if len(self._words) < MOST:
            self._words.add((topic, what))
        self._to_tell.set()

    def following(self, *topics: str) -> AbstractContextManager[Following]:
        """As the protocol says."""
        return self._local.following(*topics)

    def announce(self, seq: int) -> None:
        """As the protocol says."""
        self._local.announce(seq)
        self._announced = max(self._announced, seq)
        self._to_tell.set()

    async def beyond(self, after: int, seconds: float) -> None:
        """As the protocol says."""
        await self._local.beyond(after, seconds)

    def allow(self, key: str, most: int, seconds: float) -> bool:
        """As the protocol says."""
        window, own = self._local.count(key, seconds)
        found = self._counts.get((key, seconds))
        if found is None or found.window != window:
            if found is None and len(self._counts) >= MOST:
                current = {k: c for k, c in self._counts.items() if c.window == int(self._seconds() // c.lasts)}
                self._counts = fullest(current, lambda _, count: (count.lasts, max(count.own, count.all)))
            found = self._counts[key, seconds] = _Count(window, seconds)
        found.own = own
        if not self.trouble:
            self._counted.add((key, seconds))
            self._to_tell.set()
        return max(own, found.all + own - found.told) <= most

    async def turn(self, limits: Sequence[Limit]) -> Sequence[float]:
        """As the protocol says."""
        waits = await self._at_redis(TURN, limits)
        if waits is None:
            return await self._local.turn(limits)
        if not any(waits):
            self._local.took(limits)  # to go on by, if Redis goes away
        return [wait / 1000 for wait in waits]

    async def turned(self, limits: Sequence[Limit]) -> None:
        """As the protocol says."""
        await self._local.turned(limits)
        await self._at_redis(TURNED, limits)

    async def _at_redis(self, script: str, limits: Sequence[Limit]) -> list[int] | None:
        """None: it does not answer."""
        if self.trouble:
            return None
        keys = [f"{self._prefix}:turn:{sha256(key.encode()).hexdigest()[:32]}:{n}:{s:g}" for key, n, s in limits]
        numbers = [number for _, n, seconds in limits for number in (n, int(seconds * 1000))]
        asked: Any = self._redis.eval(script, len(keys), *keys, *numbers)  # redis-py's types are those of both clients
        try:
            async with asyncio.timeout(BOUND):
                found: list[int] = await asked
        except (RedisError, OSError, TimeoutError):
            return None
        return found

    def look(self, subject: str, who: str) -> None:
        """As the protocol says."""
        self._local.look(subject, who)
        if len(self._looks) < MOST:
            self._looks[subject, who] = self._seconds() + PRESENCE
        self._to_tell.set()

    async def lookers(self, subject: str) -> Sequence[str]:
        """As the protocol says."""
        here = await self._local.lookers(subject)
        if self.trouble:
            return here
        try:
            async with asyncio.timeout(BOUND):
                found: list[Any] = await self._redis.zrangebyscore(
                    self._presence(subject), f"({self._seconds()}", "+inf"
                )
        except (RedisError, OSError, TimeoutError):
            return here
        return sorted({*here, *(name.decode() for name in found)})

    def _presence(self, subject: str) -> str:
        return f"{self._prefix}:look:{sha256(subject.encode()).hexdigest()[:32]}"

    def _seconds(self) -> float:
        return self._clock.now().timestamp()

    # ---- tell ------------------------------------------------------------------------------------------

    async def _tell_on(self, connected: Callable[[], None]) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(0 if not self._told else BEAT):
                    await self._to_tell.wait()
            self._to_tell.clear()
            await self._tell()
            connected()
            await asyncio.sleep(GATHER)

    async def _tell(self) -> None:
        """Everything that gathered, in one round trip. If it is lost: waits end by themselves, counts are kept here."""
        topics, self._topics = self._topics, set()
        words, self._words = self._words, set()
        counted, self._counted = self._counted, set()
        looks, self._looks = self._looks, {}
        seq, self._announced = self._announced, 0
        said = [_Said(self._node, wake=sorted(topics), tell=sorted(words), seq=seq)] if topics or words or seq else []
        counts = [(key, count) for key in counted if (count := self._counts.get(key)) and count.own > count.told]
        pipe: Any  # redis-py's types are those of a client, whose calls are awaited
        async with self._redis.pipeline(transaction=False) as pipe:
            for key, count in counts:
                name = f"{self._prefix}:limit:{sha256(key[0].encode()).hexdigest()[:32]}:{key[1]:g}:{count.window}"
                pipe.incrby(name, count.own - count.told)
                pipe.expire(name, int(count.lasts) + 60)
            for (subject, who), until in looks.items():
                pipe.zadd(self._presence(subject), {who: until})
                pipe.zremrangebyscore(self._presence(subject), "-inf", self._seconds())
                pipe.expire(self._presence(subject), int(PRESENCE) + 60)
            for one in said:  # last: whoever hears of something finds it
                pipe.publish(self._prefix, msgspec.json.encode(one))
            pipe.ping()
            owns = [count.own for _, count in counts]
            answers = await pipe.execute()
        for n, ((_, count), own) in enumerate(zip(counts, owns, strict=True)):
            count.told, count.all = own, int(answers[2 * n])

    # ---- hear ------------------------------------------------------------------------------------------

    async def _hear_on(self, connected: Callable[[], None]) -> None:
        async with self._redis.pubsub(ignore_subscribe_messages=True) as channel:
            await channel.subscribe(self._prefix)
            connected()
            self._local.wake_all()  # what was said meanwhile is gone
            quiet = 0
            while True:
                message = await channel.get_message(timeout=BEAT)
                if message is None:
                    quiet += 1
                    if quiet > 2:  # not even the answer to our ping came
                        raise TimeoutError("Redis says nothing any more")
                    await channel.ping()
                    continue
                quiet = 0
                if message["type"] == "message":
                    self._hear(message["data"])

    def _hear(self, data: bytes) -> None:
        try:
            said = _said.decode(data)
        except msgspec.MsgspecError:  # a newer release's, which runs beside us during an upgrade
            return
        if said.node == self._node:
            return
        for topic in said.wake:
            self._local.wake(topic)
        for topic, what in said.tell:
            self._local.tell(topic, what)
        if said.seq:
            self._local.announce(said.seq)

    # ---- connection --------------------------------------------------------------------------------------

    async def _keep(self, name: str, part: Callable[[Callable[[], None]], Awaitable[None]]) -> None:
        """Until cancelled; a lost connection is made anew after a pause that doubles, with jitter."""
        pause = FIRST_PAUSE

        def connected() -> None:
            nonlocal pause
            pause = FIRST_PAUSE
            self._note(name, "")

        while True:
            try:
                await part(connected)
            except (RedisError, OSError, TimeoutError) as error:
                self._note(name, f"{type(error).__name__}: {error}")
            await asyncio.sleep(random.uniform(pause / 2, pause))  # noqa: S311  # jitter, not a secret
            pause = min(pause * 2, LONGEST_PAUSE)

    def _note(self, name: str, error: str) -> None:
        """One line in the log when it goes and one when it is back, whichever connection saw it."""
        was = self.trouble
        if name == "tell":
            self._told = not error
        else:
            self._heard = not error
        self.trouble = "" if self._told and self._heard else error or was
        if self.trouble and not was:
            log.warning("fabric.away", why=self.trouble)
        elif was and not self.trouble:
            log.info("fabric.back")
