"""Traces by OpenTelemetry: a real `serve`, told by the environment alone, and a collector that speaks OTLP by HTTP."""

import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bench.faults.campaign import placed
from bench.faults.load import Load
from bench.faults.nemesis import healed, loading
from bench.faults.place import Place
from hub.config import traces_wanted

PATH = ["receive", "judge", "record"]


@pytest.fixture
def place() -> Iterator[Place]:
    with placed("", 1) as made:
        yield made


class Collector:
    """Takes what an exporter sends to /v1/traces."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, Any]] = []
        """(service.name, span)"""
        self.keys: set[str | None] = set()

    async def start(self) -> str:
        app = web.Application()
        app.router.add_post("/v1/traces", self._take)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        self.keys.add(request.headers.get("api-key"))
        for resource in ExportTraceServiceRequest.FromString(await request.read()).resource_spans:
            service = {one.key: one.value.string_value for one in resource.resource.attributes}["service.name"]
            self.spans += [(service, span) for scope in resource.scope_spans for span in scope.spans]
        return web.Response(content_type="application/x-protobuf")

    def traces(self) -> dict[bytes, list[Any]]:
        found = defaultdict(list)
        for _, span in self.spans:
            found[span.trace_id].append(span)
        return found


async def test_a_trace_leads_from_the_envelope_to_each_step_and_says_numbers_and_names_only(place: Place):
    collector = Collector()
    url = await collector.start()
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_EXPORTER_OTLP_HEADERS": "api-key=c0llect0r"}
    async with place.far_side(loses=0.2):
        load = Load(place, kinds="hook", targets=("a", "c"))
        place.served.start(environ)
        await place.served.ready()
        async with loading(load):
            while load.acks < 20:
                load.acked.clear()
                await load.acked.wait()
        assert not await healed(place)  # ends it, too: what waits is exported
    await collector.stop()
    assert {service for service, _ in collector.spans} == {"trunkline"}
    assert collector.keys == {"c0llect0r"}
    recorded = [spans for spans in collector.traces().values() if any(span.name == "record" for span in spans)]
    assert len(recorded) > 10
    assert all(_whole(spans) for spans in recorded)
    steps = [span for _, span in collector.spans if span.name == "outbox step"]
    assert all(_facts(span)["trunkline.message"] for span in steps)
    assert {span.status.code for span in steps} == {0, 2}  # some tries failed
    said = b"".join(span.SerializeToString() for _, span in collector.spans)
    assert b"user-" not in said  # whom the messages are from, and each text begins with what stands in it, too
    assert place.secret.reveal().encode() not in said
    assert b"c0llect0r" not in place.served.log.read_bytes()


def _whole(spans: list[Any]) -> bool:
    """One first span that all others hang on, each part of the path once, and tickets are about what was recorded."""
    first = [span for span in spans if not span.parent_span_id]
    names = [span.name for span in spans if span.name in PATH]
    made = {one.string_value for span in spans for fact in span.attributes for one in fact.value.array_value.values}
    about = {_facts(span)["trunkline.message"] for span in spans if _facts(span).get("trunkline.kind") == "dispatch"}
    return (
        len(first) == 1
        and about <= made
        and sorted(names) == sorted(PATH)
        and {span.parent_span_id for span in spans if span is not first[0]} == {first[0].span_id}
        and all(span.start_time_unix_nano <= span.end_time_unix_nano for span in spans)
    )


def _facts(span: Any) -> dict[str, str]:
    return {one.key: one.value.string_value for one in span.attributes}


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "desk"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, False),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, False),
    ],
)
def test_traces_are_made_where_the_environment_names_a_collector(environ: dict[str, str], *, wanted: bool):
    assert traces_wanted(environ) is wanted


def test_what_few_starts_need_is_not_loaded_by_all():
    """A hub that ended must serve again soon, and most of its start is loading."""
    late = ("opentelemetry", "alembic", "holidays", "psycopg", "redis")
    code = f"import sys, hub.cli.serve; print(*sys.modules.keys() & {set(late)!r})"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "\n"
