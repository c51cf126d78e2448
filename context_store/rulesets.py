"""Rule sets by hash, kept for as long as decisions name them."""

from sqlalchemy import Connection, select

from context_store import bulk
from context_store.tables import rule_sets


def keep_rule_set(conn: Connection, digest: str, source: bytes, now: int) -> None:
    """Keep the file's bytes under its hash; once is enough."""
    columns = ("hash", "source", "loaded_at")
    bulk.insert(conn, rule_sets, columns, [(digest, source, now)], conflict="ON CONFLICT (hash) DO NOTHING")


def rule_set(conn: Connection, digest: str) -> bytes | None:
    """The bytes of a rule set that was in force once."""
    return conn.scalar(select(rule_sets.c.source).where(rule_sets.c.hash == digest))
