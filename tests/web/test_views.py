"""The reads behind the pages: equal on both databases, a fixed number of statements, and small indexes only."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, insert, text

from context_store import Store, directory, evidence, views
from context_store import tables as t
from context_store.shapes import QueryFilter
from hub.clock import SystemClock
from tests.prepared import put_sqlite
from tests.web.sample import Sample
from tests.web.test_portal import given


@pytest.fixture(params=["sqlite", "postgresql"])
async def filled(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Store, dict[str, Any]]]:
    put_sqlite(tmp_path / "s.db")
    url = f"sqlite:///{tmp_path}/s.db" if request.param == "sqlite" else request.getfixturevalue("prepared_url")
    store = await Store.open(url, tmp_path / "data", SystemClock())
    yield store, await store.write(Sample(store, "hash").fill)
    await store.close()


async def test_every_read_answers_the_same_on_both_databases(filled):
    store, ids = filled
    rows = await store.read(views.list_queries, QueryFilter(state="active"))
    assert [(row.state, row.priority, row.assignee, row.tags) for row in rows] == [
        ("new", "P4", "", ("network", "vpn")),
        ("open", "P2", "Amir", ("network", "vpn")),
    ]
    by_text = await store.read(views.list_queries, QueryFilter(text="VPN DROPS"))
    assert [row.id for row in by_text] == [ids["vpn"]["id"]]
    view = await store.read(views.show_query, ids["vpn"]["id"])
    assert [m.kind for m in view.messages] == ["mail", "mail", "note", "mail"]
    assert [a.name for a in view.messages[0].attachments] == ["screenshot.png", '"><script>x.html']
    assert {o.state for o in view.outbox} == {"done", "queued", "parked"}
    assert [e.kind for e in view.events] == ["query.assigned", "query.opened"]
    journey = await store.read(views.show_user, ids["ann"]["user"])
    assert (journey.organisation, len(journey.queries), len(journey.messages)) == ("Acme Ltd", 2, 5)
    health = await store.read(evidence.health, ["support-mail", "portal", "new"])
    assert health.balanced
    assert [(a.instance, a.received) for a in health.accounts] == [("new", 0), ("portal", 88), ("support-mail", 1204)]
    assert health.backlog.outbox == {"queued": 1, "parked": 1}
    assert await store.read(evidence.marks) == evidence.Marks(parked=2, alarms=1)
    assert [c.outbox_id for c in await store.read(evidence.caught)] == [ids["caught"]]
    assert (await store.read(evidence.caught_step, ids["caught"], 0)).body.startswith(b"To: ann")
    assert await store.read(evidence.receipt, given(ids["envelope"])) == ("done", ids["vpn"]["reference"])
    assert await store.read(evidence.receipt, given(ids["parked"])) == ("parked", "")
    assert await store.read(evidence.receipt, given(1)) is None


async def test_what_no_store_can_hold_finds_nobody(filled):
    from context_store import agents

    store, _ = filled
    assert await store.read(agents.find_agent, "a\x00\ud800b") is None


async def test_a_beginning_is_found_whatever_its_letters_and_the_case_of_ascii_ones(filled):
    store, _ = filled
    sample = Sample(store, "hash")
    sample.named["agent"] = None
    person = await store.write(lambda conn: sample._user(conn, "Özil Émile", "email", "Özil@acme.test", 1))
    query = await store.write(lambda conn: sample._query(conn, person, "Übersicht FEHLT", "new", 1)["id"])

    async def found(begin: str) -> tuple[list[int], list[int]]:
        users = await store.read(directory.list_users, begin)
        queries = await store.read(views.list_queries, QueryFilter(text=begin))
        return [row.user_id for row in users], [row.id for row in queries]

    for begin in ("Özil", "Öz", "ÖZIL É", "Özil@ACME"):
        assert await found(begin) == ([person["user"]], [query])
    for begin in ("Übersicht", "ÜBERSICHT fehlt"):
        assert await found(begin) == ([], [query])
    for begin in ("özil", "übersicht"):
        assert await found(begin) == ([], [])


async def test_tries_are_counted_together_on_both_databases(filled):
    from context_store import agents

    store, _ = filled
    limits = {b"a" * 32: 3, b"b" * 32: 9}
    assert [await store.write(agents.count_try, limits, 1000, 500) for _ in range(4)] == [True, True, True, False]
    await store.write(agents.forgive, b"a" * 32, b"b" * 32)
    assert await store.write(agents.count_try, limits, 1000, 500)
    assert await store.write(agents.count_try, limits, 2000, 500)


async def test_a_page_takes_the_same_number_of_statements_however_many_rows(filled):
    store, ids = filled
    reads = (
        lambda conn: views.show_query(conn, ids["vpn"]["id"]),
        lambda conn: views.show_user(conn, ids["ann"]["user"]),
        lambda conn: views.list_queries(conn, QueryFilter()),
        lambda conn: evidence.health(conn, ["support-mail"]),
        evidence.parked_envelopes,
        evidence.parked_work,
        evidence.caught,
    )
    before = [await store.read(_count, read) for read in reads]
    sample = Sample(store, "hash")
    await store.write(_more, sample, ids)
    assert [await store.read(_count, read) for read in reads] == before


def _count(conn: Any, read: Any) -> int:
    seen: list[str] = []

    def note(*args: Any) -> None:
        seen.append(args[2])

    event.listen(conn, "before_cursor_execute", note)
    read(conn)
    event.remove(conn, "before_cursor_execute", note)
    assert seen
    return len(seen)


def _more(conn: Any, sample: Sample, ids: dict[str, Any]) -> None:
    for n in range(30):
        query = sample._query(conn, ids["ann"], f"more {n}", "new", n)
        message = sample._message(conn, query, ids["ann"], text="x")
        conn.execute(insert(t.attachments).values(message_id=message, n=0, name="a", type="b", size=1))
        sample._message(conn, ids["vpn"], ids["ann"], text="x")
        sample.work(conn, ids["vpn"], "parked", cause="c")
        sample.envelope(conn, "support-mail", "parked", str(n).encode(), cause="c")


async def test_counts_for_every_page_walk_no_large_table(tmp_path):
    store = await Store.open(f"sqlite:///{tmp_path}/s.db", tmp_path / "data", SystemClock())
    plans = await store.read(_plans)
    await store.close()
    walks = [plan for plan in plans if plan.startswith("SCAN") and "INDEX" not in plan]
    assert [walk for walk in walks if any(name in walk for name in ("envelopes", "outbox", "messages"))] == []
    assert any("ix_envelopes_parked" in plan for plan in plans)


def _plans(conn: Any) -> list[str]:
    statements: list[tuple[str, Any]] = []
    event.listen(conn, "before_cursor_execute", lambda *args: statements.append((args[2], args[3])))
    evidence.marks(conn)
    evidence.health(conn, ["a", "b"])
    evidence.parked_envelopes(conn)
    evidence.parked_work(conn, 5)
    views.list_queries(conn, QueryFilter(), (5, 5))
    views.show_query(conn, 1)
    driver = conn.connection.driver_connection
    return [row[3] for sql, values in statements for row in driver.execute(f"EXPLAIN QUERY PLAN {sql}", values)]


async def test_a_query_that_was_joined_shows_its_messages_in_the_matter_it_belongs_to(filled):
    store, ids = filled

    def join(conn: Any) -> None:
        conn.execute(
            text("UPDATE queries SET root_id = :root WHERE id = :id"),
            {"root": ids["vpn"]["id"], "id": ids["chat"]["id"]},
        )

    await store.write(join)
    view = await store.read(views.show_query, ids["vpn"]["id"])
    assert len(view.messages) == 5
    assert await store.read(views.find_query, ids["chat"]["reference"]) == ids["vpn"]["id"]
    assert ids["chat"]["id"] not in [row.id for row in await store.read(views.list_queries, QueryFilter())]
