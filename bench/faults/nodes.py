"""What is done to two nodes on one PostgreSQL and one Redis, to these two, and to what lies between."""

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from bench.faults.checker import Verdict
from bench.faults.load import Load
from bench.faults.nemesis import LIMIT, Times, acknowledged, judged, loading
from bench.faults.place import Place
from tests.faultproxy import Fault, FaultProxy
from tests.servers import PostgreSQL, Redis

PATIENCE = 3.0
"""Seconds that a source waits for an answer: Slack's."""
MOST_MB, BACK = 300.0, 30.0
"""Memory of the main process, and seconds until nothing is refused any more, after ten times the usual load."""
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


@dataclass(frozen=True)
class NodeControl:
    """A protection of several nodes that is left out, and the count that must turn red."""

    off: str
    red: str
    slow: float = 0.0
    holds: float = 0.0
    """As `FarSide` has them."""
    at: str = ""
    """Where the first node stands still; else it does when `MET` of its tries are being refused."""


NODE_CONTROLS = (
    NodeControl("lease-out", "dup_effect", slow=0.1, at="out.before_send:20:STOP"),
    NodeControl("fence", "dup_effect", holds=2.0),
)
MET = 4
"""Several, since one whose second try is answered before the first node goes on doubles nothing."""
BEYOND = 6.0
"""Seconds, longer than a lease, in which a node does what another one had begun."""


async def node_control(place: Place, one: NodeControl, *, off: str) -> Verdict:
    """A short run without the protection (or with it, `off` empty), in which nothing else goes wrong.

    The first node stands still, the second one takes over its work, the first goes on: where it was about to have an
    effect, or to write down refusals while the second one's tries are under way.
    """
    async with place.far_side(loses=0.0, slow=one.slow, holds=one.holds) as far:
        load = Load(place, kinds="hook", targets=("b",), patience=PATIENCE)
        first, second = place.nodes
        first.start({"TRUNKLINE_UNPROTECTED": off, "TRUNKLINE_CRASH": one.at})
        await first.ready()
        async with loading(load):
            await _until(lambda: first.stands_still if one.at else len(far.refusing) >= MET)
            first.signal(signal.SIGSTOP)
            met = set(far.refusing)
            second.start({"TRUNKLINE_UNPROTECTED": off})
            await second.ready()
            if one.at:
                await asyncio.sleep(BEYOND)
            await _until(lambda: all(far.tries[work] > 1 for work in met))
            first.signal(signal.SIGCONT)
            await asyncio.sleep(3)
        return await judged(place)


async def _until(true: Callable[[], bool]) -> None:
    """Processes have no events. Raises TimeoutError."""
    async with asyncio.timeout(LIMIT):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def reply_lost(
    place: Place, postgresql: PostgreSQL, *, seconds: float, chance: float, least: int = 1
) -> tuple[Verdict, int]:
    """COMMIT is done and its answer lost, now and then, on any connection; returns how often, too.

    It goes on for longer where `least` were not lost yet: a busy machine commits less.
    """
    lost = Fault(trigger=b"COMMIT", mute=True, chance=chance)
    async with FaultProxy("127.0.0.1", postgresql.port, lost, place.seed) as proxy:
        database = place.store.partition("@/")[2].partition("?")[0]
        place.through = f"postgresql+psycopg://trunkline@127.0.0.1:{proxy.port}/{database}"
        proxy.fault = Fault()  # it starts in peace
        async with place.far_side():
            load = Load(place, patience=PATIENCE)
            place.served.start()
            await place.served.ready()
            async with loading(load):
                await acknowledged(load)
                proxy.fault = lost
                proxy.reset_all()
                await asyncio.sleep(seconds)
                await _until(lambda: proxy.began >= least)
                proxy.fault = Fault()
                proxy.reset_all()
                await acknowledged(load, 60)
            return await judged(place), proxy.began


@dataclass
class Strain:
    """What overload showed beside the verdict."""

    refused: int = 0
    peak_mb: float = 0.0
    back_s: float = 0.0


async def overloaded(place: Place, seconds: float, lanes: int) -> tuple[Verdict, Strain]:
    """As many clients as `lanes`, none of which thinks; then a few that do. Back to normal: nothing is refused."""
    place.limits |= {"waiting": 8, "pending": 300}
    async with place.far_side(loses=0.0):
        storm = Load(place, lanes=lanes, think=0, kinds="hook feed", targets=("a", ""))
        place.served.start()
        await place.served.ready()
        async with loading(storm):
            await asyncio.sleep(seconds)
            strain = Strain(peak_mb=_peak_mb(place.served.pid))
        began, strain.refused = time.monotonic(), storm.refused
        calm = Load(place, lanes=2, kinds="hook", targets=("",), name="calm")
        async with loading(calm):
            while time.monotonic() - began < 60:
                before = calm.refused
                for _ in range(10):
                    await acknowledged(calm)
                if calm.refused == before:
                    break
            strain.back_s = round(time.monotonic() - began, 1)
        return await judged(place), strain


def _peak_mb(pid: int) -> float:
    """The most memory that the process held at once."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))


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
