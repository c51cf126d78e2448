"""Traces by OpenTelemetry: receive → judge → record → each outbox step of what came of it, one trace an envelope.

Only with the extra `trunkline[otel]`, and only where the environment names a collector (`hub.config.traces_wanted`);
where to, how often and which share is the SDK's business, which reads the other OTEL_* variables itself. The trace's
number follows from the installation and the envelope, so that spans meet in it whichever node and whichever day they
come from, and nothing need be stored. Attributes are numbers and configured names: no text, address or key from
anywhere, and of an error its class alone.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from hashlib import sha256

import structlog
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import NonRecordingSpan, SpanContext, Status, StatusCode, TraceFlags, set_span_in_context

from context_store import Store
from context_store.journal import Journaled, NewEnvelope
from context_store.origins import messages_of, origin
from context_store.outbox import StepRow, Work
from context_store.record import Batch

log = structlog.get_logger("trunkline.traces")

Value = str | bool | int | Sequence[str]
ROOT = "receive"


@contextmanager
def _aside() -> Iterator[None]:
    """Nothing that goes wrong with a trace may reach the message that it is about."""
    try:
        yield
    except Exception:
        log.exception("traces.failed")


class _Ids(RandomIdGenerator):
    """The numbers of a trace and its first span, where they are given."""

    given: tuple[int, int] | None = None

    def generate_trace_id(self) -> int:
        return self.given[0] if self.given else super().generate_trace_id()

    def generate_span_id(self) -> int:
        return self.given[1] if self.given else super().generate_span_id()


class Traces:
    """Every method is for the event loop; what can't be exported in time is dropped by the SDK, which says so."""

    def __init__(self, store: Store) -> None:
        """Begins the exporter's thread."""
        self._store = store
        self._ids = _Ids()
        resource = Resource.create()
        if str(resource.attributes.get("service.name", "")).startswith("unknown_service"):
            resource = resource.merge(Resource({"service.name": "trunkline"}))
        resource = resource.merge(Resource({"service.instance.id": str(store.node)}))
        self._provider = TracerProvider(resource=resource, id_generator=self._ids, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("trunkline")

    async def close(self) -> None:
        """Send what waits; a collector that is away costs OTEL_EXPORTER_OTLP_TIMEOUT."""
        await asyncio.to_thread(self._provider.shutdown)

    def received(self, envelopes: Sequence[NewEnvelope], rows: Sequence[Journaled], seconds: float) -> None:
        """They were handed to the store so long ago and are on disk. One that came again has its span in its trace."""
        now = time.time_ns()
        began = now - int(seconds * 1e9)
        with _aside():
            for envelope, row in zip(envelopes, rows, strict=True):
                facts = {"trunkline.envelope": str(row.id), "trunkline.instance": envelope.instance}
                if row.fresh:
                    self._first(row.id, began, now, facts)
                else:
                    self._span("receive again", row.id, began, now, facts)

    def recorded(self, batch: Batch, judging: float, writing: float) -> None:
        """`judging`, `writing`: when either began, by `time.perf_counter`."""
        now, ticks = time.time_ns(), time.perf_counter()
        judged, wrote = (now - int((ticks - began) * 1e9) for began in (judging, writing))
        with _aside():
            messages = messages_of(batch)
            for envelope in batch.done:
                numbers = [str(number) for number in messages.get(envelope, ())]
                facts = {"trunkline.envelope": str(envelope), "trunkline.message": numbers}
                self._span("judge", envelope, judged, wrote, facts)
                self._span("record", envelope, wrote, now, facts)

    @asynccontextmanager
    async def step(self, work: Work, row: StepRow) -> AsyncIterator[None]:
        """Around one try; a failure ends the span as an error and goes on."""
        found, began, failed = None, time.time_ns(), ""
        with _aside():
            found = await self._store.read(origin, work.query_id, work.message_id or work.id)
        envelope, message = found or (work.id, 0)
        try:
            yield
        except BaseException as error:
            failed = type(error).__name__
            raise
        finally:
            facts: dict[str, Value] = {
                "trunkline.outbox": str(work.id), "trunkline.kind": work.kind, "trunkline.try": work.attempts,
                "trunkline.destination": work.destination, "trunkline.message": str(work.message_id or message),
                "trunkline.step": row.n,
            }  # fmt: skip
            with _aside():
                self._span("outbox step", envelope, began, time.time_ns(), facts, failed)

    def _first(self, envelope: int, began: int, ended: int, facts: Mapping[str, Value]) -> None:
        self._ids.given = self._numbers(envelope)
        try:
            span = self._tracer.start_span(ROOT, Context(), attributes=facts, start_time=began)
        finally:
            self._ids.given = None
        span.end(ended)

    def _span(
        self, name: str, envelope: int, began: int, ended: int, facts: Mapping[str, Value], failed: str = ""
    ) -> None:
        """One below the envelope's first span, which is sampled (or not) by its number, here as there."""
        trace, first = self._numbers(envelope)
        chosen = self._provider.sampler.should_sample(None, trace, ROOT).decision is Decision.RECORD_AND_SAMPLE
        flags = TraceFlags(TraceFlags.SAMPLED if chosen else TraceFlags.DEFAULT)
        above = set_span_in_context(NonRecordingSpan(SpanContext(trace, first, True, flags)), Context())
        span = self._tracer.start_span(name, above, attributes=facts, start_time=began)
        if failed:
            span.set_attribute("error.type", failed)
            span.set_status(Status(StatusCode.ERROR))
        span.end(ended)

    def _numbers(self, envelope: int) -> tuple[int, int]:
        digest = sha256(f"{self._store.installation}:{envelope}".encode()).digest()
        return int.from_bytes(digest[:16]), int.from_bytes(digest[16:24])
