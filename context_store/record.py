"""The second hot write: everything that a batch derived, in one transaction.

Order of the tables is the order of their references. Nothing is written over what another node did meanwhile: a unique
key that is taken, a query whose version moved or an envelope that is no longer pending raises `Stale`, the
transaction is gone, and the batch is judged again on what is true now.
"""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Table, delete, select, update

from context_store import alarms, bulk
from context_store import tables as t
from context_store.among import among, rows
from context_store.errors import StoreError
from context_store.journal import INLINE
from context_store.pending import Outcome, settle
from context_store.people import relink

UNIQUE_VIOLATION = "23505"
"""PostgreSQL's SQLSTATE; its driver is not loaded on SQLite."""


class Stale(StoreError):
    """Somebody else wrote what this batch leaned on: judge it again."""


# Table → the value of a column that a row leaves out (None where the table allows it).
_defaults: Mapping[str, Mapping[str, Any]] = {
    "users": {"name": "", "language": "", "vip": False, "fields": "{}"},
    "identities": {"name": "", "assurance": 0, "barred": ""},
    "queries": {
        "subject": "", "type": "unknown", "service": "", "impact": "", "urgency": "", "priority": "",
        "value_stream": "", "team": "", "target": "", "tags": "[]", "language": "", "automatic": False, "version": 1,
    },
    "threads": {"reply_via": b""},
    "messages": {
        "automatic": "", "assurance": 0, "standing": "", "author": "", "subject": "", "text": "", "folds": "[]",
        "html": "", "language": "", "recipients": "[]", "fields": "{}", "replies_to": "[]", "reply_via": b"",
        "delivery": "",
    },
    "attachments": {"name": "", "content_id": "", "ref": ""},
    "items": {"reason": ""},
    "outbox": {"attempts": 0, "fence": 0, "maybe_duplicate": False},
}  # fmt: skip

_inserted: Sequence[Table] = (
    t.users, t.identities, t.links, t.queries, t.query_joins, t.threads, t.messages, t.attachments, t.decisions,
    t.opinions, t.holds, t.items, t.outbox, t.tokens,
)  # fmt: skip
_columns = {table.name: tuple(column.name for column in table.columns) for table in _inserted}
_at = {table: {name: place for place, name in enumerate(names)} for table, names in _columns.items()}
_blank = {table: [*map(_defaults.get(table, {}).get, names)] for table, names in _columns.items()}
"""A row as it is where nothing is said."""
_THREAD = ("query_id", "last_seq", "last_at", "reply_via")


