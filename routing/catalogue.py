"""The services of the file: who may use them, when they are supported, and how soon we answer. Pure.

Validation says eligible, not eligible or unknown; unknown is for a person to settle, never a silent yes or no.
"""

import re
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

from msgspec import Struct

from routing.calendars import Calendar
from routing.facts import Person
from routing.matrix import PRIORITIES
from routing.places import Report
from routing.text import fold

_WHO = {"organisations": "organisation", "groups": "groups", "contracts": "contract", "regions": "region"}
"""Key of a service → what of the user it is held against."""
_KEYS = (*_WHO, "title", "note", "hours", "targets")
_DURATION = re.compile(r"(?:(\d{1,4})h)?(?:(\d{1,4})m)?")


class Target(Struct, frozen=True, kw_only=True):
    """How soon, in business time; None is not promised."""

    first_response: timedelta | None = None
    resolution: timedelta | None = None


class Service(Struct, frozen=True, kw_only=True):
    """One `[service.<name>]`."""

    name: str
    title: str = ""
    who: Mapping[str, frozenset[str]] = {}
    """Field of the user → values that may use it, folded; what is not named is not asked."""
    hours: str = ""
    """Name of its calendar; "" is the clock round."""
    targets: Mapping[str, Target] = {}
    """By priority, over those of the file."""


class Catalogue(Struct, frozen=True, kw_only=True):
    """All services, and the target times that hold where a service has none of its own."""

    services: Mapping[str, Service] = {}
    targets: Mapping[str, Target] = {}
    calendars: Mapping[str, Calendar] = {}

    def target(self, service: str | None, priority: str) -> tuple[Target | None, Calendar | None]:
        """What is promised for a query of this service and priority, and the calendar that it counts in."""
        known = self.services.get(service or "", Service(name=""))
        return known.targets.get(priority) or self.targets.get(priority), self.calendars.get(known.hours)


class Eligibility(Struct, frozen=True, kw_only=True):
    """Whether a user may use a service, and from what that is known."""

    status: Literal["eligible", "not_eligible", "unknown"]
    reason: str
    age: timedelta | None = None
    """Of what the directory said, at the time of the message; None: not known, or not asked."""


def eligibility(catalogue: Catalogue, service: str | None, user: Person | None, at: datetime | None) -> Eligibility:
    """May this user use this service? A value that is not known makes it unknown, unless another one denies it."""
    known = catalogue.services.get(service or "")
    if known is None:
        return Eligibility(
            status="unknown", reason=f"the catalogue has no service {service!r}" if service else "no service"
        )
    if not known.who:
        return Eligibility(status="eligible", reason="the service is open to all")
    if user is None:
        return Eligibility(status="unknown", reason="the sender is not known")
    age = at - user.as_of if at and user.as_of else None
    missing = []
    for field, allowed in known.who.items():
        value = getattr(user, field)
        has = None if value is None else {value} if isinstance(value, str) else set(value)
        if has is None:
            missing.append(field)
        elif allowed.isdisjoint(map(fold, has)):
            reason = f"{field} is {', '.join(sorted(has)) or 'none'}, not one of {', '.join(sorted(allowed))}"
            return Eligibility(status="not_eligible", reason=reason, age=age)
    if missing:
        return Eligibility(status="unknown", reason=f"the directory does not say: {', '.join(missing)}", age=age)
    return Eligibility(status="eligible", reason=f"by {', '.join(known.who)}", age=age)


def read_service(name: str, table: Any, calendars: Collection[str], report: Report) -> Service | None:
    """One `[service.<name>]`; `calendars` are the names of the file's. Problems are reported."""
    if not isinstance(table, dict):
        report("", "expected a table", 'e.g. organisations = ["acme"]')
        return None
    for key in table.keys() - set(_KEYS):
        report(key, "unknown key", f"allowed: {', '.join(_KEYS)}")
    who = {}
    for key, field in _WHO.items():
        if key in table:
            value = table[key]
            if (
                not isinstance(value, list)
                or not value
                or not all(isinstance(each, str) and fold(each) for each in value)
            ):
                report(key, "expected a list of names", f"leave {key} out if anybody may use it")
            else:
                who[field] = frozenset(map(fold, value))
    hours = table.get("hours", "")
    if hours and (not isinstance(hours, str) or hours not in calendars):
        report("hours", f"there is no calendar {hours!r}", f"there are: {', '.join(calendars) or 'none'}")
    return Service(name=name, title=str(table.get("title", "")), who=who, hours=str(hours),
                   targets=read_targets(table.get("targets", {}), "targets", report))  # fmt: skip


def read_targets(table: Any, path: str, report: Report) -> dict[str, Target]:
    """Target times by priority: `P1 = { first_response = "15m", resolution = "4h" }`."""
    prefix = f"{path}." if path else ""
    if not isinstance(table, dict):
        report(path, "expected a table", 'e.g. P1 = { first_response = "15m", resolution = "4h" }')
        return {}
    targets = {}
    for priority, times in table.items():
        if priority not in PRIORITIES or not isinstance(times, dict):
            report(f"{prefix}{priority}", "expected a priority with its times", f"allowed: {', '.join(PRIORITIES)}")
            continue
        for key in times.keys() - {"first_response", "resolution"}:
            report(f"{prefix}{priority}.{key}", "unknown key", "allowed: first_response, resolution")
        read = {key: _duration(times[key], f"{prefix}{priority}.{key}", report)
                for key in ("first_response", "resolution") if key in times}  # fmt: skip
        targets[priority] = Target(**read)
    return targets


def _duration(value: Any, key: str, report: Report) -> timedelta | None:
    found = _DURATION.fullmatch(value) if isinstance(value, str) and value else None
    time = timedelta(hours=int(found[1] or 0), minutes=int(found[2] or 0)) if found else timedelta()
    if not time:
        report(key, f"{value!r} is no time", 'hours and minutes of business time, e.g. "30m", "4h", "1h30m"')
    return time or None
