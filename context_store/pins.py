"""PINs: a few digits that continue one query by telephone, for a short time and a few uses. Only hashes are here.

Nine digits alone name the query, so guesses count over all instances: whoever tries is slowed down by the hub (`Port`).
"""

import secrets
from typing import Any

from sqlalchemy import Connection, insert, select, update

from context_store.tables import tokens
from context_store.text import hash_key

DIGITS = 9
LIFE = 24 * 3_600_000
"""Milliseconds."""
USES = 5
GRANT = 3_600_000
"""Milliseconds for which what opened a query continues it."""

_c = tokens.c


def draw(query_id: int, now: int) -> tuple[str, dict[str, Any]]:
    """A new PIN, shown once, and the row that makes it count."""
    pin = "".join(secrets.choice("0123456789") for _ in range(DIGITS))
    return pin, {
        "token_hash": _hash(pin), "kind": "pin", "subject_id": query_id, "created_at": now, "expires_at": now + LIFE,
        "tries_left": USES,
    }  # fmt: skip


def issue(conn: Connection, query_id: int, now: int) -> str:
    """A new PIN for the query; the ones before it end."""
    conn.execute(update(tokens).where(_c.kind == "pin", _c.subject_id == query_id).values(expires_at=now))
    while True:
        pin, row = draw(query_id, now)
        if conn.scalar(select(_c.kind).where(_c.token_hash == row["token_hash"])) is None:
            conn.execute(insert(tokens).values(row))
            return pin


def open_by(conn: Connection, pin: str, grant: str, now: int) -> bool:
    """Does the PIN open its query? Then `grant` continues it for an hour; asked again for the same grant: the same."""
    granted = hash_key("continue", grant)
    if conn.scalar(select(_c.subject_id).where(_c.token_hash == granted, _c.kind == "continue")) is not None:
        return True
    alive = (_c.kind == "pin", _c.expires_at > now, _c.tries_left > 0)
    used = update(tokens).where(_c.token_hash == _hash(pin), *alive).values(tries_left=_c.tries_left - 1)
    query_id = conn.execute(used.returning(_c.subject_id)).scalar_one_or_none()
    if query_id is None:
        return False
    conn.execute(
        insert(tokens).values(
            token_hash=granted, kind="continue", subject_id=query_id, created_at=now, expires_at=now + GRANT,
            tries_left=1,
        )
    )  # fmt: skip
    return True


def _hash(pin: str) -> bytes:
    return hash_key("pin", pin)
