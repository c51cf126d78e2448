"""`python -m bench faults`: everything that is done to the hub under load, and what the checker says afterwards.

kill -9 at every crash point and at random, on both stores · two nodes on PostgreSQL and Redis, each of the four killed,
stopped, flushed or crashed · COMMITs whose answers are lost · power cuts · a full disk · overload · and each protection
left out, when the checker must turn red. One line for each, and a table of all at the end; lost, doubled, misordered
and dup_effect must be 0, and recover_s is the 95th percentile (-: not measured). kill -9 shows nothing about fsync, as
no page cache is lost with a process: power cuts do.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import json
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.faults.checker import Verdict
from bench.faults.disk import full_disk, power_cuts
from bench.faults.nemesis import CONTROLS, Times, all_points, control, crash_points, random_kills
from bench.faults.nodes import (
    BACK,
    HARMS,
    MOST_MB,
    NODE_CONTROLS,
    NodeControl,
    harmed,
    node_control,
    overloaded,
    reply_lost,
    stopped,
)
from bench.faults.place import Place
from tests.servers import PostgreSQL, Redis, room

ROUNDS = {"sqlite": 500, "postgresql": 100}
RECOVERED = 5.0
"""Seconds in which it must serve again, in 95 of 100 cases. Told, not judged: other work on the machine counts."""
PARTS = ("points", "random", "controls", "nodes", "replies", "disks", "overload")
STOP = 60.0
"""Seconds that a node is stopped: beyond every lease and time-out."""
TABLE = ("sent", "acked", "recorded", "lost", "doubled", "misordered", "unknown", "parked", "dup_effect", "recover_s")
VISITS = {"sqlite": (1, 2, 3), "postgresql": (1,)}


class Campaigns:
    """One after the other; `well` says whether all came out as they must."""

    def __init__(self, seed: int, *, quiet: bool, quick: bool) -> None:
        """`quick`: every row once or twice, to see that all of it runs."""
        self._seed, self._quiet, self._quick = seed, quiet, quick
        self.results: list[dict[str, Any]] = []
        self.well = True

    def say(self, text: str) -> None:
        print(f"  {text}", file=sys.stderr, flush=True)

    def note(
        self,
        name: str,
        store: str,
        verdict: Verdict,
        began: float,
        *,
        good: bool,
        limit: float = RECOVERED,
        **more: Any,
    ) -> None:
        self.well &= good
        word = "WRONG" if not good else "slow" if verdict.recover_s > limit else ""
        facts = {"campaign": name, "store": store, "good": good, "seconds": round(time.monotonic() - began, 1), **more}
        self.results.append({**facts, "word": word, **dataclasses.asdict(verdict)})
        if not self._quiet:
            extra = " ".join(f"{key}={value}" for key, value in more.items())
            print(f"{name} on {store}: {verdict.line()} {extra} {word or 'well'}", flush=True)
            for problem in () if good else verdict.problems:
                print(f"    {problem}", flush=True)

    def random(self, store: str, url: str, rounds: int) -> None:
        began, times = time.monotonic(), Times()
        with placed(url, self._seed) as place:
            verdict = asyncio.run(random_kills(place, rounds, self.say, times))
            keep(place, verdict.good)
        p50 = round(times.quantile(0.5), 2)
        self.note("random", store, verdict, began, good=verdict.good, rounds=rounds, recover_p50=p50)

    def points(self, store: str, url: str) -> None:
        began = time.monotonic()
        points = all_points()
        with placed(url, self._seed) as place:
            verdict, missed = asyncio.run(crash_points(place, points, (1,) if self._quick else VISITS[store], self.say))
            keep(place, verdict.good)
        self.note("points", store, verdict, began, good=verdict.good and not missed, points=len(points), missed=missed)

    def controls(self) -> None:
        for one in CONTROLS:
            began = time.monotonic()
            with placed("", self._seed) as place:
                verdict = asyncio.run(control(place, one))
            self.note(f"without {one.off}", "sqlite", verdict, began, good=bool(getattr(verdict, one.red)), red=one.red)

    def nodes(self, rounds: int) -> None:
        """Each harm on a cluster and a Redis of its own."""
        for name, harm in HARMS.items():
            with cluster() as (postgresql, redis):
                began = time.monotonic()
                with placed(postgresql.database(), self._seed, nodes=2, fabric=redis.url) as place:
                    n = max(1, rounds // 5) if harm is stopped else rounds
                    verdict = asyncio.run(harmed(place, harm, postgresql, redis, rounds=n, stop=STOP))
                    keep(place, verdict.good)
                self.note(name, "2 nodes", verdict, began, good=verdict.good, rounds=n)
        for one in NODE_CONTROLS:
            for off in ("", one.off):
                self._node_control(one, off)

    def _node_control(self, one: NodeControl, off: str) -> None:
        began = time.monotonic()
        with (
            cluster() as (postgresql, redis),
            placed(postgresql.database(), self._seed, nodes=2, fabric=redis.url) as place,
        ):
            verdict = asyncio.run(node_control(place, one, off=off))
        good = bool(getattr(verdict, one.red)) if off else verdict.good
        self.note(f"{'without' if off else 'with'} {one.off}", "2 nodes", verdict, began, good=good)

    def replies(self, seconds: float) -> None:
        with cluster() as (postgresql, _):
            began = time.monotonic()
            with placed(postgresql.database(), self._seed) as place:
                verdict, lost = asyncio.run(reply_lost(place, postgresql, seconds=seconds, chance=0.02))
                keep(place, verdict.good)
            self.note("COMMIT reply lost", "postgresql", verdict, began, good=verdict.good and lost > 0, times=lost)

    def disks(self, rounds: int) -> None:
        for name, off in (("power cut", ""), ("without sync", "sync")):
            began = time.monotonic()
            with placed("", self._seed) as place:
                verdict = asyncio.run(power_cuts(place, min(3, rounds) if off else rounds, off=off))
                keep(place, verdict.good or bool(off))
            self.note(name, "sqlite", verdict, began, good=bool(verdict.lost) if off else verdict.good)
        began = time.monotonic()
        with placed("", self._seed) as place:
            verdict = asyncio.run(full_disk(place, rounds))
            keep(place, verdict.good)
        self.note("disk full", "sqlite", verdict, began, good=verdict.good)

    def overload(self, seconds: float) -> None:
        began = time.monotonic()
        with placed("", self._seed) as place:
            verdict, strain = asyncio.run(overloaded(place, seconds, lanes=80))
            keep(place, verdict.good)
        verdict.recover_s = strain.back_s
        good = verdict.good and strain.refused > 0 and strain.peak_mb < MOST_MB and strain.back_s < BACK
        more = {"refused": strain.refused, "peak_mb": round(strain.peak_mb)}
        self.note("overload", "sqlite", verdict, began, good=good, limit=BACK, **more)

    def table(self) -> str:
        """All campaigns, one under the other."""
        head = ("campaign", "store", *TABLE, "")
        rows = [
            (one["campaign"], one["store"], *(_cell(name, one[name]) for name in TABLE), one["word"])
            for one in self.results
        ]
        widths = [max(len(row[n]) for row in (head, *rows)) for n in range(len(head))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (head, *rows)]
        return "\n".join([f"seed {self._seed}", *(line.rstrip() for line in lines)])


def _cell(name: str, value: float) -> str:
    return "-" if name == "recover_s" and not value else f"{value:g}"


@contextlib.contextmanager
def cluster() -> Iterator[tuple[PostgreSQL, Redis]]:
    with room("pg") as data, room("redis") as folder:
        postgresql, redis = PostgreSQL(data, tcp=True), Redis(folder)
        try:
            yield postgresql, redis
        finally:
            redis.stop()
            postgresql.stop()


@contextlib.contextmanager
def placed(url: str, seed: int, *, nodes: int = 1, fabric: str = "") -> Iterator[Place]:
    folder = Path(tempfile.mkdtemp(prefix="tl-faults-"))
    try:
        yield Place(folder, url, seed, nodes=nodes, fabric=fabric)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def keep(place: Place, good: bool) -> None:
    """What a failed campaign left behind, for whoever looks for the cause."""
    if not good:
        left = Path(tempfile.mkdtemp(prefix="tl-faults-failed-"))
        shutil.copytree(place.folder, left, dirs_exist_ok=True)
        print(f"  kept in {left}", file=sys.stderr)


def run(arguments: argparse.Namespace) -> int:
    seed = arguments.seed if arguments.seed is not None else random.randrange(1 << 32)
    print(f"seed {seed}", file=sys.stderr, flush=True)
    campaigns = Campaigns(seed, quiet=arguments.json, quick=arguments.quick)
    parts = arguments.only or PARTS
    _stores(campaigns, arguments, parts)
    if "nodes" in parts:
        campaigns.nodes(rounds=1 if arguments.quick else 10)
    if "replies" in parts:
        campaigns.replies(seconds=10 if arguments.quick else 30)
    if "disks" in parts:
        campaigns.disks(rounds=2 if arguments.quick else 20)
    if "overload" in parts:
        campaigns.overload(seconds=5 if arguments.quick else 30)
    if arguments.json:
        print(json.dumps({"seed": seed, "good": campaigns.well, "campaigns": campaigns.results}))
    else:
        print(campaigns.table())
    return 0 if campaigns.well else 1


def _stores(campaigns: Campaigns, arguments: argparse.Namespace, parts: Sequence[str]) -> None:
    stores = [arguments.store] if arguments.store else list(ROUNDS)
    for store in stores:
        rounds = arguments.rounds if arguments.rounds is not None else 5 if arguments.quick else ROUNDS[store]
        with contextlib.ExitStack() as stack:
            server = None
            if store == "postgresql" and {"points", "random"} & set(parts):
                server = PostgreSQL(stack.enter_context(room("pg")))
                stack.callback(server.stop)
            if "points" in parts:
                campaigns.points(store, server.database() if server else "")
            if rounds and "random" in parts:
                campaigns.random(store, server.database() if server else "", rounds)
    if "sqlite" in stores and "controls" in parts:
        campaigns.controls()


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, help=f"kills at random; default {ROUNDS}; 0: none")
    parser.add_argument("--quick", action="store_true", help="every row, with few rounds: some minutes")
    parser.add_argument("--store", choices=list(ROUNDS), help="default: both")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="these parts; default: all")
    parser.add_argument("--seed", type=int, help="default: drawn and printed")
    parser.add_argument("--json", action="store_true", help="one line")
    parser.set_defaults(run=run)
