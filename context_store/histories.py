"""What users had with the desk before: counted for a whole batch in a fixed number of statements.

Counting costs what a user has written, so that it is bounded for each identity, and done only where rules ask for it.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, bindparam, func, literal_column, select

from context_store import tables as t
from context_store.among import among, rows
from context_store.ids import EPOCH_MS

DAY_MS = 86_400_000
MOST = 1000
"""Messages of one identity that are counted, the newest: a rule that asks for more than that asks for a flood."""
OPEN_STATES = ("new", "open", "pending", "on_hold")


class Asked(Struct, frozen=True, kw_only=True):
    """Which counts the rules in force ask for."""

    open_queries: bool = False
    days: int = 0
    """How far back messages are counted; 0: nobody asks."""
    subjects: bool = False


@dataclass(slots=True)
class History:
    """Of one user, this very batch laid over what is stored."""

    open_queries: int = 0
    contacts: list[int] = field(default_factory=list)
    """Messages in each of the last periods of 24 hours, newest first."""
    subjects: Counter[str] = field(default_factory=Counter)
    """As they were written."""


_m, _q, _i = t.messages.c, t.queries.c, t.identities.c
_among = among(_i.user_id)
_open = (
    select(_i.user_id, func.count())
    .select_from(t.identities.join(t.queries, _q.identity_id == _i.id))
    .where(_among, _q.root_id == _q.id, _q.state.in_(OPEN_STATES), _q.automatic.is_(False))
    .group_by(_i.user_id)
)
_older = t.messages.alias("older")
_oldest = (
    select(_older.c.id)
    .where(_older.c.identity_id == _i.id)
    .order_by(_older.c.id.desc())
    .limit(1)
    .offset(MOST)
    .scalar_subquery()
)
_day: Any = ((bindparam("now") - _m.recorded_at) // DAY_MS).label("day")
_contacts = (
    select(_i.user_id, _day, func.count())
    .select_from(t.identities.join(t.messages, _m.identity_id == _i.id))
    .where(_among, _m.id >= bindparam("since"), _m.id > func.coalesce(_oldest, 0), _m.direction == "in")
    .group_by(_i.user_id, literal_column("day"))  # PostgreSQL takes a repeated parameter for another one
)
_subjects = (
    select(_i.user_id, _m.subject, func.count())
    .select_from(t.identities.join(t.messages, _m.identity_id == _i.id))
    .where(_among, _m.id >= bindparam("since"), _m.id > func.coalesce(_oldest, 0), _m.direction == "in")
    .where(_m.subject != "")
    .group_by(_i.user_id, _m.subject)
)


def histories(conn: Connection, users: Collection[int], asked: Asked, now: int) -> dict[int, History]:
    """Of each of these users; what is not asked for stays zero and empty. `now` in UTC milliseconds."""
    found = {user: History(contacts=[0] * asked.days) for user in users}
    if asked.open_queries:
        for user, count in rows(conn, _open, users):
            found[user].open_queries = count
    if asked.days:
        since = max(0, now - asked.days * DAY_MS - EPOCH_MS) << 22
        for user, day, count in rows(conn, _contacts, users, since=since, now=now):
            if (at := max(int(day), 0)) < asked.days:  # PostgreSQL rounds down to a float
                found[user].contacts[at] += count
        if asked.subjects:
            for user, subject, count in rows(conn, _subjects, users, since=since):
                found[user].subjects[subject] += count
    return found