@dataclass(slots=True)
class Batch:
    """Rows to write. `insert` takes a table's name and its values; the rest are changes to rows that exist."""

    now: int
    node: int
    rows: dict[str, list[list[Any]]] = field(default_factory=lambda: defaultdict(list))
    fresh_queries: dict[int, list[Any]] = field(default_factory=dict)
    blobs: dict[bytes, tuple[int, bytes | None]] = field(default_factory=dict)
    """sha256 → (size, bytes; None if the file lies in the folder already)"""
    blob_refs: Counter[bytes] = field(default_factory=Counter)
    large: dict[bytes, bytes] = field(default_factory=dict)
    """sha256 → bytes of files to write before the transaction"""
    assured: dict[int, int] = field(default_factory=dict)
    """Identity → assurance"""
    acknowledged: dict[bytes, int] = field(default_factory=dict)
    """Unproved mailbox, or link to one → when"""
    raised: dict[str, str] = field(default_factory=dict)
    """Alarm → what a person must know"""
    judged: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Query → what triage says anew"""
    held: dict[int, tuple[str, str, str, int, int | None, str | None]] = field(default_factory=dict)
    """Query that was held before → (kind, reason, author, at, ended_at, ended_by)"""
    rooted: dict[int, int] = field(default_factory=dict)
    """Conversation that becomes part of another matter → its root"""
    barred: dict[int, str] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    """Of identities."""
    user_names: dict[int, str] = field(default_factory=dict)
    preferences: dict[int, tuple[str, str]] = field(default_factory=dict)
    """user → (language, fields)"""
    preferred: dict[int, tuple[str, str]] = field(default_factory=dict)
    """The same users → what these were when they were read"""
    relinked: set[int] = field(default_factory=set)
    """Identities with a new link: whose they are is worked out again"""
    threads: dict[int, tuple[int, int, int, bytes]] = field(default_factory=dict)
    """id → (query_id, last_seq, last_at, reply_via), of new ones too"""
    queries: dict[int, tuple[int, str, int | None]] = field(default_factory=dict)
    """id → (version that was read, state, last_in_at)"""
    edits: dict[int, tuple[str, int, int | None]] = field(default_factory=dict)
    """Message → (text, edited_at, deleted_at)"""
    deliveries: dict[int, str] = field(default_factory=dict)
    parts: dict[tuple[int, int], str] = field(default_factory=dict)
    """(outbox, n) of one part of a text → what the channel says of it"""
    tickets: list[tuple[int, str, int, str, int]] = field(default_factory=list)
    """(id, ticket, revision, fields, updated_at)"""
    retried: list[int] = field(default_factory=list)
    """Envelopes that come a second time: their parked items are judged again"""
    waits: list[tuple[bytes, bool]] = field(default_factory=list)
    """(hash of the message, must it be ours) that items of this batch wait for"""
    settled_items: list[tuple[int, str, str, int | None]] = field(default_factory=list)
    """(item, outcome, reason, message_id) of items that waited"""
    events: list[Any] = field(default_factory=list)
    done: list[int] = field(default_factory=list)
    """Envelopes."""
    parked: list[tuple[int, str, str]] = field(default_factory=list)
    """(envelope, cause, trace)"""

    def insert(self, table: str, **values: Any) -> None:
        """One new row; what is left out takes the table's default."""
        row, at = _blank[table].copy(), _at[table]
        for name, value in values.items():
            row[at[name]] = value
        self.rows[table].append(row)
        if table == "queries":
            self.fresh_queries[values["id"]] = row

    def keep(self, sha: bytes, data: bytes) -> None:
        """The bytes of an attachment, by their hash: one more reference; what is too long for a row is a file."""
        self.blobs[sha] = (len(data), data if len(data) <= INLINE else None)
        self.blob_refs[sha] += 1
        if len(data) > INLINE:
            self.large[sha] = data

    def triaged(self, query_id: int, **values: Any) -> None:
        """What triage says, on the row of a query that this batch makes, or of one that is judged again."""
        row = self.fresh_queries.get(query_id)
        if row is None:
            self.judged.setdefault(query_id, {}).update(values)
            return
        for name, value in values.items():
            row[_at["queries"][name]] = value


def record(conn: Connection, batch: Batch, add_events: Callable[[Connection, Sequence[Any]], None]) -> None:
    """Write the batch. Raises Stale; any other error means that a row of it can't be written."""
    _settle(conn, batch)
    _still_wanted(conn, batch.waits)
    if batch.retried:
        i = t.items.c
        conn.execute(delete(t.items).where(i.envelope_id.in_(batch.retried), i.outcome == "parked"))
    try:
        _insert(conn, batch)
    except Exception as error:
        if not _taken(error):
            raise
        raise Stale(f"a key is taken: {error}") from error
    _change(conn, batch)
    add_events(conn, batch.events)


_m, _s, _u = t.messages.c, t.steps.c, t.users.c
_originals = select(_m.key_hash, _m.direction).where(among(_m.key_hash))
_sent_parts = select(_s.n).where(among(_s.ref_hash)).limit(1)
_preferences = select(_u.id, _u.language, _u.fields).where(among(_u.id)).order_by(_u.id).with_for_update()


