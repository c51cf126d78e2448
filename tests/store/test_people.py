"""Merges and unmerges against a model that recomputes everything from the active links."""

from itertools import count

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy import Connection, create_engine, insert, select, update

from context_store import Store
from context_store.directory import set_record
from context_store.people import NotPossible, merge, relink, unmerge, wrong_users
from context_store.record import Batch, Stale, record
from context_store.tables import identities, links, metadata, queries, query_joins, users
from context_store.text import hash_key

numbers = count(1)


def person(conn: Connection, value: str, name: str = "", scheme: str = "email") -> tuple[int, int]:
    """(identity, user), as recording makes them."""
    identity, user, link = next(numbers), next(numbers), next(numbers)
    conn.execute(insert(users).values(id=user, name=name, created_at=0))
    conn.execute(
        insert(identities).values(
            id=identity, scheme=scheme, value=value, value_hash=hash_key(scheme, value), name=name, user_id=user,
            created_at=0,
        )
    )  # fmt: skip
    conn.execute(
        insert(links).values(
            id=link, identity_id=identity, user_id=user, assurance=1, evidence="first", author="hub", created_at=0
        )
    )
    return identity, user


def query(conn: Connection, identity: int, state: str = "open") -> int:
    number = next(numbers)
    conn.execute(
        insert(queries).values(
            id=number, reference=f"TL-{number}", root_id=number, identity_id=identity, instance="mail",
            channel="email", state=state, opened_at=0, updated_at=0,
        )
    )  # fmt: skip
    return number


def join(conn: Connection, one: int, into: int, via: str) -> None:
    conn.execute(
        insert(query_joins).values(
            id=next(numbers), query_id=one, into_id=into, via=via, evidence="", author="hub", created_at=0
        )
    )
    conn.execute(update(queries).where(queries.c.id == one).values(root_id=into))


def users_of(conn: Connection) -> dict[int, int]:
    return dict(conn.execute(select(identities.c.id, identities.c.user_id)).all())


def roots(conn: Connection) -> dict[int, int]:
    return dict(conn.execute(select(queries.c.id, queries.c.root_id)).all())


async def test_merge_adds_one_link_and_the_elder_user_stands_for_both(store: Store):
    def act(conn: Connection):
        (a, ua), (b, ub) = person(conn, "a"), person(conn, "b")
        before = conn.execute(select(links)).all()
        merge(conn, ub, ua, "same voice", "agent:1", 5, lambda: next(numbers))
        return len(conn.execute(select(links)).all()) - len(before), users_of(conn), {a: ua, b: ua}

    added, found, wanted = await store.write(act)
    assert added == 1
    assert found == wanted


async def test_unmerge_restores_and_keeps_the_history(store: Store):
    def act(conn: Connection):
        (_, ua), (_, ub) = person(conn, "a"), person(conn, "b")
        before = users_of(conn)
        link = merge(conn, ua, ub, "", "agent:1", 5, lambda: next(numbers))
        done = unmerge(conn, link, "agent:2", "two brothers", 6, lambda: next(numbers))
        row = conn.execute(select(links).where(links.c.id == link)).one()
        return before, users_of(conn), (row.revoked_at, row.revoked_by, row.revoked_why), set(done.users) == {ua, ub}

    before, after, revoked, both = await store.write(act)
    assert after == before
    assert revoked == (6, "agent:2", "two brothers")
    assert both


async def test_identity_that_loses_its_last_link_becomes_a_new_users(store: Store):
    def act(conn: Connection):
        (a, ua) = person(conn, "a", "Ann")
        link = conn.scalars(select(links.c.id).where(links.c.user_id == ua)).one()
        done = unmerge(conn, link, "agent:1", "", 6, lambda: next(numbers))
        return users_of(conn)[a], ua, done.users, wrong_users(conn)

    now, before, said, wrong = await store.write(act)
    assert now != before
    assert said == (now,)
    assert wrong == ()


async def test_unmerge_splits_the_queries_that_the_link_alone_had_joined(store: Store):
    def act(conn: Connection):
        (a, ua), (b, ub) = person(conn, "a"), person(conn, "b")
        link = merge(conn, ua, ub, "", "agent:1", 5, lambda: next(numbers))
        root = query(conn, a, "resolved")
        by_user, by_token, by_both, own = query(conn, b), query(conn, b), query(conn, b), query(conn, a)
        join(conn, by_user, root, "user")
        join(conn, by_token, root, "token")
        join(conn, by_both, root, "user")
        join(conn, by_both, root, "token")
        join(conn, own, root, "user")
        done = unmerge(conn, link, "agent:2", "", 6, lambda: next(numbers))
        state = conn.scalar(select(queries.c.state).where(queries.c.id == by_user))
        expected = {root: root, by_user: by_user, by_token: root, by_both: root, own: root}
        return done.queries, (by_user,), roots(conn), expected, state

    split, wanted, found, expected, state = await store.write(act)
    assert split == wanted
    assert found == expected
    assert state == "resolved"


