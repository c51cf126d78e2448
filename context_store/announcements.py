"""What users are told of services while it holds: plain records. A major incident is one with `major`."""

from collections.abc import Sequence

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, bindparam, insert, select, update

from context_store import tables as t
from context_store.shapes import fill

FOREVER = 1 << 52
"""Until somebody ends it: in the year 144,000."""

_a = t.announcements.c


class Announcement(Struct, frozen=True, kw_only=True):
    """Times are UTC milliseconds; `until_at` None is until somebody ends it."""

    id: int
    text: str
    services: tuple[str, ...] = ()
    """Those that it is about; none: the desk as a whole."""
    major: bool = False
    from_at: int
    until_at: int | None = None
    author: str = ""


_all = select(*(_a[name] for name in Announcement.__struct_fields__)).order_by(_a.from_at.desc(), _a.id.desc())
_in_force = _all.where(_a.from_at <= bindparam("now"), _a.until_at > bindparam("now"))


def announce(conn: Connection, one: Announcement, now: int) -> None:
    """Keep it; it is in force from `from_at`."""
    values = msgspec.structs.asdict(one)
    values |= {"services": msgspec.json.encode(one.services).decode(), "until_at": one.until_at or FOREVER}
    conn.execute(insert(t.announcements).values(**values, created_at=now))


def end(conn: Connection, number: int, now: int) -> bool:
    """It ends now; one that has not begun never does. False: there is none that could end."""
    ending = update(t.announcements).where(_a.id == number, _a.until_at > now)
    return conn.execute(ending.values(until_at=now)).rowcount == 1


def announcements(conn: Connection, now: int, *, past: bool = False) -> tuple[Announcement, ...]:
    """Those in force, the newest first; with `past` also those that are over or to come."""
    rows = conn.execute(_all) if past else conn.execute(_in_force, {"now": now})
    return tuple(
        fill(
            Announcement, row, services=msgspec.json.decode(row.services, type=tuple[str, ...]),
            until_at=None if row.until_at == FOREVER else row.until_at,
        )
        for row in rows
    )  # fmt: skip


def services(found: Sequence[Announcement], *, major: bool = False) -> tuple[str, ...]:
    """Services that these are about, each once; `major`: those with a major incident alone."""
    if not found:
        return ()
    return tuple(dict.fromkeys(name for one in found if one.major or not major for name in one.services))
