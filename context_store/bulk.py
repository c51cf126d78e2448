"""Batches in the driver's best form: compiled once per table, the same number of statements for 1 row and for 500.

SQLAlchemy's own batched insert costs 2–4× here (measured, `docs/architecture.md`), so the two hot writes bypass it:
SQLite takes `executemany` (the journal has better), PostgreSQL one statement over arrays. Types come from the same
`tables.py`.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, Boolean, Connection, Integer, LargeBinary, SmallInteger, Table

type_names = {
    SmallInteger: "smallint",
    BigInteger: "bigint",
    Integer: "integer",
    Boolean: "boolean",
    LargeBinary: "bytea",
}

Rows = Sequence[Sequence[Any]]


def _array_type(table: Table, column: str) -> str:
    kind = type(table.c[column].type)
    return f"{type_names.get(kind, 'text')}[]"


def _arrays(table: Table, columns: Sequence[str]) -> str:
    return ", ".join(f"%s::{_array_type(table, name)}" for name in columns)


@cache
def _insert(table: Table, columns: tuple[str, ...], dialect: str, conflict: str) -> str:
    names = ", ".join(columns)
    if dialect == "sqlite":
        marks = ", ".join("?" * len(columns))
        return f"INSERT INTO {table.name} ({names}) VALUES ({marks}) {conflict}"
    return f"INSERT INTO {table.name} ({names}) SELECT * FROM unnest({_arrays(table, columns)}) {conflict}"


@cache
def _update(table: Table, columns: tuple[str, ...], keys: int, dialect: str) -> str:
    """The first `keys` columns find the row, the others are set."""
    found, changed = columns[:keys], columns[keys:]
    if dialect == "sqlite":
        sets = ", ".join(f"{name} = ?{at + keys + 1}" for at, name in enumerate(changed))
        where = " AND ".join(f"{name} = ?{at + 1}" for at, name in enumerate(found))
        return f"UPDATE {table.name} SET {sets} WHERE {where}"
    sets = ", ".join(f"{name} = v.{name}" for name in changed)
    where = " AND ".join(f"t.{name} = v.{name}" for name in found)
    arrays = _arrays(table, columns)
    return f"UPDATE {table.name} AS t SET {sets} FROM unnest({arrays}) AS v({', '.join(columns)}) WHERE {where}"


def _run(conn: Connection, sql: str, rows: Rows) -> int:
    driver: Any = conn.connection.driver_connection
    if conn.dialect.name == "sqlite":
        return int(driver.executemany(sql, rows).rowcount)
    return int(driver.execute(sql, [list(column) for column in zip(*rows, strict=True)]).rowcount)


def padded(values: list[Any]) -> list[Any]:
    """With the last one repeated, for `IN (…)`: few lengths are few statements, and drivers keep those prepared."""
    return values + values[-1:] * ((1 << (len(values) - 1).bit_length()) - len(values)) if values else values


def insert(conn: Connection, table: Table, columns: Sequence[str], rows: Rows, *, conflict: str = "") -> int:
    """Insert `rows`; raises sqlite3's or psycopg's IntegrityError as it is. Returns how many rows it wrote."""
    if not rows:
        return 0
    return _run(conn, _insert(table, tuple(columns), conn.dialect.name, conflict), rows)


def update(conn: Connection, table: Table, columns: Sequence[str], rows: Rows, *, keys: int = 1) -> int:
    """Set the later `columns` of the rows that the first `keys` columns name. Returns how many it found."""
    if not rows:
        return 0
    return _run(conn, _update(table, tuple(columns), keys, conn.dialect.name), rows)


def add_up(conn: Connection, table: Table, columns: Sequence[str], rows: Rows, *, keys: int) -> None:
    """Upsert counters: the last column is added to what stands there."""
    counter = columns[-1]
    adds = f"{counter} = {table.name}.{counter} + excluded.{counter}"
    conflict = f"ON CONFLICT ({', '.join(columns[:keys])}) DO UPDATE SET {adds}"
    insert(conn, table, columns, rows, conflict=conflict)