async def test_unmerge_leaves_joins_that_a_second_link_still_carries(store: Store):
    def act(conn: Connection):
        (a, ua), (b, ub) = person(conn, "a"), person(conn, "b")
        link = merge(conn, ua, ub, "", "agent:1", 5, lambda: next(numbers))
        conn.execute(
            insert(links).values(
                id=next(numbers), identity_id=a, user_id=ub, assurance=1, evidence="issuer", author="hub", created_at=5
            )
        )
        root, other = query(conn, a), query(conn, b)
        join(conn, other, root, "user")
        done = unmerge(conn, link, "agent:2", "", 6, lambda: next(numbers))
        return done, users_of(conn), roots(conn)[other] == root, {a: ua, b: ua}

    done, found, joined, wanted = await store.write(act)
    assert joined
    assert found == wanted
    assert done.queries == ()


async def test_merge_that_makes_no_sense_is_refused(store: Store):
    def act(conn: Connection, other: int | None) -> None:
        (_, ua) = person(conn, "a")
        merge(conn, ua, other or ua, "", "agent:1", 5, lambda: next(numbers))

    with pytest.raises(NotPossible, match="the same person"):
        await store.write(act, None)
    with pytest.raises(NotPossible, match="unknown"):
        await store.write(act, 10**9)


async def test_equal_mail_text_links_nobody(store: Store):
    def act(conn: Connection):
        (a, ua), (b, ub) = person(conn, "ann@acme.test"), person(conn, "U7", "Ann@Acme.test", "slack")
        relink(conn, [a, b])
        return users_of(conn) == {a: ua, b: ub}

    assert await store.write(act)


async def test_doctor_finds_an_identity_whose_user_is_not_what_links_say(store: Store):
    def act(conn: Connection):
        (a, _), (_, ub) = person(conn, "a"), person(conn, "b")
        healthy = wrong_users(conn)
        conn.execute(update(identities).where(identities.c.id == a).values(user_id=ub))
        return healthy, wrong_users(conn), (a,)

    healthy, found, wanted = await store.write(act)
    assert healthy == ()
    assert found == wanted


class People(RuleBasedStateMachine):
    """Random merges, automatic links and revocations, on SQLite in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.engine = create_engine("sqlite://")
        self.conn = self.engine.connect()
        metadata.create_all(self.conn)
        self.people = [person(self.conn, f"p{n}") for n in range(6)]
        self.undo: list[tuple[int, dict[int, int]]] = []

    def teardown(self) -> None:
        self.conn.close()
        self.engine.dispose()

    def next_id(self) -> int:
        return next(numbers)

    @rule(a=st.integers(0, 5), b=st.integers(0, 5))
    def merges(self, a: int, b: int) -> None:
        before = users_of(self.conn)
        try:
            link = merge(self.conn, before[self.people[a][0]], before[self.people[b][0]], "", "x", 1, self.next_id)
        except NotPossible:
            assert before[self.people[a][0]] == before[self.people[b][0]]
        else:
            self.undo.append((link, before))

    @rule(a=st.integers(0, 5), b=st.integers(0, 5))
    def a_provider_links(self, a: int, b: int) -> None:
        self.undo.clear()
        self.conn.execute(
            insert(links).values(
                id=self.next_id(), identity_id=self.people[a][0], user_id=self.people[b][1], assurance=1,
                evidence="", author="hub", created_at=0,
            )
        )  # fmt: skip
        relink(self.conn, [self.people[a][0], self.people[b][0]])

    @precondition(lambda self: self.undo)
    @rule()
    def the_last_merge_is_undone(self) -> None:
        link, before = self.undo.pop()
        unmerge(self.conn, link, "x", "", 2, self.next_id)
        assert users_of(self.conn) == before

    @rule(data=st.data())
    def any_link_is_revoked(self, data: st.DataObject) -> None:
        self.undo.clear()
        active = self.conn.scalars(select(links.c.id).where(links.c.revoked_at.is_(None))).all()
        unmerge(self.conn, data.draw(st.sampled_from(active)), "x", "", 2, self.next_id)

    @invariant()
    def users_are_the_components_of_active_links(self) -> None:
        edges = self.conn.execute(
            select(links.c.identity_id, links.c.user_id).where(links.c.revoked_at.is_(None))
        ).all()
        user = {row.identity_id: 1 << 62 for row in edges}
        for _ in range(len(edges) + 1):  # spread the smallest user id along every edge until nothing changes
            least = {row.user_id: row.user_id for row in edges}
            for row in edges:
                least[row.user_id] = min(least[row.user_id], user[row.identity_id])
            user = {
                identity: min(least[row.user_id] for row in edges if row.identity_id == identity) for identity in user
            }
        assert users_of(self.conn) == user
        assert wrong_users(self.conn) == ()


TestPeople = People.TestCase
TestPeople.settings = settings(
    max_examples=40, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
)


async def test_preference_that_was_judged_on_an_older_record_is_judged_again(store: Store):
    """Else what an agent or an import sets meanwhile would be written over."""
    _, user = await store.write(person, "ann@acme.test")

    def prefer(conn: Connection) -> str | None:
        batch = Batch(now=1, node=store.node)
        batch.preferred[user], batch.preferences[user] = ("", "{}"), ("de", '{"channel":"phone"}')
        record(conn, batch, lambda _conn, _events: None)
        return conn.scalar(select(users.c.fields).where(users.c.id == user))

    await store.write(set_record, user, {"fields": '{"floor":"3"}'})
    with pytest.raises(Stale):
        await store.write(prefer)
    await store.write(set_record, user, {"fields": "{}"})
    assert await store.write(prefer) == '{"channel":"phone"}'
