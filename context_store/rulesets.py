"""Rule sets by hash, kept for as long as decisions name them, and which one is in force on all nodes."""

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, select

from context_store import bulk
from context_store.tables import meta, rule_sets

_KEY = "rules"


class Activation(Struct, frozen=True):
    """The rule set in force, who said so, and when (UTC milliseconds)."""

    hash: str
    by: str
    at: int


def keep_rule_set(conn: Connection, digest: str, source: bytes, now: int) -> None:
    """Keep the file's bytes under its hash; once is enough."""
    columns = ("hash", "source", "loaded_at")
    bulk.insert(conn, rule_sets, columns, [(digest, source, now)], conflict="ON CONFLICT (hash) DO NOTHING")


def rule_set(conn: Connection, digest: str) -> bytes | None:
    """The bytes of a rule set that was in force once."""
    return conn.scalar(select(rule_sets.c.source).where(rule_sets.c.hash == digest))


def activate(conn: Connection, digest: str, source: bytes, by: str, now: int) -> None:
    """Keep it, and say to all nodes that it is in force from now on."""
    keep_rule_set(conn, digest, source, now)
    said = msgspec.json.encode(Activation(digest, by, now)).decode()
    bulk.insert(conn, meta, ("key", "value"), [(_KEY, said)],
                conflict="ON CONFLICT (key) DO UPDATE SET value = excluded.value")  # fmt: skip


def active(conn: Connection) -> Activation | None:
    """What is in force; None before the first start."""
    said = conn.scalar(select(meta.c.value).where(meta.c.key == _KEY))
    return msgspec.json.decode(said, type=Activation) if said else None
