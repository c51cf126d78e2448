"""What is done to the hub while it is under load, and what the checker says afterwards."""

import asyncio
import random
import re
import signal
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from bench.faults.checker import Verdict, check, rest
from bench.faults.load import Load
from bench.faults.place import Place
from bench.faults.served import ROOT

HEALS = 60.0
"""Seconds that a healed hub has to come to rest."""
LIMIT = 30.0
"""Seconds in which an armed crash point must be met under load."""

ONCE = frozenset({"migrate.before_commit", "drain.begin", "drain.end"})
"""Points that a life meets once."""
_CALL = re.compile(r"^ +crashpoint\(\"([a-z_.]+)\"\)", re.MULTILINE)
QUICK = "hook portal feed"
"""Without mail, whose parse worker takes longer to start than a crash point to be met."""
Say = Callable[[str], None]


@dataclass
class Times:
    """Seconds from a kill to the next acknowledgement."""

    recovered: list[float] = field(default_factory=list)

    def quantile(self, part: float) -> float:
        ordered = sorted(self.recovered)
        return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else 0.0


@asynccontextmanager
async def loading(load: Load) -> AsyncIterator[None]:
    """Clients in the background; they finish what they began."""
    task = asyncio.create_task(load.run())
    try:
        yield
    except BaseException:
        task.cancel()
        raise
    load.stopping = True
    await asyncio.wait([task], timeout=HEALS)
    load.over = True
    await task


async def acknowledged(load: Load, within: float = 30.0) -> None:
    """Until the hub says its next yes."""
    load.acked.clear()
    async with asyncio.timeout(within):
        await load.acked.wait()


async def healed(place: Place) -> str:
    """Let a running hub come to rest and end; returns what did not."""
    deadline = time.monotonic() + HEALS
    while left := await asyncio.to_thread(rest, place):
        if time.monotonic() > deadline:
            break
        await asyncio.sleep(0.1)
    for node in place.nodes:
        node.signal(signal.SIGTERM)
    ends = [(node, await node.ended(40)) for node in place.nodes]
    return left or "".join(f"a hub ended with {code}: {node.tail()}" for node, code in ends if code != 0)


async def judged(place: Place, times: Times | None = None) -> Verdict:
    """Heal, drain, check."""
    left = await healed(place)
    verdict = await asyncio.to_thread(check, place)
    if left:
        verdict.wrong("", f"not at rest: {left}")
    if times is not None:
        verdict.recover_s = round(times.quantile(0.95), 2)
    return verdict


async def random_kills(place: Place, rounds: int, say: Say, times: Times) -> Verdict:
    """kill -9 at 0 to 0.4 s after the first acknowledgement of each life; every tenth life is a new interpreter's."""
    chance = random.Random(place.seed)
    async with place.far_side():
        load = Load(place)
        place.served.start()
        await place.served.ready()
        async with loading(load):
            await acknowledged(load)
            for number in range(1, rounds + 1):
                await asyncio.sleep(chance.uniform(0, 0.4))
                await place.served.kill()
                killed = time.monotonic()
                place.served.start(fresh=number % 10 == 0)
                await acknowledged(load, 60)
                times.recovered.append(time.monotonic() - killed)
                if number % 10 == 0:
                    say(f"round {number} of {rounds}: {load.acks} acked, recovery {times.quantile(0.5):.2f} s")
        return await judged(place, times)


async def crash_points(
    place: Place, points: Sequence[str], visits: Sequence[int], say: Say, *, kinds: str = QUICK
) -> tuple[Verdict, list[str]]:
    """Kill at each point's nth visit under load; returns the points that were never met, too."""
    missed: list[str] = []
    place.mail = "mail" in kinds
    async with place.far_side():
        load = Load(place, kinds=kinds)
        async with loading(load):
            for point in points:
                for nth in visits if point not in ONCE else (1,):
                    began = time.monotonic()
                    if not await _crashed(place, load, f"{point}:{nth}"):
                        missed.append(f"{point}:{nth}")
                    say(f"{point}:{nth} {time.monotonic() - began:.1f} s")
            place.served.start()
            await acknowledged(load)
        return await judged(place), missed


def all_points() -> list[str]:
    """Every name in the code; `migrate.before_commit` first, since only an empty store meets it."""
    found = {
        name
        for room in ("hub", "context_store", "connectors")
        for file in (ROOT / room).rglob("*.py")
        for name in _CALL.findall(file.read_text(encoding="utf-8"))
    }
    return sorted(found, key=lambda name: (name != "migrate.before_commit", name))


async def _crashed(place: Place, load: Load, spec: str) -> bool:
    """Did it kill itself there?"""
    place.served.start({"TRUNKLINE_CRASH": spec})
    if spec.startswith("drain."):
        await acknowledged(load)
        place.served.signal(signal.SIGTERM)
    code = await place.served.ended(LIMIT)
    if code is None:
        await place.served.kill()
    return code == -signal.SIGKILL if code is not None else False


@dataclass(frozen=True)
class Control:
    """A protection that is left out, what is done then, and the count that must turn red."""

    off: str
    red: str
    crash: str = ""
    kinds: str = "hook"
    slow: float = 0.0
    lives: int = 3
    seconds: float = 2.0
    targets: tuple[str, ...] = ("a", "b", "c", "")


CONTROLS = (
    Control("ack", "lost", crash="journal.before:5"),
    Control("dedupe", "doubled"),
    Control("items", "doubled"),
    Control("cursor", "lost", crash="journal.before:4", kinds="feed"),
    Control("lane-in", "misordered", crash="parse.begin:2"),
    Control("lane-out", "misordered", slow=0.2),
    Control("ask", "dup_effect", crash="out.sent:3", targets=("b", "c"), lives=6),
)


async def control(place: Place, one: Control) -> Verdict:
    """A short run without the protection; `lives` of them end at `crash`."""
    place.mail = "mail" in one.kinds
    async with place.far_side(loses=0.0, slow=one.slow):
        load = Load(place, lanes=6, think=0.005, kinds=one.kinds, targets=one.targets)
        off = {"TRUNKLINE_UNPROTECTED": one.off}
        async with loading(load):
            for _ in range(one.lives if one.crash else 0):
                place.served.start({**off, "TRUNKLINE_CRASH": one.crash})
                if await place.served.ended(LIMIT) is None:
                    await place.served.kill()
            place.served.start(off)
            await place.served.ready()
            await asyncio.sleep(one.seconds)
        return await judged(place)
