"""The whole path: from the first byte of a webhook to its recorded query, events and outbox rows, on each store.

The hub runs everything up to the outbox rows and seals the events; delivering and the search index cost extra. First a
burst at 64 connections is timed until the last message is recorded: that is the drain rate. At 70 % of it the
processor time per message is taken beside the echo's a request at the same rate, and a long run shows whether the
backlog grows. The echo at full tilt, where it finds several requests at each turn of its loop, stands beside it.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from typing import Any

from bench.spine.load import requests
from bench.spine.measure import (
    Figure,
    Run,
    Server,
    full_tilt,
    installed,
    median,
    postgresql,
    served,
    spread,
    supply,
)  # fmt: skip

PARTS = ("pipeline", "isolated", "sealer")
SHARE = 0.7
WINDOW = 2.0
BURST = 10_000


def figures(run: Run) -> Iterator[Figure]:
    for store in ("sqlite", "postgresql"):
        if f"path_cpu_ratio_{store}" in run.keys:
            yield _figure(run, store)


def _figure(run: Run, store: str) -> Figure:
    with ExitStack() as stack:
        url = stack.enter_context(postgresql()) if store == "postgresql" else ""
        file = installed(run.folder / f"path-{store}", url)
        echo = stack.enter_context(served("echo"))
        hub = stack.enter_context(served("hub", str(file), *PARTS))
        drain = _drain_rate(hub, BURST // 4 if run.quick else BURST)
        rate = SHARE * drain
        run.say(f"path on {store}: drains {drain:.0f}/s, offered {rate:.0f}/s")
        ratios, echo_us, hub_us, tilt_us = [], [], [], []
        for n in range(run.triples):
            before = _paced(echo, rate, WINDOW / 2)
            hub_us.append(_paced(hub, rate, WINDOW, drain=True))
            echo_us.append((before + _paced(echo, rate, WINDOW / 2)) / 2)
            tilt_us.append(full_tilt(echo, supply(30_000, 0.5), 0.5)[0])
            ratios.append(hub_us[-1] / echo_us[-1])
            run.say(f"path on {store} {n + 1}/{run.triples}: echo {echo_us[-1]:.0f} us, hub {hub_us[-1]:.0f} us")
        backlog = _long(hub, rate, 10 if run.quick else 60)
    beside: dict[str, Any] = {
        "echo_us": round(median(echo_us), 1), "hub_us": round(median(hub_us), 1), "drain_rate": round(drain),
        "range": spread(ratios), "echo_full_tilt_us": round(median(tilt_us), 1), **backlog,
    }  # fmt: skip
    return Figure(f"path_cpu_ratio_{store}", median(ratios), beside)


def _drain_rate(hub: Server, count: int) -> float:
    """Messages a second, from the first byte of a burst until its last message is recorded; the second burst counts."""
    rates = []
    for _ in range(2):
        made = list(islice(requests(), count))
        begun = time.perf_counter()
        hub.client.closed(made, 600)
        hub.drained()
        rates.append(count / (time.perf_counter() - begun))
    return rates[1]


def _paced(server: Server, rate: float, seconds: float, *, drain: bool = False) -> float:
    """Processor microseconds a message, with `drain` all that follows from it included."""
    made = list(islice(requests(), int(rate * seconds)))
    before = server.cpu()
    server.client.paced(made, rate)
    if drain:
        server.drained()
    return (server.cpu() - before) / len(made) * 1e6


def _long(hub: Server, rate: float, seconds: float) -> dict[str, Any]:
    """The backlog, looked at ten times while the rate is held; it must not grow."""
    seen = []
    for _ in range(10):
        hub.client.paced(list(islice(requests(), int(rate * seconds / 10))), rate)
        seen.append(hub.pending())
    hub.drained()
    return {"seconds": seconds, "backlog": seen, "grew": sum(seen[5:]) > 2 * sum(seen[:5]) + rate}
