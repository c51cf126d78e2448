"""Who is signed in, and what is theirs to see: of all their identities, over all channels, and nobody else's.

What agents note, what a stranger wrote into the matter with somebody's token, and what the desk and other participants
say to each other there, is not theirs.
"""

from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, Select, func, select, update

from context_store import tables as t
from context_store.text import canonical, hash_key
from context_store.tokens import holding
from plugins import Identity, canonical_address

LINK, SESSION = "visit-link", "visit"
"""Kinds of tokens; their subject is an identity."""
MOST = 100

_m, _q, _i, _a = t.messages.c, t.queries.c, t.identities.c, t.attachments.c
_root = t.queries.alias("root")


class Visitor(Struct, frozen=True):
    """An identity that somebody holds."""

    id: int
    user_id: int
    scheme: str
    value: str


class Matter(Struct, frozen=True, kw_only=True):
    """A matter as one participant sees it. `id`, `identity_id`: their conversation, for its reply token."""

    id: int
    identity_id: int
    reference: str
    subject: str
    state: str
    channel: str
    service: str
    opened_at: int
    updated_at: int
    own: bool
    """They began it: closing and reopening is theirs."""


class Line(Struct, frozen=True, kw_only=True):
    """A message in it."""

    id: int
    direction: str
    channel: str
    at: int
    text: str
    folds: str
    automatic: str
    standing: str


class File(Struct, frozen=True, kw_only=True):
    """An attachment; `sha256` None: it has not come yet."""

    message_id: int
    n: int
    sha256: bytes | None
    name: str
    type: str
    size: int


def visitor(conn: Connection, kind: str, secret: str, now: int) -> Visitor | None:
    """Whose living secret this is."""
    columns = (_i.id, _i.user_id, _i.scheme, _i.value)
    row = conn.execute(select(*columns).where(_i.id == holding(kind, secret, now))).first()
    return Visitor(*row) if row else None


def prove(conn: Connection, person: int) -> None:
    """Whoever opened the link reads what goes to this identity: A2, the best ever seen."""
    conn.execute(update(t.identities).where(_i.id == person, _i.assurance < 2).values(assurance=2))


def identity(conn: Connection, scheme: str, value: str) -> int | None:
    """The identity of an address as it is stored."""
    found = Identity(scheme=scheme, value=value)
    key = hash_key(scheme, canonical(canonical_address(found), 1024))
    return conn.execute(select(_i.id).where(_i.value_hash == key)).scalar()


def user(conn: Connection, person: int) -> tuple[Any, ...]:
    """As `lookups.KnownUser` has it: whose identity this is."""
    u = t.users.c
    columns = (u.id, u.name, func.coalesce(t.organisations.c.slug, ""), u.language, u.vip, u.fields)
    joined = t.identities.join(t.users, u.id == _i.user_id).outerjoin(
        t.organisations, t.organisations.c.id == u.organisation_id
    )
    return tuple(conn.execute(select(*columns).select_from(joined).where(_i.id == person)).one())


def _mine(person: int) -> Any:
    """Every identity of the user whom this one belongs to."""
    own = t.identities.alias("own")
    return select(_i.id).where(_i.user_id == select(own.c.user_id).where(own.c.id == person).scalar_subquery())


def _matters(person: int) -> Select[Any]:
    columns = (
        _q.id, _q.identity_id, _root.c.reference, _q.subject, _root.c.state, _q.channel, _root.c.service,
        _q.opened_at, _root.c.updated_at, _root.c.identity_id.in_(_mine(person)).label("own"),
    )  # fmt: skip
    return (
        select(*columns)
        .select_from(t.queries.join(_root, _root.c.id == _q.root_id))
        .where(_q.identity_id.in_(_mine(person)), _root.c.automatic.is_(False))
    )


def matters(conn: Connection, person: int) -> tuple[Matter, ...]:
    """The last touched first. Of several conversations of theirs in one matter the oldest."""
    first = select(func.min(_q.id)).where(_q.identity_id.in_(_mine(person))).group_by(_q.root_id)
    rows = conn.execute(
        _matters(person).where(_q.id.in_(first)).order_by(_root.c.updated_at.desc(), _q.id.desc()).limit(MOST)
    )
    return tuple(Matter(**row._mapping) for row in rows)  # SQLAlchemy's public name for it


def matter(conn: Connection, person: int, reference: str) -> Matter | None:
    """The one of this canonical reference, None if it is not theirs."""
    row = conn.execute(_matters(person).where(_root.c.reference == reference).order_by(_q.id).limit(1)).first()
    return Matter(**row._mapping) if row else None


def _lines(person: int) -> Select[Any]:
    columns = (_m.id, _m.direction, _m.channel, _m.at, _m.text, _m.folds, _m.automatic, _m.standing)
    return (
        select(*columns)
        .select_from(t.messages.join(t.queries, _q.id == _m.query_id).join(_root, _root.c.id == _q.root_id))
        .where(_q.identity_id.in_(_mine(person)), _root.c.automatic.is_(False))
        .where(_m.standing.in_(("", "claimed")), _m.kind != "note", _m.deleted_at.is_(None))
    )


def lines(conn: Connection, person: int, reference: str) -> tuple[tuple[Line, ...], tuple[File, ...]]:
    """The newest five hundred, oldest first, and all their attachments."""
    newest = _lines(person).where(_root.c.reference == reference).order_by(_m.id.desc()).limit(500)
    found = [Line(**row._mapping) for row in conn.execute(newest)][::-1]
    columns = [_a[name] for name in File.__struct_fields__]
    files = select(*columns).where(_a.message_id.in_([line.id for line in found])).order_by(_a.message_id, _a.n)
    return tuple(found), tuple(File(**row._mapping) for row in conn.execute(files)) if found else ()


def file(conn: Connection, person: int, message: int, n: int) -> File | None:
    """An attachment of a message that they may see."""
    if conn.execute(_lines(person).where(_m.id == message)).first() is None:
        return None
    columns = [_a[name] for name in File.__struct_fields__]
    row = conn.execute(select(*columns).where(_a.message_id == message, _a.n == n)).first()
    return File(**row._mapping) if row else None


class Preferred(Struct, frozen=True, kw_only=True):
    """What a user chose, and where an answer could go: (scheme, value, assurance), the surest first."""

    channel: str
    language: str
    identities: tuple[tuple[str, str, int], ...]


def preferred(conn: Connection, person: int) -> Preferred:
    """Of the user whom this identity belongs to; barred identities left out."""
    owner = select(_i.user_id).where(_i.id == person).scalar_subquery()
    language, fields = conn.execute(select(t.users.c.language, t.users.c.fields).where(t.users.c.id == owner)).one()
    rows = conn.execute(
        select(_i.scheme, _i.value, _i.assurance)
        .where(_i.user_id == owner, _i.barred == "")
        .order_by(_i.assurance.desc(), _i.id.desc())
    )
    channel = msgspec.json.decode(fields, type=dict[str, Any]).get(CHOSEN, "")
    return Preferred(
        channel=channel if isinstance(channel, str) else "", language=language,
        identities=tuple((row[0], row[1], row[2]) for row in rows),
    )  # fmt: skip


CHOSEN = "answers_by"
"""The user's field that names the channel of answers."""
