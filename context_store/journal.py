"""The journal: what arrived, on disk before its source is told, and what became of it.

The hot write is a look-up and INSERTs of many rows each on SQLite, and one statement over arrays on PostgreSQL. Its ids
are made by the caller in order of arrival, so that id order is intake order inside a lane.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import chain
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from context_store import bulk, leases
from context_store.among import MOST_VALUES
from context_store.crashpoints import crashpoint
from context_store.tables import blobs, envelopes, tallies
from context_store.tables import cursors as cursors_table
from plugins import LeaseLost

INLINE = 256 << 10
"""Raw bytes up to here stand in the row; more lie in the blob folder, written before the row (`BlobStore.stow`)."""
BLOCK = 512
"""Rows of one INSERT at most."""
BLOCK_BYTES = 512 << 10
"""Of the rows of one INSERT, unless it has one row. SQLite holds a copy of all that a statement is given, and each of
the ten statements keeps its copies until its next use: 20 MB with bodies of 30 kB, 200 with such of 256 KiB."""


class NewEnvelope(NamedTuple):
    """A row to journal, in its columns' order. `raw` is None where the bytes are too many for it, else `raw_sha` is."""

    id: int
    instance: str
    key_hash: bytes
    body_hash: bytes
    lane: int
    facts: str
    raw: bytes | None
    raw_sha: bytes | None
    size: int
    received_at: int
    isolated: bool = False
    """Parsed in a worker process: such envelopes are claimed apart, so that mail never holds up a webhook."""
    redelivered: int = 0
    """Copies that came in the same batch: `journal` counts them."""
    collision: bool = False
    """Another body came under its key before: `journal` finds out."""

    @property
    def pair(self) -> tuple[bytes, bytes]:
        """By which it is known again."""
        return self.key_hash, self.body_hash


class NewCursor(NamedTuple):
    """Where a runner goes on; it moves in the transaction that journals what it passed."""

    instance: str
    name: str
    value: bytes
    fence: int = 0
    """Of the instance's lease, where it needs one."""


class Journaled(NamedTuple):
    """`id` is the first one's if the same envelope came before."""

    id: int
    fresh: bool


def journal(
    conn: Connection, batch: Sequence[NewEnvelope], cursors: Sequence[NewCursor], node: int, now: int
) -> list[Journaled]:
    """Keep the batch; one answer per envelope, in its order.

    Same key and body as before: counted as redelivered, answered with the first id. Same key, other body: kept and
    marked `collision`. (Two nodes that take both bodies in the same instant keep both, unmarked.)

    Raises:
        LeaseLost: another node runs an instance whose cursor would move.
    """
    _check(conn, cursors)
    if not batch:
        _move(conn, cursors, now)
        return []
    crashpoint("journal.before")
    folded = _fold(batch)
    write = _write_sqlite if conn.dialect.name == "sqlite" else _write_postgresql
    stood = write(conn, folded, node)
    _refer(conn, [row for row in folded if row.raw_sha is not None and row.pair not in stood], now)
    _move(conn, cursors, now)
    crashpoint("journal.before_commit")
    if folded is batch and not stood:  # nearly always
        return [Journaled(row.id, fresh=True) for row in batch]
    ids = {row.pair: row.id for row in folded} | stood
    return [Journaled(ids[row.pair], ids[row.pair] == row.id) for row in batch]


def _fold(batch: Sequence[NewEnvelope]) -> Sequence[NewEnvelope]:
    """Each (key, body) once, with the number of its copies; a key's second body is marked."""
    if len({row.key_hash for row in batch}) == len(batch):  # nearly always
        return batch
    copies = Counter(row.pair for row in batch)
    bodies: dict[bytes, bytes] = {}
    folded = []
    for row in batch:
        if n := copies.pop(row.pair, 0):
            clash = bodies.setdefault(row.key_hash, row.body_hash) != row.body_hash
            folded.append(row._replace(redelivered=n - 1, collision=clash))
    return folded


