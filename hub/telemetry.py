"""What a running hub counts about itself, for /metrics: in memory, one registry for each hub.

What can be known from the store is read from the store at the scrape (`hub.web.metrics`); here is only what leaves no
trace there. Label values are configured instances, HTTP statuses and words of our own, so that nobody outside can
make series.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from context_store.outbox import StepRow, Work

if TYPE_CHECKING:
    from hub.traces import Traces

OTHER = "other"
"""Label of everything that is not configured: strangers may ask for any instance."""
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class _Answers(Collector):
    """The one series that is counted for each request, and on the loop alone: in a dict, where a metric has a lock."""

    def __init__(self) -> None:
        self.counts = defaultdict[tuple[str, int], int](int)

    def collect(self) -> Iterator[Metric]:
        family = CounterMetricFamily(
            "trunkline_webhook_answers", "Answers to webhooks by HTTP status.", labels=("instance", "status")
        )
        for (instance, status), n in sorted(self.counts.items()):
            family.add_metric((instance, str(status)), n)
        yield family


class Telemetry:
    """Counters and histograms; every method is one call on the loop and takes a microsecond or two."""

    def __init__(self, instances: Collection[str]) -> None:
        """`instances`: the configured ones."""
        self.registry = CollectorRegistry()
        self.traces: Traces | None = None
        """Where the environment asks for them."""
        ProcessCollector(registry=self.registry)
        self._instances = frozenset(instances)
        self._answers = _Answers()
        self.registry.register(self._answers)
        self._skewed = self._counter(
            "webhook_skewed", "Webhooks refused because their time is too far from our clock.", "instance"
        )
        self._journal_size = self._histogram("journal_envelopes", "Envelopes that shared a journal commit.", SIZES)
        self._journal_time = self._histogram(
            "journal_seconds", "From handing a journal batch to the store until COMMIT returned.", SECONDS
        )
        self._record_size = self._histogram("record_envelopes", "Envelopes that shared a record transaction.", SIZES)
        self._record_time = self._histogram(
            "record_seconds", "From handing a judged batch to the store until COMMIT returned.", SECONDS
        )
        self._batches = Histogram(
            "trunkline_pipeline_seconds", "From the claim of a batch until it is recorded.", ("path",),
            registry=self.registry, buckets=SECONDS,
        )  # fmt: skip
        self._failures = self._counter(
            "processing_failures", "Failed tries to process an envelope; parse_timeout, parse_crashed and parse_memory "
            "each cost a parse worker, which is started anew.", "cause",
        )  # fmt: skip
        self._tries = self._counter(
            "outbox_tries", "Tries of outbox work by what came of them.", "destination", "state"
        )
        self._lag = self._histogram("loop_lag_seconds", "How late the event loop woke.", SECONDS)
        self._blocked = self._counter("loop_blocked", "Times that the event loop was blocked, with a line in the log.")

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"trunkline_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: Iterable[float]) -> Histogram:
        return Histogram(f"trunkline_{name}", text, registry=self.registry, buckets=tuple(buckets))

    def known(self, instance: str) -> str:
        """The instance as a label's value."""
        return instance if instance in self._instances else OTHER

    def answered(self, instance: str, status: int) -> None:
        """A webhook heard this."""
        self._answers.counts[self.known(instance), status] += 1

    def skewed(self, instance: str) -> None:
        """One of the two clocks is wrong, or somebody replays."""
        self._skewed.labels(self.known(instance)).inc()

    def journaled(self, envelopes: int, seconds: float) -> None:
        """A batch is on disk."""
        self._journal_size.observe(envelopes)
        self._journal_time.observe(seconds)

    def recorded(self, envelopes: int, seconds: float) -> None:
        """A batch is recorded."""
        self._record_size.observe(envelopes)
        self._record_time.observe(seconds)

    def processed(self, seconds: float, *, isolated: bool) -> None:
        """A claimed batch went all the way."""
        self._batches.labels("isolated" if isolated else "quick").observe(seconds)

    def failed(self, cause: str) -> None:
        """`cause` is a word of the pipeline's, never text from outside."""
        self._failures.labels(cause).inc()

    def tried(self, destination: str, state: str) -> None:
        """Outbox work came to this state."""
        self._tries.labels(self.known(destination), state).inc()

    def step(self, work: Work, row: StepRow) -> AbstractAsyncContextManager[None]:
        """Around one try of an outbox step."""
        return self.traces.step(work, row) if self.traces is not None else nullcontext()

    def late(self, seconds: float) -> None:
        """The loop woke so late."""
        self._lag.observe(seconds)

    def blocked(self) -> None:
        """The watchdog saw the loop stand still."""
        self._blocked.inc()