def _still_wanted(conn: Connection, waits: Sequence[tuple[bytes, bool]]) -> None:
    """An original that came while its edit or receipt was judged would be waited for in vain."""
    wanted, hashes = set(waits), {key for key, _ in waits}
    for key, direction in rows(conn, _originals, hashes):
        if (key, direction == "out") in wanted or (key, False) in wanted:
            raise Stale("an original has come meanwhile")
    if rows(conn, _sent_parts, hashes):
        raise Stale("a part of what it speaks of has gone out meanwhile")


def _still_preferred(conn: Connection, read: Mapping[int, tuple[str, str]]) -> None:
    """An agent or an import may have set something else of them meanwhile, which must not be written over."""
    if any(read[row.id] != (row.language, row.fields) for row in rows(conn, _preferences, sorted(read))):
        raise Stale("a user was changed by somebody else")


def _insert(conn: Connection, batch: Batch) -> None:
    at = _at["threads"]
    for row in batch.rows["threads"]:  # written as they are in the end
        for name, value in zip(_THREAD, batch.threads.get(row[0], ()), strict=False):
            row[at[name]] = value
    for table in _inserted:
        if table is t.attachments:
            _keep_blobs(conn, batch)
        bulk.insert(conn, table, _columns[table.name], batch.rows[table.name])


def _taken(error: Exception) -> bool:
    """Somebody else has the unique key; anything else is the row's own fault."""
    if not isinstance(error, sqlite3.IntegrityError):
        return getattr(error, "sqlstate", None) == UNIQUE_VIOLATION
    return error.sqlite_errorcode in (sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)


def _settle(conn: Connection, batch: Batch) -> None:
    """First, because it takes the envelopes' row locks: two nodes can't both go on."""
    outcomes = [Outcome(id=number, state="done") for number in batch.done]
    outcomes += [Outcome(id=number, state="parked", cause=cause, trace=trace) for number, cause, trace in batch.parked]
    if len(settle(conn, outcomes, batch.node, batch.now)) != len(outcomes):
        raise Stale("an envelope is no longer pending")


def _keep_blobs(conn: Connection, batch: Batch) -> None:
    """Counted references; bytes that are known already are not sent again by SQLite, and ignored by PostgreSQL."""
    rows = [(sha, *batch.blobs[sha], batch.now, refs) for sha, refs in sorted(batch.blob_refs.items())]
    bulk.add_up(conn, t.blobs, ("sha256", "size", "data", "created_at", "refs"), rows, keys=1)


def _change(conn: Connection, batch: Batch) -> None:
    queries = [
        (qid, version, version + 1, state, last_in_at, batch.now)
        for qid, (version, state, last_in_at) in sorted(batch.queries.items())
    ]
    if _change_queries(conn, queries) != len(queries):
        raise Stale("a query was changed by somebody else")
    for query_id, values in sorted(batch.judged.items()):  # rare: a call in its menu
        conn.execute(update(t.queries).where(t.queries.c.id == query_id).values(**values))
    bulk.update(conn, t.queries, ("id", "root_id"), sorted(batch.rooted.items()))
    bulk.update(
        conn,
        t.holds,
        ("query_id", "kind", "reason", "author", "at", "ended_at", "ended_by"),
        [(number, *values) for number, values in sorted(batch.held.items())],
    )
    bulk.update(conn, t.identities, ("id", "assurance"), sorted(batch.assured.items()))
    bulk.insert(
        conn, t.acknowledged, ("mailbox_hash", "at"), sorted(batch.acknowledged.items()),
        conflict="ON CONFLICT (mailbox_hash) DO UPDATE SET at = excluded.at",
    )  # fmt: skip
    bulk.update(conn, t.identities, ("id", "barred"), sorted(batch.barred.items()))
    bulk.update(conn, t.identities, ("id", "name"), sorted(batch.names.items()))
    bulk.update(conn, t.users, ("id", "name"), sorted(batch.user_names.items()))
    _still_preferred(conn, batch.preferred)
    bulk.update(
        conn, t.users, ("id", "language", "fields"), [(uid, *said) for uid, said in sorted(batch.preferences.items())]
    )
    if batch.relinked:  # rare: a provider vouched for a second address
        relink(conn, batch.relinked)
    fresh = {row[0] for row in batch.rows["threads"]}
    threads = [(number, *values) for number, values in sorted(batch.threads.items()) if number not in fresh]
    bulk.update(conn, t.threads, ("id", *_THREAD), threads)
    _change_texts(conn, [(number, *values) for number, values in sorted(batch.edits.items())])
    bulk.update(conn, t.messages, ("id", "delivery"), sorted(batch.deliveries.items()))
    bulk.update(
        conn, t.steps, ("outbox_id", "n", "state"), [(*k, said) for k, said in sorted(batch.parts.items())], keys=2
    )
    bulk.update(conn, t.tickets, ("id", "ticket", "revision", "fields", "updated_at"), batch.tickets)
    bulk.update(conn, t.items, ("id", "outcome", "reason", "message_id"), batch.settled_items)
    for key, what in batch.raised.items():  # late: other batches wait for its row
        alarms.raise_(conn, key, what, batch.now)


