"""Clocks of promised times: first response and resolution, in business time, paused while we wait for the user.

What happens to a query is followed behind `events.seq`; the instants to warn and to miss are rows in `timers`, so that
they fire on time, once, on whatever node, and after a restart. A rule set with other targets or hours computes all open
clocks anew.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import msgspec
import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from context_store import CommitUnknown, Store, StoreAway, alarms, clocks
from context_store.audit import NewEvent, add_events
from context_store.clocks import Clock, Followed, Happened, Pause, Promise, Standing
from context_store.timers import Timer, add_timers, cancel_timers, due_timers, next_due, settle_timers
from context_store.times import from_millis, to_millis
from hub.fabric import Fabric
from hub.indexer import SEALED
from plugins import Clock as Time
from routing import RuleSet
from routing.sla import due

log = structlog.get_logger("trunkline.sla")

WARN, BREACH = "sla.warning", "sla.breached"
KINDS = (WARN, BREACH)
PROMISES: tuple[Promise, Promise] = ("first_response", "resolution")
ALARM = "sla"
LOOK = 2.0
"""Seconds between two looks at most."""
SHOWN = 10
"""Queries that the alarm names."""


@dataclass(slots=True)
class Promises:
    """One for each process; the store lets only one of them follow, and each timer fire once."""

    store: Store
    fabric: Fabric
    rules: Callable[[], RuleSet]
    clock: Time
    stopping: bool = False
    _seen: str = ""
    _any: bool = False
    """The rules promise something: else nothing is followed, until they do."""

    async def run(self) -> None:
        """Follow what happens and fire what is due until told to stop."""
        while not self.stopping:
            try:
                await self._renew()
                busy = await self.follow() or await self.fire()
                wait = 0.0 if busy else await self._pause()
            except (StoreAway, CommitUnknown, OperationalError) as error:
                log.warning("sla.store_away", why=str(error))
                wait = 1.0
            if wait:
                await self.fabric.wait(SEALED, wait)

    async def _pause(self) -> float:
        at = await self.store.read(next_due, KINDS)
        return LOOK if at is None else min(LOOK, max(0.01, (at - to_millis(self.clock.now())) / 1000))

    async def _renew(self) -> None:
        """Other targets, hours or holidays: every open clock is computed again, a page at a time."""
        rules, after = self.rules(), 0
        if rules.hash == self._seen:
            return
        while ids := await self.store.read(clocks.open_after, after):
            await self.store.write(_compute, ids, (), rules, self.store.ids.next, to_millis(self.clock.now()))
            after = ids[-1]
        self._seen, catalogue = rules.hash, rules.catalogue
        self._any = bool(catalogue.targets) or any(service.targets for service in catalogue.services.values())
        await self._tell()

    async def follow(self) -> bool:
        """One batch of events; True if there may be more."""
        if not self._any:
            return False
        async with self.store.holding(clocks.follow) as batch:
            if batch is None:
                return False
            now = to_millis(self.clock.now())
            changed = await self.store.write(_follow, batch, self.rules(), self.store.ids.next, now)
        if changed:
            await self._tell()
        return True

    async def fire(self) -> bool:
        """Warnings and breaches that are due; True if there may be more."""
        fired = await self.store.write(_fire, self.store.ids.next, to_millis(self.clock.now()))
        if fired:
            self.fabric.wake("events")
            await self._tell()
        return fired

    async def _tell(self) -> None:
        """One alarm for all broken promises that are open, raised again only when they are others.

        What stands is asked of the store, as another node may have said it; and again after each change, as what was
        read before it may have been over by then.
        """
        while (wanted := await self.store.read(_wanted)) is not None:
            await self.store.write(_say, wanted, to_millis(self.clock.now()))


def _wanted(conn: Connection) -> str | None:
    """What the alarm ought to say, "" that it is over; None if that is so."""
    late = clocks.late(conn)
    more = f" and {len(late) - SHOWN} more" if len(late) > SHOWN else ""
    text = f"promised times are broken: {', '.join(late[:SHOWN])}{more}" if late else ""
    return None if text == alarms.standing(conn, (ALARM,)).get(ALARM, "") else text


def _say(conn: Connection, text: str, now: int) -> None:
    if text:
        alarms.raise_(conn, ALARM, text, now)
    else:
        alarms.clear(conn, ALARM, now)


NextId = Callable[[], int]


def _follow(conn: Connection, batch: Followed, rules: RuleSet, next_id: NextId, now: int) -> bool:
    """True if some clock may stand otherwise."""
    if not clocks.move(conn, batch, now) or not batch.happened:
        return False
    _compute(conn, sorted({one.query_id for one in batch.happened}), batch.happened, rules, next_id, now)
    return True


def _compute(
    conn: Connection, ids: Collection[int], happened: Sequence[Happened], rules: RuleSet, next_id: NextId, now: int
) -> None:
    """Clocks and timers of these queries, as they stand now."""
    standing = clocks.standings(conn, ids)
    before = {(one.query_id, one.promise): one for one in clocks.clocks(conn, standing)}
    made = list[Clock]()
    for query in standing.values():
        mine = [one for one in happened if one.query_id == query.id]
        made += _clocks_of(query, mine, before, rules, now)
    clocks.put(conn, made, standing)
    cancel_timers(conn, standing, KINDS)
    add_timers(conn, [timer for one in made for timer in _timers(one, next_id)])


def _clocks_of(
    query: Standing, happened: Sequence[Happened], before: Mapping[tuple[int, Promise], Clock], rules: RuleSet, now: int
) -> list[Clock]:
    target, calendar = rules.catalogue.target(query.service, query.priority)
    made = []
    for promise in PROMISES:
        known = before.get((query.id, promise))
        promised: timedelta | None = getattr(target, promise) if target else None
        ends = ended(query, promise)
        if promised is None or query.automatic or (known is None and ends is not None):
            continue
        one = known or Clock(query_id=query.id, promise=promise, begun_at=query.opened_at, promised=0)
        one.promised, one.calendar = promised // timedelta(milliseconds=1), calendar.name if calendar else ""
        one.pauses = paused(one, query, happened, ends, now)
        one.ended_at = ends
        instants = due(
            calendar, from_millis(one.begun_at), promised,
            [(from_millis(begin), None if end is None else from_millis(end)) for begin, end in one.pauses],
            from_millis(now),
        )  # fmt: skip
        one.warn_at, one.due_at = (None if at is None else to_millis(at) for at in (instants.warn, instants.breach))
        if one.due_at is not None and one.breached_at is not None and one.due_at > one.breached_at:
            one.breached_at = None  # a later promise holds now
        made.append(one)
    return made


def ended(query: Standing, promise: Promise) -> int | None:
    """When the promise was kept or became moot; None: not yet."""
    over = [at for at in (query.resolved_at, query.closed_at) if at is not None]
    if promise == "first_response" and query.first_response_at is not None:
        over.append(query.first_response_at)
    return min(over, default=None)


def paused(one: Clock, query: Standing, happened: Sequence[Happened], ends: int | None, now: int) -> list[Pause]:
    """The clock's pauses, brought up to date: by the events, and at last by the state as it is."""
    pauses = list(one.pauses)
    if one.ended_at is not None and ends is None and one.promise == "resolution":
        pauses.append((one.ended_at, None))  # reopened: nobody worked on it in between
    for each in happened:
        state = each.state or ("open" if each.kind == "query.reopened" else "")
        if state:
            _turn(pauses, each.at, waits=state == "pending")
    if ends is None:
        _turn(pauses, happened[-1].at if happened else now, waits=query.state == "pending")
    return pauses


