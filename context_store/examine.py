"""What `trunkline doctor` asks of the store: slow walks over whole tables, read-only, one statement each."""

from pathlib import Path

from sqlalchemy import Connection, select
from sqlalchemy.exc import DBAPIError

from context_store import tables as t
from context_store.blobs import BlobFindings, BlobStore
from context_store.migrations import head, revision_of
from context_store.pending import recount, tallies_by_instance, unaccounted
from context_store.people import wrong_users


def schema(conn: Connection) -> tuple[int, int]:
    """(the store's schema, the newest that this release knows)."""
    return revision_of(conn), head()


def miscounted(conn: Connection) -> list[str]:
    """Sentences about counters that don't say what the rows say; empty if the accounting holds."""
    tallies, rows = tallies_by_instance(conn), recount(conn)
    said = [f"{instance}: {gap} received envelopes are in no state" for instance, gap in unaccounted(tallies).items()]
    for instance in sorted(tallies.keys() | rows.keys()):
        for state in ("received", "done", "parked", "pending", "erased"):
            counted, found = tallies.get(instance, {}).get(state, 0), rows.get(instance, {}).get(state, 0)
            if counted != found:
                said.append(f"{instance}: {state} counts {counted}, the rows are {found}")
    return said


def strayed(conn: Connection) -> int:
    """Identities whose `user_id` is not that of the person whom the active links make."""
    return len(wrong_users(conn))


def damage(conn: Connection) -> list[str]:
    """What is wrong with the database itself; reads every page of an SQLite file."""
    if conn.dialect.name == "sqlite":
        try:
            return [str(row[0]) for row in conn.exec_driver_sql("PRAGMA integrity_check(10)") if row[0] != "ok"]
        except DBAPIError as error:  # too far gone even for the check
            return [str(error.orig)]
    unsafe = [name for name in ("fsync", "full_page_writes") if conn.exec_driver_sql(f"SHOW {name}").scalar() != "on"]
    return [f"PostgreSQL runs with {name} = off: a power cut loses what was acknowledged" for name in unsafe]


def blobs(conn: Connection, folder: Path) -> BlobFindings:
    """Files without a row, rows without a file; changes nothing, makes nothing."""
    return BlobStore(folder).find(conn) if folder.is_dir() else BlobFindings(0, _expected(conn))


def _expected(conn: Connection) -> tuple[bytes, ...]:
    return tuple(conn.scalars(select(t.blobs.c.sha256).where(t.blobs.c.data.is_(None))))


def newest(conn: Connection) -> int | None:
    """When the newest envelope came, in UTC milliseconds: a clock behind it was set back."""
    return conn.scalar(select(t.envelopes.c.received_at).order_by(t.envelopes.c.id.desc()).limit(1))
