"""What a batch costs in a store with a million messages, against an empty one: processor time, statements, pages.

The batches are alike: 256 new messages of known people, journaled, judged and recorded in one transaction each.
SQLite's pages are those that its page cache was asked for, PostgreSQL's those that its buffers were. The figure is the
worse store's.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, nullcontext
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from sqlalchemy import Connection

from bench.spine.counting import Counted
from bench.spine.fill import multiply
from bench.spine.inside import Inside
from bench.spine.load import requests
from bench.spine.measure import Figure, Run, installed, median, postgresql, spread
from context_store.sqlite import CACHE_KIB
from plugins import Envelope, Request

MESSAGES = 1_000_000
SEED = 2_000
BATCH = 256
SETTLES = 11.0
"""Seconds after which an idle backend of PostgreSQL has told its statistics (PGSTAT_IDLE_INTERVAL and one)."""
FILLING = 2_000_000
"""KiB of SQLite's page cache while the store is filled."""


FIELDS = ("cpu", "statements", "pages")


@dataclass
class Measured:
    """A store's hub, and what each of its batches cost."""

    hub: Inside
    database: str
    cost: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in FIELDS})


def figures(run: Run) -> Iterator[Figure]:
    found = {}
    for dialect in ("sqlite", "postgresql"):
        found[dialect] = asyncio.run(_compared(run, dialect))
        told = {name: [round(median(one.cost[name]), 1) for one in found[dialect]] for name in FIELDS}
        run.say(f"growth on {dialect}, empty and full: {told}")
    for name in FIELDS:
        key = f"growth_{name}_1m"
        if key in run.keys:
            ratios = {dialect: median(_ratios(*both, name)) for dialect, both in found.items()}
            beside: dict[str, Any] = {"messages": run.stored(MESSAGES)}
            for dialect, (empty, full) in found.items():
                beside[dialect] = round(ratios[dialect], 3)
                beside[f"{dialect}_range"] = spread(_ratios(empty, full, name))
                beside[f"{dialect}_empty_full"] = [round(median(one.cost[name]), 1) for one in (empty, full)]
            yield Figure(key, max(ratios.values()), beside)


def _ratios(empty: Measured, full: Measured, name: str) -> list[float]:
    return [more / less for more, less in zip(full.cost[name], empty.cost[name], strict=True)]


async def _compared(run: Run, dialect: str) -> tuple[Measured, Measured]:
    counted = Counted()
    async with AsyncExitStack() as stack:
        both = []
        for name in ("empty", "full"):
            url = stack.enter_context(postgresql() if dialect == "postgresql" else nullcontext(""))
            folder = run.folder / f"{dialect}-{name}"
            hub = await stack.enter_async_context(Inside(installed(folder, url)))
            both.append(Measured(hub, url or str(folder / "store.db")))
        empty, full = both
        await _fill(run, full.hub)
        for n in range(run.triples + 1):
            for one in both:
                await _batch(one, counted, count=n > 0)  # the first one warms up
            run.say(f"growth on {dialect} {n}/{run.triples}")
        for _ in range(3):
            for one in both:
                await _statements(one, counted)
        if dialect == "postgresql":
            for one in both:
                await _blocks(one, counted, run.triples)
    counted.close()
    return empty, full


async def _fill(run: Run, inside: Inside) -> None:
    for _ in range(SEED // BATCH + 1):
        await _receive(inside)
    await inside.drain(inside.hub.pipeline)
    while await inside.hub.sealer.seal():
        pass
    store, begun = inside.hub.store, time.perf_counter()
    copies = run.stored(MESSAGES) // SEED
    if store.dialect == "sqlite":
        await store.write(_cache, FILLING)
    await store.write(multiply, copies, run.say)
    if store.dialect == "sqlite":
        await store.write(_cache, CACHE_KIB)
    run.say(f"filled {store.dialect} with {copies} copies in {time.perf_counter() - begun:.0f} s")


def _cache(conn: Connection, kibibytes: int) -> None:
    conn.exec_driver_sql(f"PRAGMA cache_size = -{kibibytes}")


async def _receive(inside: Inside) -> None:
    """A batch as the webhook hands it on: verified."""
    connector, now = inside.hub.instances["hook"].connector, inside.hub.clock.now()
    envelopes: list[Envelope] = []
    for made in islice(requests(), BATCH):
        head, _, body = made.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")[1:]
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        envelopes.append(connector.verify(Request(method="POST", url="", tail="", headers=headers, body=body, at=now)))
    await inside.hub.intake.receive("hook", envelopes)


async def _batch(one: Measured, counted: Counted, *, count: bool) -> None:
    pages = counted.pages(one.database) if one.hub.hub.store.dialect == "sqlite" else 0
    await _receive(one.hub)
    begun = time.process_time()
    await one.hub.hub.pipeline.batch()
    if count:
        one.cost["cpu"].append((time.process_time() - begun) / BATCH * 1e6)
        if one.hub.hub.store.dialect == "sqlite":
            one.cost["pages"].append(counted.pages(one.database) - pages)


async def _statements(one: Measured, counted: Counted) -> None:
    with counted.statements(one.database) as found:
        await _receive(one.hub)
        await one.hub.hub.pipeline.batch()
    one.cost["statements"].append(found.total())


async def _blocks(one: Measured, counted: Counted, batches: int) -> None:
    """The server's statistics come late: several batches, one look."""
    await asyncio.sleep(SETTLES)
    before = counted.pages(one.database)
    for _ in range(batches):
        await _receive(one.hub)
        await one.hub.hub.pipeline.batch()
    await asyncio.sleep(SETTLES)
    one.cost["pages"].append((counted.pages(one.database) - before) / batches)
