"""The search indexer's processor time a message, against the echo's a request."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

from bench.search import Filler
from bench.spine.measure import Figure, Run, full_tilt, median, served, spread, supply
from context_store import Store, search
from hub.clock import SystemClock

BATCH = search.BATCH


def figures(run: Run) -> Iterator[Figure]:
    yield asyncio.run(_figure(run))


async def _figure(run: Run) -> Figure:
    ratios, echo_us, index_us = [], [], []
    store = await Store.open(f"sqlite:///{run.folder}/index.db", Path(run.folder) / "blobs", SystemClock())
    filler = Filler(store, 1_000_000)
    await store.write(filler.people)
    with served("echo") as echo:
        for n in range(run.triples + 1):
            await store.write(filler.messages, n * BATCH, BATCH)
            before = full_tilt(echo, supply(30_000, 0.5), 0.5)[0]
            begun = time.process_time()
            while await store.write(search.index_batch) is not None:
                pass
            took = (time.process_time() - begun) / BATCH * 1e6
            after = full_tilt(echo, supply(30_000, 0.5), 0.5)[0]
            if n:  # the first batch warms up
                echo_us.append((before + after) / 2)
                index_us.append(took)
                ratios.append(took / echo_us[-1])
                run.say(f"index {n}/{run.triples}: echo {echo_us[-1]:.0f} us, indexer {took:.0f} us")
    await store.close()
    beside = {"echo_us": round(median(echo_us), 1), "index_us": round(median(index_us), 1), "range": spread(ratios)}
    return Figure("index_cpu_ratio", median(ratios), beside)
