"""A table of conditions, as TOML gives it, to a tree of nodes; every problem reported with what is allowed."""

from collections.abc import Mapping
from datetime import date, datetime, time
from difflib import get_close_matches
from itertools import accumulate
from typing import Any, cast

import msgspec
import re2
from msgspec import Struct

from routing.calendars import Calendar
from routing.conditions import All, Counts, Flag, Hours, Matches, Missing, Mode, Names, Node, Not, Range, Words
from routing.conditions import Any as AnyOf
from routing.fields import HOURS, OPERATORS, SHORT, Field, field_of, paths
from routing.finders import PATTERN_MEM, re2_options
from routing.places import Report
from routing.text import fold, plain

DEPTH = 32
"""How deep `all`, `any`, `not` may stand in each other. Nobody reads more, and Python's stack is finite."""

LONGEST = 1000
"""Characters of a word, phrase or name; a pattern may have ten times as many."""

_ODD = ("", "a", "\n\x01\U0010fffd\n", bytes(range(127, 0, -1)).decode())
"""What nobody's pattern is about, and all of ASCII, each bracket closed before it opens: one that finds each of these
finds everything. The third is why `^$|a` isn't such a one, the last why `^[^@]*$` isn't."""

MOST_DAYS = 90
"""What the hub counts back."""

GROUPS = ("all", "any", "not", "missing")

_BEGINNINGS = frozenset(beginning for path in paths() for beginning in accumulate(path.split(".")[:-1], "{}.{}".format))
"""`user` of `user.organisation`, `user.fields` of `user.fields.<name>`."""


class Scope(Struct, frozen=True):
    """What else stands in the file that conditions may name, and which of it they did."""

    lists: Mapping[str, tuple[str, ...]] = {}
    calendars: Mapping[str, Calendar] = {}
    doubtful: set[str] = msgspec.field(default_factory=set)
    """`list.partners`: it is there, with mistakes of its own that are reported where it stands."""
    used: set[str] = msgspec.field(default_factory=set)
    compiled: dict[str, Any] = msgspec.field(default_factory=dict)
    """Patterns, as RE2 has them: to see that it takes them costs as much as they do later."""

    def own(self) -> "Scope":
        """For one rule or group: the same, with what it alone uses."""
        return msgspec.structs.replace(self, used=set())


def read_list(name: str, value: Any, report: Report) -> tuple[str, ...] | None:
    """One entry of `[list]`: addresses, domains, words that several rules ask for."""
    if not isinstance(value, list) or not value or not all(isinstance(each, str) and fold(each) for each in value):
        report("", "expected a list of strings, none of them empty", f'e.g. {name} = ["acme.test"]')
        return None
    return tuple(value)


def read_conditions(table: Any, path: str, report: Report, scope: Scope, depth: int = 0) -> All:
    """One table: all that stands in it must hold."""
    if not isinstance(table, dict):
        report(path, f"expected a table of conditions, not {_kind(table)}", 'e.g. { channel = ["email"] }')
        return All(())
    if not table:
        report(path, "has no condition", f"ask for one of: {', '.join(paths())}")
    if depth > DEPTH:
        report(path[:80] + "…", f"conditions stand more than {DEPTH} deep in each other", "write them flatter")
        return All(())
    parts: list[Node] = []
    for key, value in table.items():
        if key in GROUPS:
            parts.extend(_group(key, value, f"{path}.{key}", report, scope, depth))
        else:
            parts.extend(_field(key, value, path, report, scope))
    return All(tuple(parts))


def _group(key: str, value: Any, path: str, report: Report, scope: Scope, depth: int) -> list[Node]:
    if key == "not":
        return [Not(read_conditions(value, path, report, scope, depth + 1))]
    if key == "missing":
        return _missing(value, path, report)
    if not isinstance(value, list) or not value:
        report(
            path, f"expected a list of tables, not {_kind(value)}", 'e.g. [{ channel = ["chat"] }, { user.vip = true }]'
        )
        return []
    tables = [
        read_conditions(each, f"{path}[{number}]", report, scope, depth + 1) for number, each in enumerate(value, 1)
    ]
    return list(tables) if key == "all" else [AnyOf(tuple(tables))]