@cache
def _sqlite_insert(rows: int) -> str:
    """OR FAIL: what fails is rolled back with its transaction, and SQLite keeps no undo log for the statement alone."""
    columns = ", ".join(NewEnvelope._fields)
    marks = ", ".join("?" * len(NewEnvelope._fields))
    values = ", ".join([f"({marks}, 'pending')"] * rows)
    return f"INSERT OR FAIL INTO envelopes ({columns}, state) VALUES {values}"


def _insert_sqlite(driver: Any, rows: Sequence[NewEnvelope]) -> None:
    """By powers of two, so that few statements stay prepared.

    Row by row costs a third more, and for each row the thread lets go of the interpreter and waits for it again.
    """
    at, sizes = 0, [len(row.facts) + len(row.raw or b"") for row in rows]  # `size` counts what lies in a file, too
    while at < len(rows):
        n = min(BLOCK, 1 << (len(rows) - at).bit_length() - 1)
        while n > 1 and sum(sizes[at : at + n]) > BLOCK_BYTES:
            n >>= 1
        driver.execute(_sqlite_insert(n), list(chain.from_iterable(rows[at : at + n])))
        at += n


def _write_sqlite(conn: Connection, folded: Sequence[NewEnvelope], node: int) -> dict[tuple[bytes, bytes], int]:
    """(key, body) → id of what stood before under the same keys.

    It is looked up first: nobody else writes between that and the insert, and each row is spared a search of its own.
    """
    driver: Any = conn.connection.driver_connection
    stood, fresh = _standing(driver, folded), folded
    again: list[NewEnvelope] = []
    if stood:
        keys = {key for key, _ in stood}
        again = [row for row in folded if row.pair in stood]
        fresh = [
            row._replace(collision=row.collision or row.key_hash in keys) for row in folded if row.pair not in stood
        ]
        counted = [(row.redelivered + 1, stood[row.pair]) for row in again]
        driver.executemany("UPDATE envelopes SET redelivered = redelivered + ? WHERE id = ?", counted)
    _insert_sqlite(driver, fresh)
    arrived = Counter([row.instance for row in fresh])
    counts = Counter({(instance, state): n for instance, n in arrived.items() for state in ("received", "pending")})
    counts.update((row.instance, "redelivered") for row in again)
    for row in (*fresh, *again):
        if row.redelivered:
            counts[row.instance, "redelivered"] += row.redelivered
    counts.update((row.instance, "collision") for row in fresh if row.collision)
    count(conn, counts, node)
    return stood


def _standing(driver: Any, rows: Sequence[NewEnvelope]) -> dict[tuple[bytes, bytes], int]:
    found: dict[tuple[bytes, bytes], int] = {}
    for at in range(0, len(rows), MOST_VALUES):
        keys = bulk.padded([row.key_hash for row in rows[at : at + MOST_VALUES]])
        marks = ", ".join("?" * len(keys))
        same_keys = driver.execute(f"SELECT key_hash, body_hash, id FROM envelopes WHERE key_hash IN ({marks})", keys)
        found.update(((key, body), known) for key, body, known in same_keys)
    return found


