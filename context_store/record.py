"""The second hot write: everything that a batch derived, in one transaction.

Order of the tables is the order of their references. Nothing is written over what another node did meanwhile: a unique
key that is taken, a query whose version moved or an envelope that is no longer pending raises `Stale`, the
transaction is gone, and the batch is judged again on what is true now.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Table, update

from context_store import bulk
from context_store import tables as t


class Stale(Exception):
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
    t.items, t.outbox,
)  # fmt: skip
_columns = {table.name: tuple(column.name for column in table.columns) for table in _inserted}


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
    identities: dict[int, tuple[int, int | None]] = field(default_factory=dict)
    """id → (assurance, last_ack_at)"""
    barred: dict[int, str] = field(default_factory=dict)
    joined_users: list[tuple[int, int]] = field(default_factory=list)
    """(user that goes, user that stays): a link joined them; whose identities they are is repeated on the rows"""
    threads: dict[int, tuple[int, int, int, bytes]] = field(default_factory=dict)
    """id → (query_id, last_seq, last_at, reply_via)"""
    queries: dict[int, tuple[int, str, int | None]] = field(default_factory=dict)
    """id → (version that was read, state, last_in_at)"""
    edits: list[tuple[int, str, int | None, int | None]] = field(default_factory=list)
    """(message, text, edited_at, deleted_at)"""
    deliveries: dict[int, str] = field(default_factory=dict)
    tickets: list[tuple[int, str, int, str, int]] = field(default_factory=list)
    """(id, ticket, revision, fields, updated_at)"""
    settled_items: list[tuple[int, str, str, int | None]] = field(default_factory=list)
    """(item, outcome, reason, message_id) of items that waited"""
    events: list[Any] = field(default_factory=list)
    done: list[tuple[int, str]] = field(default_factory=list)
    """(envelope, instance)"""
    parked: list[tuple[int, str, str, str]] = field(default_factory=list)
    """(envelope, instance, cause, trace)"""

    def insert(self, table: str, **values: Any) -> None:
        """One new row; what is left out takes the table's default."""
        defaults = _defaults.get(table, {})
        self.rows[table].append([values.get(name, defaults.get(name)) for name in _columns[table]])
        if table == "queries":
            self.fresh_queries[values["id"]] = self.rows[table][-1]

    def triaged(self, query_id: int, **values: Any) -> None:
        """What triage says, on the row of a query that this batch makes."""
        row = self.fresh_queries[query_id]
        for name, value in values.items():
            row[_columns["queries"].index(name)] = value


def record(conn: Connection, batch: Batch, add_events: Callable[[Connection, Sequence[Any]], None]) -> None:
    """Write the batch. Raises Stale; any other error means that a row of it can't be written."""
    _settle(conn, batch)
    for table in _inserted:
        if table is t.attachments:
            _keep_blobs(conn, batch)
        bulk.insert(conn, table, _columns[table.name], batch.rows[table.name])
    _change(conn, batch)
    add_events(conn, batch.events)


def _settle(conn: Connection, batch: Batch) -> None:
    """First, because it takes the envelopes' row locks: two nodes can't both go on."""
    rows = [(eid, "pending", "done", None, None, batch.now) for eid, _ in batch.done]
    rows += [(eid, "pending", "parked", cause, trace, batch.now) for eid, _, cause, trace in batch.parked]
    columns = ("id", "state", "state_", "cause", "trace", "settled_at")
    if _settle_rows(conn, columns, rows) != len(rows):
        raise Stale("an envelope is no longer pending")
    tallies: Counter[tuple[str, int, str]] = Counter()
    for state, instances in (("done", [i for _, i in batch.done]), ("parked", [i for _, i, _, _ in batch.parked])):
        for instance in instances:
            tallies[instance, batch.node, state] += 1
            tallies[instance, batch.node, "pending"] -= 1
    bulk.add_up(
        conn, t.tallies, ("instance", "node", "state", "n"), [(*key, n) for key, n in sorted(tallies.items())], keys=3
    )


def _settle_rows(conn: Connection, columns: Sequence[str], rows: bulk.Rows) -> int:
    """`state` both finds the row and is set, which `bulk.update` can't say: two short statements of our own."""
    if not rows:
        return 0
    driver: Any = conn.connection.driver_connection
    if conn.dialect.name == "sqlite":
        sql = "UPDATE envelopes SET state = ?3, cause = ?4, trace = ?5, settled_at = ?6 WHERE id = ?1 AND state = ?2"
        return int(driver.executemany(sql, rows).rowcount)
    sql = (
        "UPDATE envelopes AS t SET state = v.state_, cause = v.cause, trace = v.trace, settled_at = v.settled_at "
        "FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[]) "
        f"AS v({', '.join(columns)}) WHERE t.id = v.id AND t.state = v.state"
    )
    return int(driver.execute(sql, [list(column) for column in zip(*rows, strict=True)]).rowcount)


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
    bulk.update(
        conn,
        t.identities,
        ("id", "assurance", "last_ack_at"),
        [(iid, *values) for iid, values in sorted(batch.identities.items())],
    )
    bulk.update(conn, t.identities, ("id", "barred"), sorted(batch.barred.items()))
    for gone, stays in batch.joined_users:  # rare: a provider vouched for a second address
        conn.execute(update(t.identities).where(t.identities.c.user_id == gone).values(user_id=stays))
    bulk.update(
        conn,
        t.threads,
        ("id", "query_id", "last_seq", "last_at", "reply_via"),
        [(tid, *values) for tid, values in sorted(batch.threads.items())],
    )
    bulk.update(conn, t.messages, ("id", "text", "edited_at", "deleted_at"), batch.edits)
    bulk.update(conn, t.messages, ("id", "delivery"), sorted(batch.deliveries.items()))
    bulk.update(conn, t.tickets, ("id", "ticket", "revision", "fields", "updated_at"), batch.tickets)
    bulk.update(conn, t.items, ("id", "outcome", "reason", "message_id"), batch.settled_items)


def _change_queries(conn: Connection, rows: bulk.Rows) -> int:
    if not rows:
        return 0
    driver: Any = conn.connection.driver_connection
    if conn.dialect.name == "sqlite":
        sql = (
            "UPDATE queries SET version = ?3, state = ?4, last_in_at = coalesce(?5, last_in_at), updated_at = ?6 "
            "WHERE id = ?1 AND version = ?2"
        )
        return int(driver.executemany(sql, rows).rowcount)
    sql = (
        "UPDATE queries AS t SET version = v.next, state = v.state, last_in_at = coalesce(v.last_in_at, t.last_in_at), "
        "updated_at = v.updated_at FROM unnest(%s::bigint[], %s::int[], %s::int[], %s::text[], %s::bigint[], "
        "%s::bigint[]) AS v(id, version, next, state, last_in_at, updated_at) "
        "WHERE t.id = v.id AND t.version = v.version"
    )
    return int(driver.execute(sql, [list(column) for column in zip(*rows, strict=True)]).rowcount)
