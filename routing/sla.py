"""When a promise is due, in business time. Pure.

The hub keeps the instants as timers, and computes them again after every pause, change of priority and restart.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from routing.calendars import Calendar

WARN_AT = 0.75
"""Share of the time after which to warn."""

Pause = tuple[datetime, datetime | None]
"""From when to when we waited for the user; None: still."""


class Due(Struct, frozen=True, kw_only=True):
    """The instants of one promise; None while it is paused, or if its calendar never opens again."""

    warn: datetime | None
    breach: datetime | None
    spent: timedelta
    """Business time that has run off until now."""


def due(
    calendar: Calendar | None, opened: datetime, promised: timedelta, pauses: Sequence[Pause], now: datetime
) -> Due:
    """Pauses may touch and overlap, and begin before the promise does; `calendar` None is the clock round."""
    # in UTC: sums of datetimes in one zone go by its wall clock
    utc = [(begin.astimezone(UTC), end and end.astimezone(UTC)) for begin, end in pauses]
    runs = _runs(opened.astimezone(UTC), utc)
    spent = sum((_between(calendar, begin, min(end or now, now)) for begin, end in runs), timedelta())
    return Due(
        warn=_reached(calendar, runs, promised * WARN_AT),
        breach=_reached(calendar, runs, promised),
        spent=spent,
    )


def _runs(opened: datetime, pauses: Sequence[Pause]) -> list[tuple[datetime, datetime | None]]:
    """The stretches in which the clock runs; the last one is open unless a pause is."""
    runs, at = list[tuple[datetime, datetime | None]](), opened
    for begin, end in sorted(pauses, key=lambda pause: pause[0]):
        if begin > at:
            runs.append((at, begin))
        if end is None:
            return runs
        at = max(at, end)
    return [*runs, (at, None)]


def _reached(
    calendar: Calendar | None, runs: Sequence[tuple[datetime, datetime | None]], time: timedelta
) -> datetime | None:
    left = time
    for begin, end in runs:
        if end is None:
            return begin + left if calendar is None else calendar.add(begin, left)
        runs_for = _between(calendar, begin, end)
        if runs_for >= left:
            return begin + left if calendar is None else calendar.add(begin, left)
        left -= runs_for
    return None


def _between(calendar: Calendar | None, begin: datetime, end: datetime) -> timedelta:
    if calendar is None:
        return max(end - begin, timedelta())
    return calendar.between(begin, end)
