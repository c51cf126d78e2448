"""The house around the path: connectors that fail alone, rules that are refused, history that can be derived anew."""

import asyncio
import json
import shutil
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Connection

from context_store import StoreRefused
from context_store import outbox as rows
from context_store.audit import add_events
from context_store.pending import claim_envelopes
from context_store.record import record
from hub.app import build
from hub.config import load_config
from plugins import BadConfig, Envelope
from routing import Facts, decide, explain
from tests.hub.desk import RULES, Desk, edit, installed, mail, message
from tests.hub.statements import count, scanned, sent

RADIO = '[instance.radio]\nkind = "radio"\ndoes = "{}"\nsilence = {}\n'


@pytest.mark.parametrize("does", ["raise", "exit", "cancelled"])
async def test_connector_that_fails_is_restarted_and_harms_nobody(hub_under_test: Desk, does: str):
    desk = hub_under_test
    await desk.start(more=RADIO.format(does, 3600))
    radio = desk.hub.instances["radio"]

    async def restarted() -> bool:
        return radio.connector.runs >= 2

    await desk.say(message("m1"))
    await desk.until(desk.alarms)
    assert await desk.alarms() == ["failing:radio"]
    await desk.until(restarted)
    assert radio.restarts >= 1
    assert len(await desk.references()) == 1


@pytest.mark.parametrize("does", ["listen", "stubborn", "return"])
async def test_connector_that_hangs_returns_or_ignores_its_end_harms_nobody(hub_under_test: Desk, does: str):
    desk = hub_under_test
    await desk.start(more=RADIO.format(does, 3600))
    radio = desk.hub.instances["radio"].connector
    await desk.say(message("m1"))
    assert len(await desk.references()) == 1
    await desk.audited()
    running = [task for task in asyncio.all_tasks() if task.get_name() == "run-radio"]
    await desk.stop()
    radio.let_go.set()
    await asyncio.gather(*running, return_exceptions=True)


BROKEN = ["raise RuntimeError('at import \\ud800')", "import sys; sys.exit(2)", "import nothing_like_it", "def ("]


@pytest.mark.parametrize("code", BROKEN, ids=range(len(BROKEN)))
async def test_plugin_that_can_not_be_imported_takes_down_its_own_instances_only(hub_under_test: Desk, code: str):
    desk = hub_under_test
    own = desk.folder / "own"
    own.mkdir()
    (own / "bad_plugin.py").write_text(code)
    folder = f'{Path(__file__).parent / "scripted"}", "{own}'
    await desk.start(folder=folder, more='[instance.lost]\nkind = "lost_kind"\n')
    await desk.say(message("m1"))
    assert len(await desk.references()) == 1
    assert desk.hub.instances["lost"].broken
    await desk.until(desk.alarms)
    assert await desk.alarms() == ["broken:lost"]


async def test_unusual_silence_raises_an_alarm_and_the_next_message_clears_it(hub_under_test: Desk):
    desk = hub_under_test
    await desk.start(more=RADIO.format("listen", 60))
    supervisor, radio = desk.hub.supervisor, desk.hub.instances["radio"].connector

    async def running() -> bool:
        return radio.runs > 0

    await desk.until(running)  # its lease may take longer than the hub's start
    desk.clock.by += timedelta(minutes=2)
    supervisor._look.set()
    await desk.until(desk.alarms)
    assert await desk.alarms() == ["silence:radio"]
    await radio.port.receive(Envelope(key="k", raw=b"[]", at=desk.clock.now()))
    supervisor._look.set()

    async def calm() -> bool:
        return not await desk.alarms()

    await desk.until(calm)
    await desk.settle()


async def test_decision_is_stored_with_its_facts_and_explained_again(desk: Desk):
    await desk.say(message("m1", text="VPN is down"))
    ((facts, digest, outcome),) = await desk.rows("SELECT facts, rule_set, outcome FROM decisions")
    assert digest == desk.hub.rules.current.hash
    kept = await desk.column("SELECT hash FROM rule_sets")
    assert kept == [digest]
    said = msgspec.json.decode(outcome)
    assert said["outcome"]["type"] == "incident"
    seen = msgspec.json.decode(facts, type=Facts)
    assert "vpn" in msgspec.json.encode(explain(desk.hub.rules.current, seen)).decode()
    again = decide(desk.hub.rules.current, seen)
    assert msgspec.to_builtins(again.outcome) == said["outcome"]
    assert list(again.rules) == said["rules"]