def _missing(value: Any, path: str, report: Report) -> list[Node]:
    names = _strings(value, path, report)
    for name in names:
        if field_of(name) is None:
            report(path, f"unknown field {name!r}", _known(name))
    return [Missing(name) for name in names if field_of(name)]


def _field(name: str, value: Any, path: str, report: Report, scope: Scope) -> list[Node]:
    """One key: a field itself, or the beginning of one (`user` of `user.organisation`)."""
    known = field_of(name)
    if known is not None:
        return _operators(known, name, value, f"{path}.{name}", report, scope)
    if name not in _BEGINNINGS:
        report(f"{path}.{name}", "unknown field", _known(name))
        return []
    if not isinstance(value, dict) or not value:
        inner = [field for field in paths() if field.startswith(name + ".")]
        report(f"{path}.{name}", f"expected one of its fields, not {_kind(value)}", f"allowed: {', '.join(inner)}")
        return []
    return [node for key, each in value.items() for node in _field(f"{name}.{key}", each, path, report, scope)]


def _operators(field: Field, name: str, value: Any, path: str, report: Report, scope: Scope) -> list[Node]:
    allowed = OPERATORS[field.type]
    if not isinstance(value, dict):
        if field.type not in SHORT:
            fix = f"allowed: {', '.join(f'{name}.{operator}' for operator in allowed)}"
            report(path, "needs an operator", fix)
            return []
        value = {SHORT[field.type]: value}
    if not value:
        report(path, "needs an operator", f"allowed: {', '.join(allowed)}")
    nodes = list[Node]()
    for operator, wanted in value.items():
        at = path if len(value) == 1 and operator == SHORT.get(field.type) else f"{path}.{operator}"
        if operator not in allowed:
            report(at, f"unknown operator for a {field.type} field", f"allowed: {', '.join(allowed)}")
        elif operator not in {"min", "max", "days"}:
            nodes.extend(_leaf(field, name, operator, wanted, at, report, scope))
    if field.type in {"number", "counts"}:
        nodes.extend(_range(field, name, value, path, report))
    return nodes


def _leaf(field: Field, name: str, operator: str, wanted: Any, path: str, report: Report, scope: Scope) -> list[Node]:
    if field.type in {"flag", "hours"}:
        if not isinstance(wanted, bool):
            report(path, f"expected true or false, not {_kind(wanted)}", "")
        return (
            [Flag(name, wanted is True)] if field.type == "flag" else _hours(name, wanted is True, path, report, scope)
        )
    if operator == "matches":
        return _pattern(name, wanted, path, report, scope)
    if operator == "in":
        wanted = _listed(wanted, path, report, scope)
        operator = "any" if field.type in {"text", "names"} else "is"
    folded = frozenset(_folded(field, wanted, path, report)) if wanted is not None else None
    if not folded:
        return []
    if field.type == "text" or (field.type == "free" and operator != "is"):
        return [Words(name, cast("Mode", operator), folded)]
    return [Names(name, cast("Mode", operator), folded)]


def _hours(name: str, wanted: bool, path: str, report: Report, scope: Scope) -> list[Node]:
    named = name.removeprefix(f"{HOURS}.")
    calendar = scope.calendars.get(named)
    if calendar is None and f"calendar.{named}" not in scope.doubtful:
        report(path, "there is no such calendar", f"there are: {', '.join(scope.calendars) or 'none'}")
    scope.used.add(f"calendar.{named}")
    return [Hours(name, calendar, wanted)] if calendar else []


def _listed(value: Any, path: str, report: Report, scope: Scope) -> list[str] | None:
    """What stands in the lists of these names together."""
    together: list[str] = []
    names = _strings(value, path, report)
    for name in names:
        if name not in scope.lists and f"list.{name}" not in scope.doubtful:
            report(path, f"there is no list {name!r}", f"there are: {', '.join(scope.lists) or 'none'}")
        scope.used.add(f"list.{name}")
        together += scope.lists.get(name, ())
    return together or None


