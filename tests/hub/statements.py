"""How many statements a store function sends, and how SQLite would find its rows."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection

_value = re.compile(r"X'[0-9A-F]*'|'(?:[^']|'')*'|-?\b\d+(?:\.\d+)?\b|\bNULL\b", re.IGNORECASE)
_values = re.compile(r"\(\?(?:\s*,\s*\?)+\)")


@contextmanager
def sent(conn: Connection) -> Iterator[list[str]]:
    """The statements, as the database gets them. On SQLite every row of an executemany is one."""
    seen: list[str] = []
    driver: Any = conn.connection.driver_connection
    if conn.dialect.name == "sqlite":
        driver.set_trace_callback(seen.append)
        yield seen
        driver.set_trace_callback(None)
        return
    plain = driver.cursor_factory

    class Counting(plain):
        def execute(self, query: Any, *args: Any, **more: Any) -> Any:
            seen.append(str(query))
            return super().execute(query, *args, **more)

    driver.cursor_factory = Counting
    yield seen
    driver.cursor_factory = plain


def count(conn: Connection, fn: Callable[..., Any], *args: Any) -> tuple[int, Any]:
    """(statements, result); rows of one executemany count as one, for SQLite prepares them once."""
    with sent(conn) as seen:
        result = fn(conn, *args)
    if conn.dialect.name != "sqlite":
        return len(seen), result
    changes = {_values.sub("(?)", _value.sub("?", sql)) for sql in seen if not sql.lstrip().startswith("SELECT")}
    return len(changes) + sum(sql.lstrip().startswith("SELECT") for sql in seen), result


def scanned(conn: Connection, seen: list[str]) -> set[str]:
    """Tables that SQLite would walk from end to end for one of the statements."""
    plans = [row for sql in seen for row in conn.exec_driver_sql("EXPLAIN QUERY PLAN " + sql.replace("%", "%%")).all()]
    found = {row[3] for row in plans if row[3].startswith("SCAN")}
    return {text.split()[1] for text in found if "INDEX" not in text}
