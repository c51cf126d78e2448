"""A journey and a search in a full store: the slower of the two stores, as `python -m bench search` takes them."""

import asyncio
from collections.abc import Iterator
from contextlib import nullcontext

from bench.search import measure
from bench.spine.measure import Figure, Run, postgresql
from context_store import Store
from hub.clock import SystemClock

MESSAGES = 1_000_000


def figures(run: Run) -> Iterator[Figure]:
    found = {}
    for dialect in ("sqlite", "postgresql"):
        place = postgresql() if dialect == "postgresql" else nullcontext(f"sqlite:///{run.folder}/asked.db")
        with place as url:
            found[dialect] = asyncio.run(_measured(run, url))
        run.say(f"asked on {dialect}: {found[dialect]}")
    for key, field in (("journey_ms", "journey_ms"), ("search_ms", "search_worst_ms")):
        if key in run.keys:
            each = {dialect: report[field] for dialect, report in found.items()}
            by = {f"by_frequency_{dialect}": report["by_frequency_ms"] for dialect, report in found.items()}
            more = by if key == "search_ms" else {}
            yield Figure(key, max(each.values()), {**each, "messages": run.stored(MESSAGES), **more})


async def _measured(run: Run, url: str) -> dict[str, float]:
    store = await Store.open(url, run.folder / "blobs", SystemClock())
    try:
        return await measure(store, run.stored(MESSAGES), run.triples)
    finally:
        await store.close()
