"""Business time: named calendars of opening hours, in their zones, with holidays and days of their own.

Times of day are read as RFC 5545 §3.3.5 reads local times: one that the clock skips in spring counts with the offset
before the gap, one that it shows twice in autumn is the first. All sums are made in UTC, so a night shift over the
change is as long as it really was.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct

from routing.places import Report

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
FURTHEST = 3660
"""Days that a sum looks ahead: a calendar that is closed for ten years never opens."""

_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-(?:([01]\d|2[0-3]):([0-5]\d)|(24):(00))")

Span = tuple[int, int]
"""Minutes of a day; an end at or before the begin is on the next day."""


class Calendar(Struct, frozen=True):
    """When a desk is open."""

    name: str
    zone: str
    week: tuple[tuple[Span, ...], ...]
    """From Monday."""
    holidays: tuple[str, ...] = ()
    """Countries or their parts (ISO 3166: `DE`, `DE-BY`); closed on their public holidays."""
    special: tuple[tuple[date, tuple[Span, ...]], ...] = ()
    """Days with hours of their own, holidays or not."""

    @property
    def opens(self) -> bool:
        """Ever; on holidays or not."""
        return any(self.week) or any(spans for _, spans in self.special)

    def windows(self, day: date) -> Iterator[tuple[datetime, datetime]]:
        """Openings that begin on this local day, in UTC, in order."""
        zone = ZoneInfo(self.zone)
        for begin, end in self._spans(day):
            opens = _instant(day, begin, zone)
            closes = _instant(day, end if end > begin else end + 1440, zone)
            if closes > opens:
                yield opens, closes

    def _spans(self, day: date) -> tuple[Span, ...]:
        for special, spans in self.special:
            if special == day:
                return spans
        return () if any(_is_holiday(place, day) for place in self.holidays) else self.week[day.weekday()]

    def is_open(self, at: datetime) -> bool:
        """At this instant; an opening's last instant is outside."""
        day = at.astimezone(ZoneInfo(self.zone)).date()
        return any(opens <= at < closes for each in (day - timedelta(1), day) for opens, closes in self.windows(each))

    def between(self, begin: datetime, end: datetime) -> timedelta:
        """Business time from one instant to another; zero if they are the wrong way round."""
        total = timedelta()
        for opens, closes in self._openings(begin):
            if opens >= end:
                break
            total += min(closes, end) - opens
        return total

    def add(self, begin: datetime, time: timedelta) -> datetime | None:
        """The instant at which this much business time has passed since `begin`; None: not within ten years."""
        left = time
        for opens, closes in self._openings(begin):
            if closes - opens >= left:
                return opens + left
            left -= closes - opens
        return None

    def _openings(self, begin: datetime) -> Iterator[tuple[datetime, datetime]]:
        """What is left of the openings after an instant; overlapping ones count once."""
        first, at = begin.astimezone(ZoneInfo(self.zone)).date() - timedelta(1), begin.astimezone(UTC)
        for number in range(FURTHEST):
            for opens, closes in self.windows(first + timedelta(number)):
                if closes > at:
                    yield max(opens, at), closes
                    at = closes


def _instant(day: date, minutes: int, zone: ZoneInfo) -> datetime:
    days, minutes = divmod(minutes, 1440)
    naive = datetime.combine(day, datetime.min.time()) + timedelta(days=days, minutes=minutes)
    return naive.replace(tzinfo=zone).astimezone(UTC)


@lru_cache(maxsize=256)
def _holidays_of(place: str, year: int) -> frozenset[date]:
    import holidays  # noqa: PLC0415  # all countries of the world: only for calendars that name one

    country, _, part = place.partition("-")
    return frozenset(holidays.country_holidays(country, subdiv=part or None, years=year))


def _is_holiday(place: str, day: date) -> bool:
    return day in _holidays_of(place, day.year)


def read_calendar(name: str, table: Any, report: Report) -> Calendar | None:
    """One `[calendar.<name>]`; None where something is wrong with it, which is reported."""
    if not isinstance(table, dict):
        report("", "expected a table", 'e.g. zone = "Europe/Berlin"')
        return None
    problems: list[str] = []

    def wrong(key: str, what: str, fix: str) -> None:
        problems.append(key)
        report(key, what, fix)

    for key in table.keys() - {"zone", "hours", "holidays", "special", "note"}:
        wrong(key, "unknown key", "allowed: zone, hours, holidays, special, note")
    zone = table.get("zone")
    if not _is_zone(zone):
        wrong("zone", f"{zone!r} is no time zone" if zone else "missing", 'e.g. "Europe/Berlin"')
    week = _week(table.get("hours"), wrong)
    places = _places(table.get("holidays", []), wrong)
    special = _special(table.get("special", {}), wrong)
    return None if problems else Calendar(name, str(zone), week, places, special)


def _is_zone(zone: Any) -> bool:
    try:
        return isinstance(zone, str) and bool(ZoneInfo(zone))
    except (ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError
        return False
    except KeyError:
        return False


def _week(table: Any, wrong: Report) -> tuple[tuple[Span, ...], ...]:
    if not isinstance(table, dict) or not table:
        wrong("hours", "expected a table of days", 'e.g. hours.mon = "08:00-17:00"')
        return ()
    for day in table.keys() - set(DAYS):
        wrong(f"hours.{day}", "unknown day", f"allowed: {', '.join(DAYS)}")
    return tuple(_spans(table.get(day, []), f"hours.{day}", wrong) for day in DAYS)


def _spans(value: Any, key: str, wrong: Report) -> tuple[Span, ...]:
    spans = []
    for each in [value] if isinstance(value, str) else value if isinstance(value, list) else [value]:
        found = _HOURS.fullmatch(each) if isinstance(each, str) else None
        if not found:
            wrong(key, f"{each!r} are no hours", 'e.g. "08:00-17:00", or a list of such; an empty list is closed')
            continue
        hour, minute, *end = (int(part) for part in found.groups() if part is not None)
        spans.append((60 * hour + minute, 60 * end[0] + end[1]))
    return tuple(sorted(spans))


def _places(value: Any, wrong: Report) -> tuple[str, ...]:
    known = []
    for place in [value] if isinstance(value, str) else value if isinstance(value, list) else [value]:
        try:
            _holidays_of(place, 2026)
            known.append(place)
        except (NotImplementedError, AttributeError, TypeError):
            wrong("holidays", f"no holidays are known for {place!r}", 'a country or its part, e.g. "DE" or "DE-BY"')
    return tuple(known)


def _special(table: Any, wrong: Report) -> tuple[tuple[date, tuple[Span, ...]], ...]:
    days = []
    for key, value in table.items() if isinstance(table, Mapping) else [("", None)]:
        try:
            day = date.fromisoformat(key)
        except ValueError:
            wrong("special", f"{key!r} is no date", 'e.g. special.2026-12-24 = "08:00-12:00"')
            continue
        days.append((day, _spans(value, f"special.{key}", wrong)))
    return tuple(days)