def _turn(pauses: list[Pause], at: int, *, waits: bool) -> None:
    standing = bool(pauses) and pauses[-1][1] is None
    if waits and not standing:
        pauses.append((at, None))
    elif standing and not waits:
        pauses[-1] = (pauses[-1][0], max(at, pauses[-1][0]))


def _timers(one: Clock, next_id: NextId) -> list[Timer]:
    """What is still to be said of it."""
    if one.ended_at is not None:
        return []
    body = msgspec.json.encode({"promise": one.promise}).decode()
    wanted = ((WARN, one.warn_at, one.warned_at), (BREACH, one.due_at, one.breached_at))
    return [
        Timer(next_id(), kind, one.query_id, at, body) for kind, at, said in wanted if at is not None and said is None
    ]


class _Body(msgspec.Struct):
    promise: Promise


def _fire(conn: Connection, next_id: NextId, now: int) -> bool:
    """Each timer that still stands leaves its event; what was answered a moment ago is not late."""
    found = due_timers(conn, now, KINDS)
    if not found:
        return False
    ids = {timer.subject_id for timer in found}
    standing = clocks.standings(conn, ids)
    known = {(one.query_id, one.promise): one for one in clocks.clocks(conn, ids)}
    events = []
    for timer in found:
        promise = msgspec.json.decode(timer.body, type=_Body).promise
        query, one = standing.get(timer.subject_id), known.get((timer.subject_id, promise))
        if query is None or one is None or query.state == "pending" or ended(query, promise) is not None:
            continue
        if timer.kind == WARN:
            one.warned_at = now
        else:
            one.breached_at = now
        body = {"promise": promise, "due_at": from_millis(one.due_at or timer.due_at).isoformat()}
        events.append(NewEvent(id=next_id(), kind=timer.kind, subject_id=query.id, actor="hub", at=now, body=body))
    clocks.put(conn, list(known.values()), ids)
    settle_timers(conn, [timer.id for timer in found])
    add_events(conn, events)
    return True
