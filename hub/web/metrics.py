"""/metrics: the store's evidence and the hub's own counters in Prometheus' words, read at the scrape.

For the same readers as the details of /healthz. With several nodes on one store each tells the store's figures
alike: take their maximum, and add up only what a node counts itself (docs/operation.md says which is which).
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from context_store import StoreAway, StoreBroken
from context_store.evidence import SETTLED
from context_store.figures import Figures, figures
from hub.rooms import Rooms
from hub.web.health import state_of, trusted

KEPT = 1.0
"""Seconds that an answer is good for: several collectors cost one read."""
PATIENCE = 5.0
"""Seconds that the store has to answer; a scrape without it still tells what the process knows."""


class Scrape:
    """The answer to a scrape, kept for a moment."""

    def __init__(self, hub: Rooms) -> None:
        self._hub = hub
        self._lock = asyncio.Lock()
        self._at = float("-inf")
        self._body = b""

    async def body(self) -> bytes:
        """In Prometheus' text format."""
        async with self._lock:
            now = asyncio.get_running_loop().time()
            if now - self._at > KEPT:
                evidence = _Evidence(self._hub, await self._figures())
                once = CollectorRegistry()
                once.register(evidence)
                self._body = generate_latest(once) + generate_latest(self._hub.telemetry.registry)
                self._at = now
            return self._body

    async def _figures(self) -> Figures | None:
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._hub.store.read(figures, list(self._hub.instances))
        except (StoreAway, StoreBroken, TimeoutError):
            return None


SCRAPE = web.AppKey("scrape", Scrape)


async def metrics(request: web.Request) -> web.Response:
    """401 for strangers."""
    if not await trusted(request):
        return web.Response(status=401, text="metrics are not for strangers\n", headers={"WWW-Authenticate": "Bearer"})
    return web.Response(body=await request.app[SCRAPE].body(), headers={"Content-Type": CONTENT_TYPE_LATEST})


class _Evidence(Collector):
    """One moment's figures as metric families."""

    def __init__(self, hub: Rooms, found: Figures | None) -> None:
        self._hub = hub
        self._found = found
        self._now = hub.store.now()

    def describe(self) -> Iterable[Metric]:
        """Nothing: a registry that lives for one scrape need not look for names that stand twice."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """The store's figures are left out while the store is away: no figure is better than a stale one."""
        yield _gauge("store_up", "Does the store answer?", (), {(): self._found is not None})
        yield from self._instances()
        if self._found is not None:
            yield from self._accounts(self._found)
            yield from self._ages(self._found)
            yield from self._outbox(self._found)
            alarms = Counter(key.partition(":")[0] for key in self._found.alarms)
            yield _gauge("alarms", "Alarms that stand.", ("alarm",), {(kind,): n for kind, n in alarms.items()})

    def _instances(self) -> Iterator[Metric]:
        known = self._hub.instances
        well = {(i,): state_of(one) not in {"failing", "broken"} for i, one in known.items()}
        yield _gauge("instance_well", "Is the last thing that we know of it no error?", ("instance",), well)
        restarts = CounterMetricFamily("trunkline_instance_restarts", "Times its runner failed.", labels=("instance",))
        for i, one in known.items():
            restarts.add_metric((i,), one.restarts)
        yield restarts
        now = self._hub.clock.now().timestamp()
        ages = {(i,): max(0.0, now - one.last_success) for i, one in known.items() if one.last_success is not None}
        text = "Since its source or far side answered; absent until it did since the start."
        yield _gauge("last_success_age_seconds", text, ("instance",), ages)

    def _accounts(self, found: Figures) -> Iterator[Metric]:
        mine = [each for each in found.accounts if each.instance in self._hub.instances]
        received = {each.instance: each.received for each in mine}
        yield self._counter("envelopes_received", "Envelopes journaled.", received)
        yield self._counter("envelopes_redelivered", "Envelopes that came again.", found.redelivered)
        yield self._counter("envelopes_collided", "Second bodies under a known key; both are kept.", found.collisions)
        states = {(each.instance, state): getattr(each, state) for each in mine for state in SETTLED}
        yield _gauge("envelopes", "Envelopes by state; they add up to received.", ("instance", "state"), states)
        balanced = all(each.balanced for each in found.accounts)
        yield _gauge("balanced", "received = done + parked + pending + erased, everywhere.", (), {(): balanced})

    def _counter(self, name: str, text: str, values: Mapping[str, int]) -> Metric:
        family = CounterMetricFamily(f"trunkline_{name}", text, labels=("instance",))
        for instance in self._hub.instances:
            family.add_metric((instance,), values.get(instance, 0))
        return family

    def _ages(self, found: Figures) -> Iterator[Metric]:
        for name, text, oldest in (
            ("pending_age_seconds", "Age of the oldest envelope not yet processed: the lag.", found.oldest_pending),
            ("parked_age_seconds", "Age of the oldest parked envelope.", found.oldest_parked),
        ):
            ages = {(i,): self._since(oldest.get(i)) for i in self._hub.instances}
            yield _gauge(name, f"{text} 0: none.", ("instance",), ages)
        last = {each.instance: each.last_at for each in found.accounts if each.instance in self._hub.instances}
        ages = {(i,): self._since(at) for i, at in last.items() if at is not None}
        yield _gauge("last_message_age_seconds", "Since its last envelope came.", ("instance",), ages)

    def _outbox(self, found: Figures) -> Iterator[Metric]:
        counts = dict[tuple[str, ...], float]()
        due, parked = ({(i,): 0.0 for i in self._hub.instances} for _ in range(2))
        for work in found.work:
            to = self._hub.telemetry.known(work.destination)
            counts[to, work.state] = counts.get((to, work.state), 0) + work.n
            ages = parked if work.state == "parked" else due
            ages[to,] = max(ages.get((to,), 0.0), self._since(work.oldest_at))
        yield _gauge("outbox", "Outbox rows that are open or parked.", ("destination", "state"), counts)
        yield _gauge("outbox_due_age_seconds", "How long the oldest open row is due.", ("destination",), due)
        yield _gauge("outbox_parked_age_seconds", "Since the oldest was parked. 0: none.", ("destination",), parked)

    def _since(self, at: int | None) -> float:
        return 0.0 if at is None else max(0.0, (self._now - at) / 1000)


def _gauge(name: str, text: str, labels: tuple[str, ...], values: Mapping[Any, float]) -> Metric:
    """`values`: by the tuple of their labels' values."""
    family = GaugeMetricFamily(f"trunkline_{name}", text, labels=labels)
    for given, value in values.items():
        family.add_metric(given, float(value))
    return family