# Rows are written in the order of their keys, so that two nodes' batches don't lock each other out. A row is fresh if
# it got the id that we gave it.
_POSTGRESQL_INSERT = """
WITH given AS (
    SELECT * FROM unnest(%b::bigint[], %b::text[], %b::bytea[], %b::bytea[], %b::bigint[], %b::text[], %b::bytea[],
        %b::bytea[], %b::bigint[], %b::bigint[], %b::bool[], %b::int[], %b::bool[])
    AS g(id, instance, key_hash, body_hash, lane, facts, raw, raw_sha, size, received_at, isolated, extra, clash)
), stands AS (
    INSERT INTO envelopes (id, instance, key_hash, body_hash, lane, facts, raw, raw_sha, size, received_at, isolated,
        state, redelivered, collision)
    SELECT id, instance, key_hash, body_hash, lane, facts, raw, raw_sha, size, received_at, isolated, 'pending', extra,
        clash OR EXISTS (SELECT 1 FROM envelopes AS e WHERE e.key_hash = g.key_hash AND e.body_hash <> g.body_hash)
    FROM given AS g ORDER BY key_hash, body_hash
    ON CONFLICT (key_hash, body_hash) DO UPDATE SET redelivered = envelopes.redelivered + 1 + excluded.redelivered
    RETURNING id, key_hash, body_hash, collision
), told AS (
    SELECT g.instance, g.extra, s.id = g.id AS fresh, s.id = g.id AND s.collision AS collided
    FROM given AS g JOIN stands AS s USING (key_hash, body_hash)
), counted AS (
    INSERT INTO tallies (instance, node, state, n)
    SELECT instance, %b::smallint, state, n FROM (
        SELECT instance, 'collision' AS state, count(*) FILTER (WHERE collided) AS n FROM told GROUP BY instance
        UNION ALL SELECT instance, 'pending', count(*) FILTER (WHERE fresh) FROM told GROUP BY instance
        UNION ALL SELECT instance, 'received', count(*) FILTER (WHERE fresh) FROM told GROUP BY instance
        UNION ALL SELECT instance, 'redelivered', sum(extra) + count(*) FILTER (WHERE NOT fresh) FROM told
            GROUP BY instance
    ) AS sums WHERE n > 0 ORDER BY instance, state
    ON CONFLICT (instance, node, state) DO UPDATE SET n = tallies.n + excluded.n
)
SELECT key_hash, body_hash, id FROM stands
"""


def _write_postgresql(conn: Connection, folded: Sequence[NewEnvelope], node: int) -> dict[tuple[bytes, bytes], int]:
    """(key, body) → id of what stood before."""
    driver: Any = conn.connection.driver_connection
    # no pipeline, though it would save the round trip of BEGIN: until its end no time-out of the server runs, and a
    # node that stands still in it holds its keys for as long, and all others up that are sent one of them
    cursor = driver.execute(_POSTGRESQL_INSERT, [*map(list, zip(*folded, strict=True)), node], binary=True)
    ours = {row.id for row in folded}
    return {(key, body): known for key, body, known in cursor if known not in ours}


def _refer(conn: Connection, large: Sequence[NewEnvelope], now: int) -> None:
    """Count the references to files that `BlobStore.stow` wrote."""
    counts = Counter((row.raw_sha, row.size) for row in large)
    rows = [(sha, size, now, n) for (sha, size), n in sorted(counts.items())]
    bulk.add_up(conn, blobs, ("sha256", "size", "created_at", "refs"), rows, keys=1)


def _check(conn: Connection, cursors: Sequence[NewCursor]) -> None:
    for name, fence in sorted({(cursor.instance, cursor.fence) for cursor in cursors if cursor.fence}):
        if not leases.holds(conn, name, fence):
            raise LeaseLost(f"another node runs {name} now")


def _move(conn: Connection, cursors: Sequence[NewCursor], now: int) -> None:
    latest = {(cursor.instance, cursor.name): cursor.value for cursor in cursors}
    bulk.insert(
        conn,
        cursors_table,
        ("instance", "name", "value", "moved_at"),
        [(*key, value, now) for key, value in sorted(latest.items())],
        conflict="ON CONFLICT (instance, name) DO UPDATE SET value = excluded.value, moved_at = excluded.moved_at",
    )


def last_received(conn: Connection, instance: str) -> int | None:
    """When its newest envelope came, on whatever node."""
    newest = select(envelopes.c.received_at).where(envelopes.c.instance == instance).order_by(envelopes.c.id.desc())
    return conn.scalar(newest.limit(1))


def count(conn: Connection, changes: Mapping[tuple[str, str], int], node: int) -> None:
    """Add to this node's tallies: (instance, state) → by how many."""
    rows = [(instance, node, state, n) for (instance, state), n in sorted(changes.items()) if n]
    bulk.add_up(conn, tallies, ("instance", "node", "state", "n"), rows, keys=3)
