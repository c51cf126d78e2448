"""The journal: what arrived, on disk before its source is told, and what became of it.

The hot write is one `executemany` on SQLite and one statement over arrays on PostgreSQL, whatever the batch's size.
Its ids are made by the caller in order of arrival, so that id order is intake order inside a lane.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from context_store import bulk, leases
from context_store.crashpoints import crashpoint
from context_store.tables import blobs, envelopes, tallies
from context_store.tables import cursors as cursors_table
from plugins import LeaseLost

INLINE = 256 << 10
"""Raw bytes up to here stand in the row; more lie in the blob folder, written before the row (`BlobStore.stow`)."""


class NewEnvelope(NamedTuple):
    """A row to journal. `raw` is None where the bytes are too many for the row, else `raw_sha` is."""

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


class _Folded(NamedTuple):
    """A batch in which each (key, body) stands once; `extra` counts the others, `clash` marks a key's second body."""

    row: NewEnvelope
    extra: int
    clash: bool


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
    ids = write(conn, folded, node)
    fresh = {row.id for row, _, _ in folded if ids[row.key_hash, row.body_hash] == row.id}
    _refer(conn, [row for row, _, _ in folded if row.raw_sha is not None and row.id in fresh], now)
    _move(conn, cursors, now)
    crashpoint("journal.before_commit")
    return [Journaled(ids[row.key_hash, row.body_hash], row.id in fresh) for row in batch]


def _fold(batch: Sequence[NewEnvelope]) -> list[_Folded]:
    if len({row.key_hash for row in batch}) == len(batch):  # nearly always
        return [_Folded(row, 0, clash=False) for row in batch]
    copies = Counter((row.key_hash, row.body_hash) for row in batch)
    bodies: dict[bytes, bytes] = {}
    seen: set[tuple[bytes, bytes]] = set()
    folded = []
    for row in batch:
        pair = row.key_hash, row.body_hash
        if pair not in seen:
            seen.add(pair)
            clash = bodies.setdefault(row.key_hash, row.body_hash) != row.body_hash
            folded.append(_Folded(row, copies[pair] - 1, clash))
    return folded


_SQLITE_INSERT = """
INSERT INTO envelopes
    (id, instance, key_hash, body_hash, lane, facts, raw, raw_sha, size, received_at, isolated, state, redelivered,
        collision)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 'pending', ?12,
    ?13 OR EXISTS (SELECT 1 FROM envelopes AS e WHERE e.key_hash = ?3 AND e.body_hash <> ?4))
ON CONFLICT (key_hash, body_hash) DO UPDATE SET redelivered = redelivered + 1 + excluded.redelivered
"""


def _write_sqlite(conn: Connection, folded: Sequence[_Folded], node: int) -> dict[tuple[bytes, bytes], int]:
    """(key, body) → id of the row that stands."""
    driver: Any = conn.connection.driver_connection
    driver.executemany(_SQLITE_INSERT, [(*row, extra, clash) for row, extra, clash in folded])
    span = min(row.id for row, _, _ in folded), max(row.id for row, _, _ in folded)
    stands = dict(driver.execute("SELECT id, collision FROM envelopes WHERE id BETWEEN ? AND ?", span))
    ids = {(row.key_hash, row.body_hash): row.id for row, _, _ in folded if row.id in stands}
    again = [row.key_hash for row, _, _ in folded if row.id not in stands]
    if again:
        marks = ", ".join("?" * len(again))
        found = driver.execute(f"SELECT key_hash, body_hash, id FROM envelopes WHERE key_hash IN ({marks})", again)
        ids.update(((key, body), known) for key, body, known in found)
    fresh = Counter(row.instance for row, _, _ in folded if row.id in stands)
    counts = Counter({(instance, state): n for instance, n in fresh.items() for state in ("received", "pending")})
    for row, extra, _ in folded:
        if extra or row.id not in stands:
            counts[row.instance, "redelivered"] += extra + (row.id not in stands)
        if stands.get(row.id):
            counts[row.instance, "collision"] += 1
    count(conn, counts, node)
    return ids


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


def _write_postgresql(conn: Connection, folded: Sequence[_Folded], node: int) -> dict[tuple[bytes, bytes], int]:
    """(key, body) → id of the row that stands."""
    driver: Any = conn.connection.driver_connection
    columns = zip(*((*row, extra, clash) for row, extra, clash in folded), strict=True)
    # no pipeline, though it would save the round trip of BEGIN: until its end no time-out of the server runs, and a
    # node that stands still in it holds its keys for as long, and all others up that are sent one of them
    cursor = driver.execute(_POSTGRESQL_INSERT, [*map(list, columns), node], binary=True)
    return {(key, body): known for key, body, known in cursor}


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
