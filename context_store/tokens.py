"""What a person holds: password links, known browsers, sent forms, portal links, PINs. The store has only hashes."""

import secrets
from typing import Any

from sqlalchemy import Connection, ScalarSelect, insert, select, update

from context_store import bulk
from context_store.tables import tokens
from context_store.text import hash_key


def issue(
    conn: Connection,
    kind: str,
    subject_id: int,
    now: int,
    life: int,
    *,
    identity_id: int | None = None,
    tries: int = 1,
    digits: int = 0,
) -> str:
    """A new secret, shown once; `life` in milliseconds. With `digits` a PIN, which works with its subject alone."""
    secret = "".join(secrets.choice("0123456789") for _ in range(digits)) if digits else secrets.token_urlsafe(24)
    conn.execute(
        insert(tokens).values(
            token_hash=_hash(secret, subject_id if digits else None),
            kind=kind,
            subject_id=subject_id,
            identity_id=identity_id,
            created_at=now,
            expires_at=now + life,
            tries_left=tries,
        )
    )
    return secret


def fresh(kind: str, subject_id: int, now: int, life: int) -> tuple[str, dict[str, Any]]:
    """A new secret, and its row for a batch that writes it later."""
    secret = secrets.token_urlsafe(24)
    return secret, {
        "token_hash": _hash(secret, None), "kind": kind, "subject_id": subject_id, "created_at": now,
        "expires_at": now + life, "tries_left": 1,
    }  # fmt: skip


def holder(conn: Connection, kind: str, secret: str, now: int) -> int | None:
    """The subject of a living secret, which stays as it is; None as `redeem`."""
    return conn.execute(select(holding(kind, secret, now))).scalar()


def holding(kind: str, secret: str, now: int) -> ScalarSelect[int]:
    """As `holder`, as part of a statement."""
    alive = (tokens.c.kind == kind, tokens.c.used_at.is_(None), tokens.c.expires_at > now)
    return select(tokens.c.subject_id).where(tokens.c.token_hash == _hash(secret, None), *alive).scalar_subquery()


def spend(conn: Connection, kind: str, secret: str, subject_id: int, now: int, life: int) -> int | None:
    """Mark a secret that somebody else made (a form's) as used up for `subject_id`; the first one's subject if it was.

    Belongs in the transaction of what must happen once: of two at the same time one waits, then sees the other's.
    """
    key = _hash(f"{kind}:{secret}", None)
    row = (key, kind, subject_id, now, now + life, 0, now)
    columns = ("token_hash", "kind", "subject_id", "created_at", "expires_at", "tries_left", "used_at")
    if bulk.insert(conn, tokens, columns, [row], conflict="ON CONFLICT (token_hash) DO NOTHING"):
        return None
    return int(conn.execute(select(tokens.c.subject_id).where(tokens.c.token_hash == key)).scalar_one())


def redeem(conn: Connection, kind: str, secret: str, now: int, *, subject_id: int | None = None) -> int | None:
    """The subject, once; None if the secret is wrong, used, too old, or was guessed at too often.

    With `subject_id` it is a PIN: a wrong one costs every living PIN of that subject a try. The caller must not roll
    back on None, or the try isn't counted.
    """
    alive = (tokens.c.kind == kind, tokens.c.used_at.is_(None), tokens.c.expires_at > now, tokens.c.tries_left > 0)
    found = conn.execute(
        update(tokens)
        .where(tokens.c.token_hash == _hash(secret, subject_id), *alive)
        .values(used_at=now)
        .returning(tokens.c.subject_id)
    ).scalar_one_or_none()
    if found is None and subject_id is not None:
        conn.execute(
            update(tokens).where(tokens.c.subject_id == subject_id, *alive).values(tries_left=tokens.c.tries_left - 1)
        )
    return found


def revoke(conn: Connection, kind: str, subject_id: int, now: int) -> None:
    """Every living secret of that kind for the subject ends."""
    living = (tokens.c.kind == kind, tokens.c.subject_id == subject_id, tokens.c.used_at.is_(None))
    conn.execute(update(tokens).where(*living).values(used_at=now))


def _hash(secret: str, subject_id: int | None) -> bytes:
    """A PIN's hash has its subject in it: the same digits may stand for many, and alone they name none."""
    return hash_key("token", secret) if subject_id is None else hash_key("token", secret, str(subject_id))
