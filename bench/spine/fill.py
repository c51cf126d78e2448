"""A million messages in a store: a few thousand go through the hub, the rest are copies of their rows, made by SQL.

A copy's ids lie before the originals' (ids grow with time), its hashes and references are its own, what it links to is
copied with it. People stay: they have written more.
"""

from collections.abc import Callable

from sqlalchemy import Connection, text

COPIED = ("envelopes", "queries", "threads", "messages", "decisions", "items", "events", "outbox")
_OVER = {"outbox": "done", "queries": "closed", "envelopes": "done"}
"""States of what is long past."""
_KEPT_IDS = {"identity_id", "user_id", "organisation_id", "assignee_id"}


def multiply(conn: Connection, copies: int, say: Callable[[str], None]) -> None:
    """`copies` times all that was recorded so far."""
    sqlite = conn.dialect.name == "sqlite"
    spans = [_number(conn, f"SELECT {end}(id) FROM {table}") for table in COPIED for end in ("min", "max")]
    step = max(max(spans) - min(spans) + 1, min(spans) // (2 * copies))  # over half of the time that ids have
    events = _number(conn, "SELECT max(seq) FROM events")
    for table in COPIED:
        indexes = _indexes(conn, table) if sqlite else []
        for name, _ in indexes:
            conn.execute(text(f"DROP INDEX {name}"))
        columns = _columns(conn, table)
        values = ", ".join(_value(table, name, step, events, sqlite=sqlite) for name in columns)
        names = ", ".join(f'"{name}"' for name in columns)
        rows = f"SELECT {values} FROM {table} AS t, {_series(sqlite=sqlite)}"
        conn.execute(text(f"INSERT INTO {table} ({names}) {rows}"), {"copies": copies})
        for _, made in indexes:
            conn.execute(text(made))
        say(f"filled {table}")
    conn.execute(text("ANALYZE"))


def _number(conn: Connection, statement: str) -> int:
    return int(conn.scalar(text(statement)) or 0)


def _series(*, sqlite: bool) -> str:
    if not sqlite:
        return "generate_series(CAST(1 AS bigint), CAST(:copies AS bigint)) AS s(k)"
    return "(WITH RECURSIVE s(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM s WHERE k < :copies) SELECT k FROM s) AS s"


def _value(table: str, name: str, step: int, events: int, *, sqlite: bool) -> str:
    if name == "seq" and table == "events":
        return f"t.seq - s.k * {events}"
    if (name == "id" or name.endswith("_id")) and name not in _KEPT_IDS:
        return f"t.{name} - s.k * {step}"
    if name in {"key_hash", "body_hash"}:
        fresh = "randomblob(32)" if sqlite else f"sha256(t.{name} || s.k::text::bytea)"
        return f"CASE WHEN t.{name} IS NULL THEN NULL ELSE {fresh} END"
    if name == "reference":
        return "t.reference || '-' || s.k"
    if name == "at" or name.endswith("_at"):
        return f"t.{name} - s.k * {step >> 22}"
    if name == "state" and table in _OVER:
        return f"'{_OVER[table]}'"
    return f't."{name}"'


def _columns(conn: Connection, table: str) -> list[str]:
    return list(conn.execute(text(f"SELECT * FROM {table} LIMIT 0")).keys())


def _indexes(conn: Connection, table: str) -> list[tuple[str, str]]:
    """Those that can be dropped: sorting once is quicker than a million insertions."""
    found = conn.execute(
        text("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name = :table"),
        {"table": table},
    )
    return [(name, made) for name, made in found]
