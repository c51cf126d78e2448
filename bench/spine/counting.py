"""What a store's drivers are asked, counted beneath everything of ours: statements, and pages looked at.

SQLite: its trace of statements, in which those of one `executemany` follow each other and count once, and its page
cache's hits and misses (sqlite3_db_status, which Python does not offer: called in the library itself). PostgreSQL:
libpq's trace of Execute and Query messages, and the blocks of pg_stat_database.
"""

import ctypes
import re
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy import event
from sqlalchemy.pool import Pool

_HIT, _MISS = 7, 8
_VALUE = re.compile(r"[xX]?'(?:[^']|'')*'|\bNULL\b|-?\b\d+(?:\.\d+)?\b")
_SENT = re.compile(rb"\tF\t\d+\t(Execute|Query)\b")


class Counted:
    """The connections of all stores that are opened after this, by their databases."""

    def __init__(self) -> None:
        self._connections: dict[str, list[Any]] = {}
        event.listen(Pool, "connect", self._connected)

    def close(self) -> None:
        event.remove(Pool, "connect", self._connected)

    def _connected(self, raw: Any, _record: object) -> None:
        self._connections.setdefault(_database(raw), []).append(raw)

    @contextmanager
    def statements(self, database: str) -> Iterator[Counter[str]]:
        """Counts by text without values; kinds of statements in a run of equal ones count once."""
        counts: Counter[str] = Counter()
        connections = self._connections[database]
        if isinstance(connections[0], psycopg.Connection):
            with tempfile.TemporaryFile() as file:
                for raw in connections:
                    raw.pgconn.trace(file.fileno())
                yield counts
                for raw in connections:
                    raw.pgconn.untrace()
                file.seek(0)
                counts["sent"] = len(_SENT.findall(file.read()))
            return
        for raw in connections:
            raw.set_trace_callback(_Trace(counts).note)
        yield counts
        for raw in connections:
            raw.set_trace_callback(None)

    def pages(self, database: str) -> int:
        """Looked at so far, in the cache or not, by all connections."""
        connections = self._connections[database]
        if isinstance(connections[0], psycopg.Connection):
            return _blocks(connections[0].info.dsn)
        return sum(_page_cache(raw, what) for raw in connections for what in (_HIT, _MISS))


class _Trace:
    """Of one connection."""

    def __init__(self, counts: Counter[str]) -> None:
        self._counts, self._last = counts, ""

    def note(self, statement: str) -> None:
        plain = _VALUE.sub("?", statement)
        if plain != self._last:
            self._counts[plain] += 1
            self._last = plain


def _database(raw: Any) -> str:
    if isinstance(raw, psycopg.Connection):
        return (
            f"postgresql+psycopg://{raw.info.user}@/{raw.info.dbname}?host={raw.info.host}"  # as the store is given it
        )
    return str(raw.execute("PRAGMA database_list").fetchone()[2])


_library = ctypes.CDLL("libsqlite3.so.0")


def _page_cache(raw: sqlite3.Connection, what: int) -> int:
    """The handle is the first member of CPython's connection object, behind its two words of header."""
    handle = ctypes.c_void_p.from_address(id(raw) + 2 * ctypes.sizeof(ctypes.c_void_p))
    now, most = ctypes.c_int(), ctypes.c_int()
    assert _library.sqlite3_db_status(handle, what, ctypes.byref(now), ctypes.byref(most), 0) == 0
    return now.value


def _blocks(dsn: str) -> int:
    with psycopg.connect(dsn) as conn:
        found = conn.execute(
            "SELECT blks_hit + blks_read FROM pg_stat_database WHERE datname = current_database()"
        ).fetchone()
    assert found is not None
    return int(found[0])
