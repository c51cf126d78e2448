"""The judge is judged: each kind of damage to a sound store must be seen."""

import shutil
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bench.faults.checker import Verdict, check
from bench.faults.load import Load
from bench.faults.nemesis import healed, loading
from bench.faults.place import Place

DAMAGE = [
    ("lost", "DELETE FROM envelopes WHERE id = (SELECT min(id) FROM envelopes WHERE instance = 'hook')"),
    (
        "lost",
        "UPDATE envelopes SET raw = CAST(raw || x'20' AS BLOB) WHERE instance = 'feed'",
    ),
    ("lost", "DELETE FROM messages WHERE id = (SELECT min(id) FROM messages WHERE direction = 'in')"),
    (
        "doubled",
        "UPDATE messages SET key = (SELECT min(key) FROM messages WHERE instance = 'feed') WHERE instance = 'feed'",
    ),
    ("misordered", "UPDATE messages SET thread_seq = -thread_seq WHERE instance = 'feed'"),
    ("dup_effect", "DELETE FROM messages WHERE direction = 'out'"),
    ("problems", "UPDATE tallies SET n = n + 1 WHERE state = 'received'"),
    ("problems", "UPDATE envelopes SET state = 'pending' WHERE id = (SELECT max(id) FROM envelopes)"),
    ("problems", "UPDATE events SET body = '{}' WHERE seq = 1"),
    (
        "problems",
        "UPDATE outbox SET state = 'parked' WHERE id = (SELECT max(id) FROM outbox WHERE destination = 'hook')",
    ),
]


@pytest.fixture
async def sound(place: Place) -> AsyncIterator[Place]:
    """A short run without any fault."""
    async with place.far_side():
        load = Load(place, kinds="hook feed")
        place.served.start()
        await place.served.ready()
        async with loading(load):
            while load.acks < 40:
                load.acked.clear()
                await load.acked.wait()
        assert not await healed(place)
        yield place


async def test_a_sound_store_is_good_and_every_damage_is_seen(sound: Place):
    """One run for all of them: a hub is started once."""
    first = check(sound)
    assert first.good, (first.line(), first.problems)
    database = Path(sound.store.removeprefix("sqlite:///"))
    whole = database.with_suffix(".whole")
    with sqlite3.connect(database) as conn:
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    conn.close()
    shutil.copy(database, whole)
    unseen = []
    for red, statement in DAMAGE:
        shutil.copy(whole, database)
        conn = sqlite3.connect(database, isolation_level=None)
        conn.execute(statement)
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        conn.close()
        verdict: Verdict = check(sound)
        if verdict.good or not getattr(verdict, red):
            unseen.append((red, statement, verdict.line()))
    assert not unseen
