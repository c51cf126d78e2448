"""/metrics: what Prometheus is told is what happened."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text
from structlog.contextvars import get_contextvars

from context_store import tables
from context_store.figures import figures
from plugins import Secret, standard_sign
from tests.hub.desk import Desk, message
from tests.hub.statements import scanned, sent

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "operation.md"
HOOK = '[instance.hook]\nkind = "webhook"\nsecrets = ["file:hook.key"]\n'
KEY = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


async def scrape(desk: Desk, **headers: str) -> tuple[int, str]:
    """Over the network."""
    async with aiohttp.ClientSession() as web, web.get(
        f"http://127.0.0.1:{desk.hub.port}/metrics", headers=headers
    ) as answer:  # fmt: skip
        return answer.status, await answer.text()


async def figures_of(desk: Desk, path: str = "/metrics") -> str:
    """Over the local socket."""
    local = aiohttp.UnixConnector(str(desk.hub.config.socket))
    async with aiohttp.ClientSession(connector=local) as web, web.get(f"http://hub{path}") as answer:
        return await answer.text()


async def values(desk: Desk) -> dict[tuple[str, ...], float]:
    """(sample name without trunkline_, label values…) → value."""
    families = text_string_to_metric_families(await figures_of(desk))
    return {
        (s.name.removeprefix("trunkline_"), *s.labels.values()): s.value for family in families for s in family.samples
    }


async def test_every_envelope_is_counted_by_instance_and_state(desk: Desk):
    await desk.say(message("m1"), key="k1")
    await desk.say(message("m1"), key="k1")
    await desk.say(message("m1", text="other"), key="k1")
    await desk.say(message("m2"), to="mail", parse="raise")
    found = await values(desk)
    assert found["envelopes_received_total", "chat"] == 2
    assert found["envelopes_redelivered_total", "chat"] == 1
    assert found["envelopes_collided_total", "chat"] == 1
    assert found["envelopes", "chat", "done"] == 2
    assert found["envelopes", "mail", "parked"] == 1
    assert found["processing_failures_total", "parse_failed"] == 1
    assert found["envelopes", "form", "done"] == 0
    assert found["balanced",] == found["store_up",] == 1
    assert found["journal_envelopes_sum",] == 4
    assert found["record_envelopes_sum",] == 2
    assert found["pipeline_seconds_count", "quick"] >= 2
    assert found["outbox_tries_total", "tool", "done"] >= 1


async def test_ages_tell_since_when_work_waits(desk: Desk):
    await desk.say(message("m1"))
    await desk.say(message("m2"), to="mail", parse="raise")
    await desk.hold_pipeline()
    await desk.post(message("m3"), to="form")
    desk.clock.by += timedelta(minutes=10)
    found = await values(desk)
    assert found["pending_age_seconds", "chat"] == 0
    for name in ("pending_age_seconds", "last_message_age_seconds"):
        assert 600 <= found[name, "form"] < 660
    assert 600 <= found["parked_age_seconds", "mail"] < 660
    assert 600 <= found["last_success_age_seconds", "chat"] < 660
    assert ("last_success_age_seconds", "radio") not in found
    await desk.resume_pipeline()
    await desk.settle()


async def test_waiting_and_parked_outbox_work_is_told_by_destination(desk: Desk):
    await desk.say(message("m1"))
    moved = "UPDATE outbox SET state = '{}', due_at = 0, settled_at = 0 WHERE destination = '{}'"
    desk.hub.outbox.stopping = True
    await asyncio.sleep(0.1)
    for state, destination in (("queued", "tool"), ("parked", "chat")):
        sql = moved.format(state, destination)
        await desk.hub.store.write(lambda conn, sql=sql: conn.execute(text(sql)) and None)
    found = await values(desk)
    assert found["outbox", "tool", "queued"] == found["outbox", "chat", "parked"] == 1
    assert found["outbox_due_age_seconds", "tool"] > 1e9
    assert found["outbox_parked_age_seconds", "chat"] > 1e9
    assert found["outbox_due_age_seconds", "chat"] == 0


async def test_answers_are_counted_by_status_and_strangers_make_no_series(desk: Desk):
    await desk.post(message("m1"))
    await desk.call("chat", b"", sign="wrong")
    for n in range(3):
        await desk.call(f"made-up-{n}", b"")
    found = await values(desk)
    assert found["webhook_answers_total", "chat", "200"] == 1
    assert found["webhook_answers_total", "chat", "401"] == 1
    assert found["webhook_answers_total", "other", "401"] == 3
    labels = {labels[0] for name, *labels in found if labels and name.startswith("webhook")}
    assert labels <= {"chat", "mail", "form", "tool", "other"}
    await desk.settle()


async def test_a_webhook_from_another_time_is_counted(hub_under_test: Desk):
    desk = hub_under_test
    key = desk.folder / "hook.key"
    key.write_text(KEY)
    key.chmod(0o600)
    await desk.start(more=HOOK)
    late = datetime.now(UTC) - timedelta(hours=1)
    headers = standard_sign([Secret(KEY)], key="k1", at=late, body=b"{}")
    async with aiohttp.ClientSession() as web, web.post(
        f"http://127.0.0.1:{desk.hub.port}/in/hook/", data=b"{}", headers=headers
    ) as answer:  # fmt: skip
        assert answer.status == 401
    assert (await values(desk))["webhook_skewed_total", "hook"] == 1


async def test_alarms_that_stand_are_counted_by_kind(hub_under_test: Desk):
    desk = hub_under_test
    await desk.start(more='[instance.radio]\nkind = "radio"\ndoes = "raise"\n')
    await desk.until(desk.alarms)
    found = await values(desk)
    assert found["alarms", "failing"] == 1
    assert found["instance_well", "radio"] == 0
    assert found["instance_well", "chat"] == 1


async def test_figures_are_for_the_local_socket_and_for_the_token(hub_under_test: Desk):
    desk = hub_under_test
    token = desk.folder / "token"
    token.write_text("let-me-in")
    token.chmod(0o600)
    await desk.start(store=f'{desk.values["store"]}\nmetrics_token = "file:token"')
    assert "trunkline_balanced 1.0" in await figures_of(desk)
    assert '"backlog"' in await figures_of(desk, "/healthz")
    assert (await scrape(desk))[0] == 401
    assert (await scrape(desk, Authorization="Bearer wrong"))[0] == 401
    assert (await scrape(desk, Authorization="Bearer let-me-in"))[0] == 200


async def test_without_a_token_no_word_opens_the_figures(desk: Desk):
    for said in ("Bearer ", "Bearer None", "Bearer ***"):
        assert (await scrape(desk, Authorization=said))[0] == 401


async def test_a_scrape_walks_no_table(desk: Desk):
    await desk.say(message("m1"))
    await desk.say(message("m2"), parse="raise")

    def look(conn):
        with sent(conn) as seen:
            figures(conn, ["chat", "mail"])
        return seen, scanned(conn, seen) if conn.dialect.name == "sqlite" else set()

    seen, walked = await desk.hub.store.read(look)
    assert len(seen) <= 9
    assert walked & set(tables.metadata.tables) <= {"tallies", "alarms"}  # a handful of rows each, however much came


async def test_the_document_names_every_metric_and_no_other(desk: Desk):
    await desk.say(message("m1"))
    families = text_string_to_metric_families(await figures_of(desk))
    told = {family.name for family in families if family.name.startswith("trunkline_")}
    told -= {name for name in told if name.endswith("_created")}
    written = set(re.findall(r"`(trunkline_[a-z_]+)`", DOCUMENT.read_text()))
    assert {name.removesuffix("_total") for name in written} == told


async def test_what_a_connector_logs_while_it_parses_names_its_envelope(desk: Desk, monkeypatch):
    seen: list[dict[str, object]] = []
    line = desk.hub.instances["chat"].connector
    read = line.parse

    def parse(envelope):
        seen.append(get_contextvars())
        return read(envelope)

    monkeypatch.setattr(line, "parse", parse, raising=False)
    await desk.say(message("m1"))
    (number,) = await desk.column("SELECT id FROM envelopes")
    assert seen == [{"envelope": number, "instance": "chat"}]
