"""Whatever comes, both stores take it and give the same back."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from context_store import Store
from context_store.alarms import raise_
from context_store.audit import NewEvent, add_events
from context_store.journal import NewCursor, NewEnvelope, journal
from context_store.pending import claim_envelopes, recount, tallies_by_instance
from context_store.tables import alarms, envelopes, events
from context_store.text import canonical, hash_key, lane_of
from context_store.times import from_millis, to_millis

hostile = st.one_of(
    st.text(st.characters(codec=None, exclude_categories=()), max_size=40),
    st.sampled_from(
        ["", "\0", "a\0b", "\ud800", "\udfff\ud800", "\\u0000", "'; DROP TABLE envelopes; --", "%s %(x)s ?1 :a",
         "\u202e",
         "e\u0301", "é", "\x7f\x1b[31m", "𝔘" * 20, "x" * 16_384, "\ufffe\uffff", "İi̇", "{1,2}", '{"a":"\\u0000"}']
    ),
)  # fmt: skip


@given(hostile)
def test_canonical_text_has_neither_nul_nor_lone_surrogates(text: str):
    clean = canonical(text)
    assert "\0" not in clean
    clean.encode()
    assert len(clean) == len(text)
    assert canonical(clean) == clean


def test_canonical_text_is_cut_in_characters():
    assert canonical("𝔘𝔘𝔘", 2) == "𝔘𝔘"


@given(st.lists(hostile, min_size=1, max_size=4), st.lists(hostile, min_size=1, max_size=4))
def test_hashes_differ_where_the_parts_do(one: list[str], other: list[str]):
    assert (hash_key(*one) == hash_key(*other)) == (one == other)


def test_parts_do_not_run_into_each_other():
    assert len({hash_key("ab", "c"), hash_key("a", "bc"), hash_key("abc"), hash_key("ab", "c", "")}) == 4


@given(hostile)
def test_lanes_fit_into_both_stores_integers(text: str):
    assert -(1 << 62) <= lane_of("in", text) < 1 << 62


def test_moments_come_back_exactly():
    moment = datetime(2026, 11, 21, 12, 34, 56, 789000, timezone(timedelta(hours=14)))
    assert from_millis(to_millis(moment)) == moment
    assert to_millis(datetime(1969, 12, 31, 23, 59, 59, 999999, UTC)) == -1
    with pytest.raises(TypeError):
        to_millis(moment.replace(tzinfo=None))


rows = st.lists(
    st.tuples(hostile, hostile, st.binary(max_size=60), hostile, st.integers(0, (1 << 63) - 1)), min_size=1, max_size=12
)


@given(rows, hostile)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
async def test_both_stores_journal_the_same(both: tuple[Store, Store], batch: list[tuple], word: str):
    ids = [both[0].ids.next() for _ in batch]
    kept = [
        NewEnvelope(
            number, canonical(instance), hash_key(instance, key), hash_key(raw), lane_of(instance, key),
            canonical(facts), raw, None, len(raw), at,
        )
        for number, (instance, key, raw, facts, at) in zip(ids, batch, strict=True)
    ]  # fmt: skip
    moved = [NewCursor(canonical(word), canonical(word), word.encode("utf-8", "surrogatepass"))]
    event = NewEvent(
        id=ids[0], kind="x", subject_id=1, actor=canonical(word), at=batch[0][4], body={"said": canonical(word)}
    )

    def write(conn, store: Store):
        answers = journal(conn, kept, moved, 1, 5)
        raise_(conn, canonical(word), canonical(word), 5)
        add_events(conn, [event])
        return answers

    def everything(conn):
        columns = [column for column in envelopes.c if column.name != "raw"] + [envelopes.c.raw]
        return (
            [tuple(row) for row in conn.execute(select(*columns).order_by(envelopes.c.id))],
            {tuple(row) for row in conn.execute(select(alarms))},
            [
                tuple(row)
                for row in conn.execute(select(events.c.id, events.c.actor, events.c.body).order_by(events.c.id))
            ],
            tallies_by_instance(conn),
            recount(conn),
            claim_envelopes(conn, 10_000),
        )

    answers = [await store.write(write, store, urgent=True) for store in both]
    assert answers[0] == answers[1]
    found = [await store.read(everything) for store in both]
    assert found[0] == found[1]
    _, _, _, tallies, counted, _ = found[0]
    assert tallies.keys() == counted.keys()
    for instance, states in counted.items():
        assert {s: n for s, n in tallies[instance].items() if n} == {s: n for s, n in states.items() if n}


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
async def test_uncanonical_text_would_be_refused_by_one_store(store: Store):
    """The positive control: without `canonical` the differential test would fail."""
    with pytest.raises(Exception, match=r"NUL|0x00"):
        await store.write(raise_, "k", "a\0b", 1)