@pytest.mark.parametrize(
    ("good", "bad"), [('set.target = "tool"', 'set.target = "nowhere"'), ('set.team = "desk"', 'set.team = "nobody"')]
)
async def test_rules_that_name_what_is_not_there_stop_the_start(hub_under_test: Desk, good: str, bad: str):
    desk = hub_under_test
    await desk.start()
    await desk.stop()
    (desk.folder / "rules.toml").write_text(RULES.replace(good, bad))
    hub = build(load_config(desk.folder / "plugins.toml", {}))
    with pytest.raises(BadConfig, match="there is no"):
        await hub.start()
    await desk.start()


@pytest.mark.parametrize("bad", ["[[rule]]\nname = 1", "a = [" * 3000, "\x00", RULES.replace('"tool"', '"nowhere"')])
async def test_reload_with_bad_rules_keeps_the_old_ones_and_raises_an_alarm(desk: Desk, bad: str):
    (desk.folder / "rules.toml").write_text(bad)
    assert not await desk.hub.reload()
    assert await desk.alarms() == ["rules"]
    await desk.say(message("m1", text="vpn"))
    assert await desk.column("SELECT type FROM queries") == ["incident"]
    (desk.folder / "rules.toml").write_text(RULES.replace('"incident"', '"request"'))
    assert await desk.hub.reload()
    assert await desk.alarms() == []
    await desk.say(message("m2", text="vpn", sender="bob"))
    assert await desk.column("SELECT type FROM queries ORDER BY id") == ["incident", "request"]
    assert await desk.number("SELECT count(*) FROM rule_sets") == 2


async def test_reprocess_keeps_ids_sends_nothing_and_overrides_no_agent(desk: Desk):
    await desk.say(message("m1", text="worse", subject="old"), message("m2", sender="bob", text="other"))
    reference = (await desk.references())[0]
    await desk.operate("set_query", "eve", reference, {"subject": "by eve", "type": "complaint", "state": "on_hold"})
    await desk.say(edit("m2", "edited"))
    before = await desk.rows("SELECT id, query_id, identity_id, thread_seq FROM messages ORDER BY id")
    (raw, *_) = await desk.column("SELECT raw FROM envelopes ORDER BY id")
    better = [message("m1", text="better", subject="new"), message("m2", sender="bob", text="again"), message("m9")]
    desk.hub.instances["chat"].connector.readings = {raw: msgspec.json.encode(better)}
    sent_before = (len(desk.far("chat").ledger), len(desk.far("tool").ledger))
    counts = await desk.operate("reprocess", "eve", (), 0)
    await desk.settle()
    assert (counts["envelopes"], counts["new"], counts["failed"]) == (2, 1, 0)
    assert await desk.rows("SELECT id, query_id, identity_id, thread_seq FROM messages ORDER BY id") == before
    assert await desk.column("SELECT text FROM messages WHERE direction = 'in' ORDER BY id") == ["better", "edited"]
    assert await desk.rows("SELECT subject, type, state FROM queries WHERE reference = :ref", ref=reference) == [
        ("by eve", "complaint", "on_hold")
    ]
    assert (len(desk.far("chat").ledger), len(desk.far("tool").ledger)) == sent_before


async def test_statements_do_not_grow_with_the_batch(desk: Desk):
    await desk.hold_pipeline()

    async def batch(name: str, size: int) -> tuple[int, int]:
        for n in range(size):
            line = message(
                f"{name}{n}", sender=f"{name}{n}", thread=f"{name}{n}", replies_to=[f"x{n}"], text="vpn",
                tokens=[f"t{n}"], claims=[],
            )  # fmt: skip
            await desk.post(line, edit(f"{name}{n}", "better"), edit(f"later{name}{n}", "never"))
        pending = await desk.hub.store.read(claim_envelopes, 500)
        parsed = await desk.hub.parsers.parse(pending)
        reads, judged = await desk.hub.store.read(count, desk.hub.pipeline._judge, parsed, desk.hub.rules.judging)
        writes, _ = await desk.hub.store.write(count, record, judged.batch, add_events)
        desk.hub.intake.pending -= size
        return reads, writes

    one, hundred = await batch("a", 1), await batch("b", 100)
    assert one == hundred
    assert min(one) > 5
    await desk.resume_pipeline()
    await desk.settle()


async def test_no_table_is_walked_on_a_messages_path(desk: Desk):
    if desk.hub.store.dialect != "sqlite":
        await desk.say(message("m1"))
        return
    await desk.hold_pipeline()
    line = message("m1", thread="t", replies_to=["x"], tokens=["t"])
    await desk.post(line, edit("m1", "b"), edit("never", "b"))
    parsed = await desk.hub.parsers.parse(await desk.hub.store.read(claim_envelopes, 500))

    def walked(conn: Connection) -> set[str]:
        now = desk.hub.store.now()
        with sent(conn) as seen:
            batch = desk.hub.pipeline._judge(conn, parsed, desk.hub.rules.judging).batch
            record(conn, batch, add_events)
            works = rows.claim(conn, now, now + 1, 10)
            rows.settle(conn, [rows.Settled(id=w.id, fence=w.fence, state="queued", due_at=now) for w in works], now)
            rows.overtaken(conn, [b"x" * 32])
            rows.counts(conn)
        return scanned(conn, seen)

    assert await desk.hub.store.write(walked) == set()
    await desk.resume_pipeline()
    await desk.settle()


