"""Announcements: what users are told of services while it holds. Operations, each with its actor and its event."""

from collections.abc import Sequence

from sqlalchemy import Connection

from context_store import announcements
from context_store.announcements import Announcement
from context_store.text import canonical
from context_store.times import to_millis
from hub.acting import leave, moment
from hub.rooms import Rooms

LONGEST = 2000
"""Characters: it is read to callers and stands above a form."""


async def announce(
    hub: Rooms, actor: str, text: str, services: Sequence[str] = (), *, major: bool = False, from_at: str = "",
    until_at: str = "",
) -> dict[str, str]:  # fmt: skip
    """Tell users something; times are ISO 8601 with their offset, "" is now and until it is ended."""
    text = canonical(text.strip(), LONGEST + 1)
    if not 0 < len(text) <= LONGEST:
        raise ValueError(f"the text of an announcement has 1 to {LONGEST} characters")
    if major and not services:
        raise ValueError("a major incident is on a service: name it")
    known = hub.rules.current.catalogue.services
    strange = sorted(set(services) - known.keys()) if known else []
    if strange:
        raise ValueError(f"there is no service {', '.join(strange)}; there are: {', '.join(known)}")
    now = to_millis(hub.clock.now())
    begins, ends = (to_millis(at) if at else None for at in (moment(from_at), moment(until_at)))
    begins = now if begins is None else begins
    if ends is not None and ends <= max(begins, now):
        raise ValueError("it would end before it begins")
    one = Announcement(
        id=hub.store.ids.next(), text=text, services=tuple(dict.fromkeys(canonical(name, 100) for name in services)),
        major=major, from_at=begins, until_at=ends, author=f"agent:{actor}",
    )  # fmt: skip
    await hub.store.write(_announce, hub, actor, one, now)
    hub.fabric.wake("events")
    return {"id": str(one.id)}


def _announce(conn: Connection, hub: Rooms, actor: str, one: Announcement, now: int) -> None:
    announcements.announce(conn, one, now)
    body = {"announcement": str(one.id), "text": one.text, "services": list(one.services), "major": one.major}
    leave(conn, hub, "announcement.begun", 0, actor, body)


async def end_announcement(hub: Rooms, actor: str, number: int | str) -> dict[str, str]:
    """It is over now."""
    await hub.store.write(_end, hub, actor, int(number))
    hub.fabric.wake("events")
    return {"id": str(number)}


def _end(conn: Connection, hub: Rooms, actor: str, number: int) -> None:
    if not announcements.end(conn, number, to_millis(hub.clock.now())):
        raise LookupError(f"no announcement {number} is in force or to come")
    leave(conn, hub, "announcement.ended", 0, actor, {"announcement": str(number)})
