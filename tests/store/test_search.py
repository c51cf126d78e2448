"""Search: the same on both stores, behind the recording, by key."""

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete, insert, select, update

from context_store import Store
from context_store import tables as t
from context_store.audit import NewEvent, add_events, seal
from context_store.search import WALKED, Hit, due, index_batch, put, search
from context_store.terms import terms
from context_store.text import canonical, hash_key
from tests.hub.statements import count


class Letters:
    """One user's messages and their events."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.query = self.thread = self.identity = self.seq = 0

    def _add(self, conn: Connection, table: Any, **values: Any) -> int:
        number = values.setdefault("id", self.store.ids.next())
        conn.execute(insert(table).values(**values))
        return int(number)

    def _first(self, conn: Connection) -> None:
        at = self.store.now()
        user = self._add(conn, t.users, created_at=at)
        self.identity = self._add(
            conn, t.identities, scheme="email", value="zoë@acme.test", value_hash=b"v" * 32, name="Zoë", user_id=user,
            created_at=at,
        )  # fmt: skip
        self.query = self.store.ids.next()
        self._add(
            conn, t.queries, id=self.query, reference="TL-1", root_id=self.query, identity_id=self.identity,
            instance="mail", channel="email", state="new", opened_at=at, updated_at=at,
        )  # fmt: skip
        self.thread = self._add(
            conn, t.threads, instance="mail", key_hash=b"t" * 32, key="", query_id=self.query,
            identity_id=self.identity, last_seq=0, last_at=at,
        )  # fmt: skip

    def write(self, conn: Connection, text: str, subject: str = "", seal_now: bool = True) -> int:
        if not self.query:
            self._first(conn)
        self.seq += 1
        at, number = self.store.now(), self.store.ids.next()
        self._add(
            conn, t.messages, id=number, query_id=self.query, thread_id=self.thread, thread_seq=self.seq,
            identity_id=self.identity, instance="mail", channel="email", kind="mail", direction="in", private=True,
            key_hash=hash_key(str(number)), key="", at=at, recorded_at=at, subject=canonical(subject),
            text=canonical(text),
        )  # fmt: skip
        self.happened(conn, "message.received", number, seal_now=seal_now)
        return number

    def happened(
        self, conn: Connection, kind: str, message: int | None, body: Any = None, seal_now: bool = True
    ) -> None:
        event = NewEvent(
            id=self.store.ids.next(), kind=kind, subject_id=0, message_id=message, actor="hub", at=1, body=body or {}
        )
        add_events(conn, [event])
        if seal_now:
            seal(conn, 1)


def index(conn: Connection) -> int:
    done = 0
    while (n := index_batch(conn, 3)) is not None:
        done += n
    return done


def found(hits: tuple[Hit, ...]) -> list[int]:
    return [hit.message_id for hit in hits]


@pytest.fixture
def letters(store: Store) -> Letters:
    return Letters(store)


async def test_a_message_is_found_by_all_of_its_words_and_by_none_that_it_lacks(store: Store, letters: Letters):
    first = await store.write(letters.write, "The VPN drops every Minute", "Café")
    await store.write(letters.write, "The printer drops paper")
    await store.write(index)
    for asked in ("vpn", "VPN drops", "cafe minute", "Zoe vpn", "acme.test vpn"):
        assert found(await store.read(search, asked)) == [first]
    for asked in ("vpn paper", "vp", "", "!!!", "*", "' OR", '"vpn" AND NOT'):
        assert await store.read(search, asked) == ()
    (hit,) = await store.read(search, "vpn")
    assert (hit.reference, hit.subject, hit.sender) == ("TL-1", "Café", "Zoë")


async def test_a_star_asks_for_the_beginning_of_the_last_word(store: Store, letters: Letters):
    number = await store.write(letters.write, "printer printing prose")
    await store.write(index)
    assert found(await store.read(search, "prose prin*")) == [number]
    assert found(await store.read(search, "printer print*")) == [number]
    assert found(await store.read(search, "prin* prose")) == []
    assert found(await store.read(search, "pr*")) == []


async def test_pages_go_from_the_newest_to_the_oldest_and_meet(store: Store, letters: Letters):
    numbers = [await store.write(letters.write, f"printer {n}") for n in range(7)]
    await store.write(index)
    seen, before = list[int](), None
    while page := await store.read(search, "printer", before, 3):
        assert len(page) <= 3
        seen += found(page)
        before = page[-1].message_id
        await store.write(letters.write, "printer again")  # what comes meanwhile shifts nothing
        await store.write(index)
    assert seen == numbers[::-1]


async def test_rare_and_old_messages_are_found_behind_many_newer_ones(store: Store, letters: Letters):
    def many(conn: Connection) -> list[int]:
        old = [letters.write(conn, each, "", False) for each in ("toner one", "toner two")]
        for _ in range(WALKED):
            letters.write(conn, "paper", "", False)
        while seal(conn, 1):
            pass
        while index_batch(conn) is not None:
            pass
        return old

    first, second = await store.write(many)
    assert found(await store.read(search, "toner")) == [second, first]
    assert found(await store.read(search, "toner", second)) == [first]
    assert len(await store.read(search, "paper", None, 60)) == 60


async def test_what_was_recorded_is_found_once_it_is_numbered(store: Store, letters: Letters):
    number = await store.write(letters.write, "printer", "", False)
    assert await store.write(index) == 0
    await store.write(seal, 1)
    assert await store.write(index) == 1
    assert found(await store.read(search, "printer")) == [number]


async def test_an_edit_is_found_by_its_new_words_alone(store: Store, letters: Letters):
    number = await store.write(letters.write, "printer kept")
    await store.write(index)

    def edit(conn: Connection) -> None:
        conn.execute(update(t.messages).values(text="scanner kept", edited_at=1))
        letters.happened(conn, "message.edited", number)

    await store.write(edit)
    await store.write(index)
    asked = {word: found(await store.read(search, word)) for word in ("printer", "scanner", "kept")}
    assert asked == {"printer": [], "scanner": [number], "kept": [number]}


async def test_a_deleted_message_is_found_no_more_not_even_before_it_is_indexed(store: Store, letters: Letters):
    number = await store.write(letters.write, "printer")
    await store.write(index)

    def gone(conn: Connection) -> None:
        conn.execute(update(t.messages).values(text="", deleted_at=1))
        letters.happened(conn, "message.deleted", number)

    await store.write(gone)
    assert await store.read(search, "printer") == ()
    await store.write(index)
    assert await store.read(search, "printer") == ()
    assert await store.read(lambda conn: conn.execute(select(t.search_terms)).all()) == []


async def test_what_was_reprocessed_is_indexed_again(store: Store, letters: Letters):
    numbers = [await store.write(letters.write, f"printer {n}") for n in range(5)]
    await store.write(index)

    def again(conn: Connection) -> None:
        conn.execute(update(t.messages).values(text="scanner"))
        letters.happened(conn, "messages.reprocessed", None, {"messages": [str(number) for number in numbers]})

    await store.write(again)
    assert await store.write(index) == 5
    assert found(await store.read(search, "scanner")) == numbers[::-1]
    assert await store.read(search, "printer") == ()


async def test_names_of_attachments_are_found(store: Store, letters: Letters):
    def attached(conn: Connection) -> int:
        number = letters.write(conn, "see there")
        conn.execute(insert(t.attachments).values(message_id=number, n=0, name="Invoice.pdf", type="x", size=1))
        return number

    number = await store.write(attached)
    await store.write(index)
    assert found(await store.read(search, "invoice")) == [number]


async def test_indexing_twice_changes_nothing(store: Store, letters: Letters):
    numbers = [await store.write(letters.write, f"printer {n}") for n in range(4)]
    await store.write(index)
    await store.write(lambda conn: conn.execute(delete(t.cursors)) and None)
    assert await store.write(index) == 4
    assert found(await store.read(search, "printer")) == numbers[::-1]


async def test_a_batch_that_somebody_else_put_is_dropped(store: Store, letters: Letters):
    await store.write(letters.write, "printer")
    await store.write(index)
    await store.write(letters.write, "scanner")
    batch = await store.read(due)
    assert batch is not None
    assert await store.write(put, batch, 1) == 1
    assert await store.write(put, batch, 1) == 0


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
async def test_only_one_node_indexes_at_a_time(store: Store, letters: Letters):
    await store.write(letters.write, "printer")
    async with store.holding(due) as mine, store.holding(due) as others:
        assert mine is not None
        assert others is None
        assert await asyncio.wait_for(store.write(put, mine, 1), 10) == 1


async def test_statements_grow_neither_with_the_batch_nor_with_what_is_found(store: Store, letters: Letters):
    def counted(conn: Connection, n: int) -> tuple[int, int]:
        for _ in range(n):
            letters.write(conn, f"printer {n}")
        return count(conn, index_batch, 100)[0], count(conn, search, "printer")[0]

    await store.write(counted, 1)
    few = await store.write(counted, 10)
    assert await store.write(counted, 35) == few


def _meant(words: str) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(words.split()) | st.text(max_size=8), min_size=1, max_size=5).map(" ".join)


TEXTS = _meant("VPN vpn Straße STRASSE café ﬁle 東京都 東京 ガス ｶﾞｽ ไทย हिन्दी a_b AND OR NOT NEAR ' \" * : \\ % é")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(TEXTS, min_size=1, max_size=6), asked=TEXTS, star=st.sampled_from(["", "*"]))
async def test_both_stores_find_the_same(both: tuple[Store, Store], texts: list[str], asked: str, star: str):
    answers = []
    for store in both:
        letters = Letters(store)
        letters.query, letters.thread, letters.identity, letters.seq = await store.write(_place, letters)
        start = letters.seq
        await store.write(_write_all, letters, texts)
        await store.write(index)
        hits = [await store.read(search, each + star, None, 500) for each in (asked, texts[0], texts[-1])]
        order = await store.read(lambda conn: list(conn.scalars(select(t.messages.c.id).order_by(t.messages.c.id))))
        answers.append([[order.index(number) for number in found(each)] for each in hits])
        assert not terms(texts[0]) or star or start in answers[-1][1]
    assert answers[0] == answers[1]


def _write_all(conn: Connection, letters: Letters, texts: list[str]) -> None:
    for each in texts:
        letters.write(conn, each)


def _place(conn: Connection, letters: Letters) -> tuple[int, int, int, int]:
    """Where the examples before left off."""
    row = conn.execute(select(t.messages).order_by(t.messages.c.id.desc()).limit(1)).first()
    if row is None:
        letters._first(conn)
        return letters.query, letters.thread, letters.identity, 0
    return row.query_id, row.thread_id, row.identity_id, row.thread_seq
