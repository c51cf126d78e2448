"""Users in lists, and by address. The journey of one stands in `views.py`."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, func, or_, select, update

from context_store import tables as t
from context_store.text import canonical, hash_key
from context_store.views import ACTIVE, PAGE, beginning
from plugins import Identity, canonical_address


class UserRow(Struct, frozen=True, kw_only=True):
    """A user in a list."""

    user_id: int
    name: str
    organisation: str
    identities: tuple[str, ...]
    """`scheme:value`, oldest first."""
    open: int
    """Matters that are not resolved or closed."""
    created_at: int


def record_of(conn: Connection, user: int) -> dict[str, Any] | None:
    """What the directory says of a user, to be changed in this transaction (its row is locked); None: no such user."""
    u = t.users.c
    slug = select(t.organisations.c.slug).where(t.organisations.c.id == u.organisation_id).scalar_subquery()
    said = select(u.language, u.vip, slug.label("organisation"), u.fields).where(u.id == user).with_for_update()
    row = conn.execute(said).first()
    if row is None:
        return None
    columns = {"language": row.language, "vip": bool(row.vip), "organisation": row.organisation or ""}
    return msgspec.json.decode(row.fields, type=dict[str, Any]) | columns


def set_record(conn: Connection, user: int, columns: Mapping[str, Any]) -> None:
    """Columns of a user that exists."""
    conn.execute(update(t.users).where(t.users.c.id == user).values(**columns))


def organisation_id(conn: Connection, slug: str) -> int | None:
    """The organisation of that short name."""
    return conn.scalar(select(t.organisations.c.id).where(t.organisations.c.slug == slug))


def find_user(conn: Connection, scheme: str, value: str) -> int | None:
    """Whose identity this is, however a mail address is spelled."""
    i = t.identities.c
    return conn.execute(select(i.user_id).where(i.value_hash == _hash(scheme, value))).scalar()


def _hash(scheme: str, value: str) -> bytes:
    return hash_key(scheme, canonical(canonical_address(Identity(scheme=scheme, value=value)), 1024))


def list_users(conn: Connection, text: str = "", limit: int = PAGE) -> tuple[UserRow, ...]:
    """The newest first; `text`: the beginning of the name or of an address, whatever the case of its ASCII letters."""
    u, i = t.users.c, t.identities.c
    # A user whose identities were all linked to another is history, not somebody to list.
    statement = (
        select(u.id, u.name, u.created_at, func.coalesce(t.organisations.c.name, "").label("organisation"))
        .outerjoin(t.organisations, t.organisations.c.id == u.organisation_id)
        .where(select(i.id).where(i.user_id == u.id).exists())
    )
    if text:
        named = select(i.user_id).where(beginning(conn, i.value, text))
        spelled = select(i.user_id).where(i.value_hash == _hash("email", text))
        statement = statement.where(or_(beginning(conn, u.name, text), u.id.in_(named), u.id.in_(spelled)))
    rows = conn.execute(statement.order_by(u.id.desc()).limit(limit)).all()
    ids = [row.id for row in rows]
    identities, names = _identities(conn, ids)
    counts = _open(conn, ids)
    return tuple(
        UserRow(
            user_id=row.id,
            name=row.name or names.get(row.id, ""),
            organisation=row.organisation,
            identities=tuple(identities[row.id]),
            open=counts.get(row.id, 0),
            created_at=row.created_at,
        )
        for row in rows
    )


def _identities(conn: Connection, users: list[int]) -> tuple[dict[int, list[str]], dict[int, str]]:
    i = t.identities.c
    found: dict[int, list[str]] = defaultdict(list)
    names: dict[int, str] = {}
    for row in conn.execute(select(i.user_id, i.scheme, i.value, i.name).where(i.user_id.in_(users)).order_by(i.id)):
        found[row.user_id].append(f"{row.scheme}:{row.value}")
        if row.name:
            names.setdefault(row.user_id, row.name)
    return found, names


def _open(conn: Connection, users: list[int]) -> dict[int, int]:
    q, i = t.queries.c, t.identities.c
    counted = (
        select(i.user_id, func.count())
        .join(t.queries, q.identity_id == i.id)
        .where(i.user_id.in_(users), q.root_id == q.id, q.state.in_(ACTIVE))
        .group_by(i.user_id)
    )
    return {row[0]: row[1] for row in conn.execute(counted)}