async def test_note_is_seen_by_agents_only_and_reaches_nobody(desk: Desk):
    await desk.say(mail("m1", assurance=1), to="mail")
    (reference,) = await desk.references()
    before = len(await desk.sent())
    await desk.operate("reply", "eve", reference, "between us", public=False)
    await desk.operate("note", "eve", reference, "once more")
    await desk.settle()
    assert len(await desk.sent()) == before
    assert await desk.column("SELECT standing FROM messages WHERE kind = 'note'") == ["internal", "internal"]


async def test_operations_beside_a_busy_pipeline_lose_nothing(desk: Desk):
    await desk.say(message("m1", thread="t"))
    (reference,) = await desk.references()

    async def talk(n: int) -> None:
        assert await desk.post(message(f"n{n}", thread="t")) == 200

    notes = (desk.operate("note", "eve", reference, f"note {n}") for n in range(10))
    replies = (desk.operate("reply", "eve", reference, f"reply {n}") for n in range(10))
    await asyncio.gather(*(talk(n) for n in range(20)), *notes, *replies)
    await desk.settle()
    assert await desk.column("SELECT state FROM envelopes WHERE state <> 'done'") == []
    kinds = await desk.rows("SELECT direction, kind, count(*) FROM messages GROUP BY 1, 2 ORDER BY 1, 2")
    assert kinds == [("in", "chat", 21), ("out", "chat", 11), ("out", "note", 10)]
    numbers = await desk.column(
        "SELECT thread_seq FROM messages m JOIN threads t ON t.id = m.thread_id WHERE t.key = 't' ORDER BY 1"
    )
    assert numbers == list(range(1, len(numbers) + 1))


async def test_two_nodes_on_one_store_record_everything_once_and_in_order(hub_under_test: Desk, tmp_path: Path):
    desk = hub_under_test
    await desk.start(limits="batch = 5")
    if desk.hub.store.dialect == "sqlite":
        with pytest.raises(StoreRefused, match="already open"):
            await build(load_config(desk.folder / "plugins.toml", {})).start()
        return
    async with installed(tmp_path, str(desk.hub.store.url)) as other:
        shutil.copy(desk.folder / "var" / "signing.key", tmp_path)
        other.values |= {"limits": "batch = 5"}
        await other.start()

        async def lane(name: str, node: Desk, first: int) -> None:
            for n in range(first, 24, 2):
                assert await node.post(message(f"{name}-{n}", sender=f"u-{name}"), lane=name) == 200

        names = ("ann", "bob", "cid", "dan")
        await asyncio.gather(*(lane(name, node, first) for name in names for first, node in enumerate((desk, other))))
        await desk.settle()
        assert await desk.number("SELECT count(*) FROM messages WHERE direction = 'in'") == 96
        assert await desk.number("SELECT count(*) FROM identities") == 4
        assert await desk.number("SELECT count(*) FROM queries") == 4
        found = await desk.column("SELECT key FROM messages WHERE direction = 'in' ORDER BY thread_id, thread_seq")
        for (
            name
        ) in names:  # what one node took after it had acknowledged another; at two nodes at once there is no order
            for first in (0, 1):
                said = [f"{name}-{n}" for n in range(first, 24, 2)]
                assert [key for key in found if key in said] == said
        assert len(desk.far("tool").ledger) + len(other.far("tool").ledger) == 96


async def test_tags_are_set_whole_and_the_event_has_what_was_there(desk: Desk):
    await desk.say(message("m1"))
    (reference,) = await desk.references()
    await desk.operate("set_query", "eve", reference, {"tags": "vpn, network,vpn,"})
    await desk.operate("set_query", "eve", reference, {"tags": ["board"]})
    assert await desk.column("SELECT tags FROM queries") == ['["board"]']
    bodies = [
        json.loads(body) for body in await desk.column("SELECT body FROM events WHERE kind = 'query.set' ORDER BY id")
    ]
    assert bodies == [
        {"was": {"tags": []}, "is": {"tags": ["vpn", "network"]}},
        {"was": {"tags": ["vpn", "network"]}, "is": {"tags": ["board"]}},
    ]
    for bad in ("x" * 101, [1], ",".join(map(str, range(51)))):
        with pytest.raises(ValueError, match="tags"):
            await desk.operate("set_query", "eve", reference, {"tags": bad})
