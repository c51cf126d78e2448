"""What a batch looks up costs what it finds, however much there is beside it."""

import pytest
from sqlalchemy import Connection

from context_store import Store, bulk
from context_store import tables as t
from context_store.lookups import Known, Wanted, gather
from context_store.text import hash_key

HASH = hash_key("person")
DAY = 86_400_000


@pytest.fixture
def store_url(tmp_path) -> str:
    """SQLite, which can count what it does."""
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
async def person(store: Store) -> Store:
    """Somebody with one open query, touched just now."""

    def make(conn: Connection) -> None:
        now = store.now()
        bulk.insert(conn, t.users, ("id", "created_at"), [(1, now)])
        columns = ("id", "scheme", "value", "value_hash", "user_id", "created_at")
        bulk.insert(conn, t.identities, columns, [(1, "chat", "ann", HASH, 1, now)])

    await store.write(make)
    await store.write(_queries, [(10, 10, "open", store.now())])
    return store


def _queries(conn: Connection, rows: list[tuple[int, int, str, int]]) -> None:
    """(id, root, state, touched) of each."""
    columns = ("id", "reference", "root_id", "identity_id", "instance", "channel", "state", "opened_at", "updated_at")
    made = [(number, f"TL-{number}", root, 1, "chat", "chat", state, at, at) for number, root, state, at in rows]
    bulk.insert(conn, t.queries, columns, made)


def _thread(conn: Connection) -> None:
    columns = ("id", "instance", "key_hash", "key", "query_id", "identity_id", "reply_via", "last_seq", "last_at")
    bulk.insert(conn, t.threads, columns, [(1, "chat", HASH, "", 10, 1, b"", 0, 0)])


def _messages(conn: Connection, numbers: range) -> None:
    columns = (
        "id", "query_id", "thread_id", "thread_seq", "identity_id", "instance", "channel", "kind", "direction",
        "private", "key_hash", "key", "at", "recorded_at", "reply_via",
    )  # fmt: skip
    said = [(n, 10, 1, n, 1, "chat", "chat", "chat", "in", 1, HASH, "", 0, 0, b"") for n in numbers]
    bulk.insert(conn, t.messages, columns, said)


def _looked_up(conn: Connection, store: Store) -> tuple[Known, int]:
    """What is known, and how many instructions of SQLite's machine it took."""
    wanted = Wanted(identities={HASH}, since={"chat": store.now() - DAY}, automatic_since=1)
    raw, steps = conn.connection.driver_connection, []
    gather(conn, wanted, store.now())  # the first time it reads the schema
    raw.set_progress_handler(lambda: steps.append(1), 1)
    try:
        return gather(conn, wanted, store.now()), len(steps)
    finally:
        raw.set_progress_handler(None, 1)


async def test_ten_thousand_old_queries_of_a_user_cost_nothing(person: Store):
    old, states = person.now() - 2 * DAY, ("closed", "resolved", "open", "pending")
    costs = []
    for some in (range(1000, 1004), range(2000, 12_000)):
        await person.write(_queries, [(n, n, states[n % 4], old) for n in some])
        known, cost = await person.read(_looked_up, person)
        assert known.open_queries == {(1, "chat"): 10}
        costs.append(cost)
    assert costs[0] == costs[1]


async def test_messages_that_people_wrote_cost_nothing_where_automatic_ones_are_counted(person: Store):
    await person.write(_thread)
    costs = []
    for some in (range(10, 12), range(100, 1100)):
        await person.write(_messages, some)
        costs.append((await person.read(_looked_up, person))[1])
    assert costs[0] == costs[1]


async def test_joined_conversation_finds_its_open_root(person: Store):
    now = person.now()
    await person.write(_queries, [(20, 10, "closed", now - 2 * DAY), (30, 30, "closed", now)])
    known, _ = await person.read(_looked_up, person)
    assert known.open_queries == {(1, "chat"): 10}


async def test_query_that_was_touched_last_is_the_one(person: Store):
    await person.write(_queries, [(20, 20, "new", person.now() + 1), (30, 30, "new", person.now() - 1)])
    known, _ = await person.read(_looked_up, person)
    assert known.open_queries == {(1, "chat"): 20}
