"""What is done to two nodes on one PostgreSQL and one Redis, to these two, and to what lies between."""

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bench.faults.checker import Verdict
from bench.faults.load import Load
from bench.faults.nemesis import Times, acknowledged, judged, loading
from bench.faults.place import Place
from tests.servers import PostgreSQL, Redis

PATIENCE = 3.0
"""Seconds that a source waits for an answer: Slack's."""
QUIET = 0.5
"""Seconds of load between two faults."""


@dataclass
class Field:
    """Where a fault happens."""

    place: Place
    load: Load
    postgresql: PostgreSQL
    redis: Redis
    chance: random.Random
    stop: float
    """Seconds that a node is stopped."""


Harm = Callable[[Field], Awaitable[None]]


async def killed(field: Field) -> None:
    """kill -9; the other one goes on alone for a second."""
    node = field.chance.choice(field.place.nodes)
    await node.kill()
    await acknowledged(field.load)
    await asyncio.sleep(field.chance.uniform(0, 2))
    node.start()
    await node.ready()


async def stopped(field: Field) -> None:
    """SIGSTOP: what its kernel has taken for it waits, its connections stay open; then it goes on as if nothing was."""
    node = field.chance.choice(field.place.nodes)
    node.signal(signal.SIGSTOP)
    try:
        await acknowledged(field.load)
        await asyncio.sleep(field.stop)
    finally:
        node.signal(signal.SIGCONT)


async def redis_flushed(field: Field) -> None:
    field.redis.flush()


async def redis_away(field: Field) -> None:
    """Killed, and begun anew and empty."""
    field.redis.stop()
    await acknowledged(field.load)
    await asyncio.sleep(2)
    field.redis.start()


async def postgresql_crashed(field: Field) -> None:
    """`stop -m immediate` in the middle of everything; away for a moment."""
    field.postgresql.crash()
    await asyncio.sleep(field.chance.uniform(0, 1))
    field.postgresql.start()


HARMS: dict[str, Harm] = {
    "node killed": killed, "node stopped": stopped, "redis flushed": redis_flushed, "redis away": redis_away,
    "postgresql crashed": postgresql_crashed,
}  # fmt: skip


async def harmed(
    place: Place, harm: Harm, postgresql: PostgreSQL, redis: Redis, *, rounds: int, stop: float, off: str = ""
) -> Verdict:
    """`rounds` times under load; recovery is from the harm's beginning to the next acknowledgement of any node."""
    times = Times()
    async with place.far_side(slow=0.05):
        load = Load(place, patience=PATIENCE)
        for node in place.nodes:
            node.start({"TRUNKLINE_UNPROTECTED": off} if off else None)
        for node in place.nodes:
            await node.ready()
        field = Field(place, load, postgresql, redis, random.Random(place.seed), stop)
        async with loading(load):
            await acknowledged(load)
            for _ in range(rounds):
                await asyncio.sleep(field.chance.uniform(0, QUIET) + QUIET)
                watch = asyncio.create_task(_recovery(load, times))
                await harm(field)
                await watch
            await acknowledged(load)
        return await judged(place, times)


async def _recovery(load: Load, times: Times) -> None:
    """The first answer may have been under way; the second one came after the harm."""
    began = time.monotonic()
    await acknowledged(load, 60)
    await acknowledged(load, 60)
    times.recovered.append(time.monotonic() - began)