def _folded(field: Field, wanted: Any, path: str, report: Report) -> list[str]:
    folded = []
    for word in _strings(wanted, path, report):
        if field.allowed and word not in field.allowed:
            report(path, f"unknown value {word!r}", f"allowed: {', '.join(field.allowed)}")
        elif len(word) > LONGEST:
            report(path, f"longer than {LONGEST} characters: {word[:40]!r}…", "")
        elif not (form := field.form(word)):
            report(path, f"{word!r} is empty and would match everything", "to ask for an empty field use missing")
        elif not field.fits(form):
            report(path, f"{word!r} can never match: it is no {field.wants}", f"e.g. {field.like}")
        else:
            folded.append(form)
    return folded


def _pattern(name: str, pattern: Any, path: str, report: Report, scope: Scope) -> list[Node]:
    if not isinstance(pattern, str) or not pattern or len(pattern) > 10 * LONGEST:
        report(path, f"expected a pattern of 1 to {10 * LONGEST} characters, not {_kind(pattern)}", "e.g. '(?i)^re:'")
        return []
    if plain(pattern) != pattern:
        report(path, "the text is in Unicode's form NFKC, where this can't match", f"write {plain(pattern)!r}")
        return []
    try:
        compiled = re2.compile(pattern, re2_options(PATTERN_MEM))
    except re2.error as error:
        why = error.args[0].decode("utf-8", "replace") if isinstance(error.args[0], bytes) else str(error)
        report(path, f"RE2 refuses the pattern: {why}", "look-around and back-references don't exist in RE2")
        return []
    scope.compiled[pattern] = compiled._regexp  # noqa: SLF001  as `Pattern` asks it
    if all(compiled.search(text) for text in _ODD):
        report(path, "the pattern matches every text", "look for an empty branch as in 'vpn|', or leave it out")
    return [Matches(name, pattern)]


def _range(field: Field, name: str, limits: Mapping[str, Any], path: str, report: Report) -> list[Node]:
    numbers: dict[str, float] = {}
    for side in limits.keys() & {"min", "max", "days"}:
        number, lowest, highest = limits[side], field.lowest, field.highest
        if side == "days":
            lowest, highest = 1, MOST_DAYS
        if isinstance(number, bool) or not isinstance(number, int) or not lowest <= number:
            shown = number if type(number) in {int, float} else _kind(number)
            report(f"{path}.{side}", f"expected a whole number from {lowest}, not {shown}", "")
        elif number > highest:
            report(f"{path}.{side}", f"{number} is too large", f"at most {highest}")
        else:
            numbers[side] = number
    if numbers.get("min", 0) > numbers.get("max", float("inf")):
        report(path, "can never match: min is above max", "")
    low, high, days = numbers.get("min"), numbers.get("max"), numbers.get("days")
    if field.type == "counts":
        if "days" not in limits or (low is None and high is None):
            report(path, "needs days, and min or max", f"e.g. {name} = {{ days = 7, min = 3 }}")
        return [Counts(name, int(days), low, high)] if days else []
    return [Range(name, low, high)] if low is not None or high is not None else []


def _strings(value: Any, path: str, report: Report) -> list[str]:
    several = [value] if isinstance(value, str) else value
    odd = [each for each in several if not isinstance(each, str)] if isinstance(several, list) else []
    if odd or not isinstance(several, list):
        shown = f"a list with {_kind(odd[0])} in it" if odd else _kind(value)
        report(path, f"expected a string or a list of strings, not {shown}", "")
        return []
    if not several:
        report(path, "can never match: the list is empty", "name at least one value, or leave the condition out")
    return several


def _known(name: str) -> str:
    near = get_close_matches(name, [*paths(), *GROUPS], n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"{hint}allowed: {', '.join((*paths(), *GROUPS))}"


def _kind(value: Any) -> str:
    kinds = {
        date: "a date",
        datetime: "a date",
        time: "a time of day",
        bool: "true or false",
        str: "a string",
        int: "a number",
        float: "a number",
        list: "a list",
        dict: "a table",
    }
    if isinstance(value, list | dict) and not value:
        return "an empty " + ("list" if isinstance(value, list) else "table")
    return kinds.get(type(value), type(value).__name__)
