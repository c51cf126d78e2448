"""`python -m bench faults`: kill -9 at every crash point and at random under load, on both stores, and the controls.

Prints one line for each campaign: `sent acked recorded lost doubled misordered unknown unknown_recorded parked
dup_effect recover_s`. lost, doubled, misordered and dup_effect must be 0, and red where a protection is left out.
kill -9 shows nothing about fsync: no page cache is lost with a process.
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
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.faults.checker import Verdict
from bench.faults.nemesis import CONTROLS, Times, all_points, control, crash_points, random_kills
from bench.faults.place import Place
from tests.servers import PostgreSQL, room

ROUNDS = {"sqlite": 500, "postgresql": 100}
VISITS = {"sqlite": (1, 2, 3), "postgresql": (1,)}


class Campaigns:
    """One after the other; `well` says whether all came out as they must."""

    def __init__(self, seed: int, *, quiet: bool) -> None:
        self._seed, self._quiet = seed, quiet
        self.results: list[dict[str, Any]] = []
        self.well = True

    def say(self, text: str) -> None:
        print(f"  {text}", file=sys.stderr, flush=True)

    def note(self, name: str, store: str, verdict: Verdict, began: float, *, good: bool, **more: Any) -> None:
        self.well &= good
        facts = {"campaign": name, "store": store, "good": good, "seconds": round(time.monotonic() - began, 1), **more}
        self.results.append({**facts, **dataclasses.asdict(verdict)})
        if not self._quiet:
            extra = " ".join(f"{key}={value}" for key, value in more.items())
            print(f"{name} on {store}: {verdict.line()} {extra} {'well' if good else 'WRONG'}", flush=True)
            for problem in () if good else verdict.problems:
                print(f"    {problem}", flush=True)

    def random(self, store: str, url: str, rounds: int) -> None:
        began, times = time.monotonic(), Times()
        with placed(url, self._seed) as place:
            verdict = asyncio.run(random_kills(place, rounds, self.say, times))
            keep(place, verdict.good)
        p50, p95 = (round(times.quantile(part), 2) for part in (0.5, 0.95))
        self.note("random", store, verdict, began, good=verdict.good, rounds=rounds, recover_p50=p50, recover_p95=p95)

    def points(self, store: str, url: str) -> None:
        began = time.monotonic()
        points = all_points()
        with placed(url, self._seed) as place:
            verdict, missed = asyncio.run(crash_points(place, points, VISITS[store], self.say))
            keep(place, verdict.good)
        self.note("points", store, verdict, began, good=verdict.good and not missed, points=len(points), missed=missed)

    def controls(self) -> None:
        for one in CONTROLS:
            began = time.monotonic()
            with placed("", self._seed) as place:
                verdict = asyncio.run(control(place, one))
            self.note(f"without {one.off}", "sqlite", verdict, began, good=bool(getattr(verdict, one.red)), red=one.red)


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
    campaigns = Campaigns(seed, quiet=arguments.json)
    stores = [arguments.store] if arguments.store else list(ROUNDS)
    for store in stores:
        rounds = arguments.rounds if arguments.rounds is not None else ROUNDS[store]
        with contextlib.ExitStack() as stack:
            server = None
            if store == "postgresql":
                server = PostgreSQL(stack.enter_context(room("pg")))
                stack.callback(server.stop)
            campaigns.points(store, server.database() if server else "")
            if rounds:
                campaigns.random(store, server.database() if server else "", rounds)
    if "sqlite" in stores:
        campaigns.controls()
    if arguments.json:
        print(json.dumps({"seed": seed, "good": campaigns.well, "campaigns": campaigns.results}))
    return 0 if campaigns.well else 1


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, help=f"kills at random; default {ROUNDS}; 0: none")
    parser.add_argument("--store", choices=list(ROUNDS), help="default: both")
    parser.add_argument("--seed", type=int, help="default: drawn and printed")
    parser.add_argument("--json", action="store_true", help="one line")
    parser.set_defaults(run=run)