def _change_queries(conn: Connection, rows: bulk.Rows) -> int:
    if not rows:
        return 0
    driver: Any = conn.connection.driver_connection
    if conn.dialect.name == "sqlite":
        sql = (
            "UPDATE queries SET version = ?3, state = ?4, last_in_at = coalesce(?5, last_in_at), updated_at = ?6, "
            "resolved_at = CASE WHEN ?4 IN ('resolved', 'closed') THEN resolved_at END, "
            "closed_at = CASE WHEN ?4 = 'closed' THEN coalesce(closed_at, ?6) END "
            "WHERE id = ?1 AND version = ?2"
        )
        return int(driver.executemany(sql, rows).rowcount)
    sql = (
        "UPDATE queries AS t SET version = v.next, state = v.state, last_in_at = coalesce(v.last_in_at, t.last_in_at), "
        "updated_at = v.updated_at, "
        "resolved_at = CASE WHEN v.state IN ('resolved', 'closed') THEN t.resolved_at END, "
        "closed_at = CASE WHEN v.state = 'closed' THEN coalesce(t.closed_at, v.updated_at) END "
        "FROM unnest(%s::bigint[], %s::int[], %s::int[], %s::text[], %s::bigint[], "
        "%s::bigint[]) AS v(id, version, next, state, last_in_at, updated_at) "
        "WHERE t.id = v.id AND t.version = v.version"
    )
    return int(driver.execute(sql, [list(column) for column in zip(*rows, strict=True)]).rowcount)


def _change_texts(conn: Connection, rows: bulk.Rows) -> None:
    """Edits come in any order, on several nodes at once: a deletion stays, else what was changed last at the source.

    The text's layout goes with the text; a deleted message's files are shown to nobody (`views`, `visits`).
    """
    if not rows:
        return
    driver: Any = conn.connection.driver_connection
    if conn.dialect.name == "sqlite":
        sql = (
            "UPDATE messages SET text = ?2, html = '', folds = '[]', edited_at = ?3, deleted_at = ?4 "
            "WHERE id = ?1 AND deleted_at IS NULL AND (?4 IS NOT NULL OR coalesce(edited_at, ?3) <= ?3)"
        )
        driver.executemany(sql, rows)
        return
    sql = (
        "UPDATE messages AS t SET text = v.text, html = '', folds = '[]', edited_at = v.edited_at, "
        "deleted_at = v.deleted_at "
        "FROM unnest(%s::bigint[], %s::text[], %s::bigint[], %s::bigint[]) AS v(id, text, edited_at, deleted_at) "
        "WHERE t.id = v.id AND t.deleted_at IS NULL "
        "AND (v.deleted_at IS NOT NULL OR coalesce(t.edited_at, v.edited_at) <= v.edited_at)"
    )
    driver.execute(sql, [list(column) for column in zip(*rows, strict=True)])
