"""One `[[rule]]` table as a rule, with all that is found out about it by itself.

What a reading depends on beside the table's own text is `used`; as long as that is what it was, the table need not be
read again.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from routing.actions import SETS, read_sets
from routing.conditions import INBOUND, All, Leaf, leaves
from routing.decide import DEFAULT, MATRIX
from routing.fields import field_of
from routing.index import Filing, filing_of
from routing.names import Name, named
from routing.parse import Scope, read_conditions
from routing.places import Report
from routing.rule import Rule
from routing.shadows import Asked, asked_by

_KEYS = ("name", "note", "group", "when", "set", "stop")
_KNOWN = frozenset(_KEYS)


class Reading(Struct, frozen=True, gc=False, kw_only=True):
    """What one table says."""

    rule: Rule
    used: frozenset[str] = frozenset()
    """`list.partners`, `group.office`: what else of the file it names."""
    names: tuple[Name, ...]
    asked: Asked
    filing: Filing
    counted: tuple[Leaf, ...]
    """Conditions on what is counted only where a rule asks for it."""
    asks: bool = False
    """Its conditions fit, and nothing that they name is in doubt."""


class Guards(Struct, frozen=True):
    """The file's groups."""

    known: Mapping[str, Any]
    """All, those with mistakes too."""
    read: Mapping[str, All]


def reading_of(rule: Rule, used: frozenset[str] = frozenset(), *, asks: bool = False) -> Reading:
    """What follows from a rule."""
    questions = leaves(rule.when)
    return Reading(
        rule=rule, used=used, names=tuple(named(rule.sets, questions)), asked=asked_by(rule),
        filing=filing_of(rule.when, questions),
        counted=tuple([leaf for leaf in questions if (known := field_of(leaf.field)) and known.counted]), asks=asks,
    )  # fmt: skip


def read_rule(table: Any, report: Report, scope: Scope, guards: Guards) -> Reading:
    """`scope` is the rule's own: `used` in it are the names that it uses."""
    if not isinstance(table, dict):
        report("", "expected a table", "write [[rule]]")
        return reading_of(Rule(name="", when=All(()), sets={}))
    problems = list[str]()

    def counted(key: str, what: str, fix: str) -> None:
        problems.append(key)
        report(key, what, fix)

    rule = _act(table, report)
    when = _when(table, counted, scope, guards)
    asks = not problems and scope.used.isdisjoint(scope.doubtful)
    return reading_of(Rule(when=when, group=str(table.get("group", "")), **rule), frozenset(scope.used), asks=asks)


def _act(table: dict[str, Any], report: Report) -> dict[str, Any]:
    """All but its conditions."""
    name = _name(table.get("name"), report)
    for key in table.keys() - _KNOWN:
        report(key, "unknown key", f"allowed: {', '.join(_KEYS)}")
    sets, tags = read_sets(table.get("set", {}), report)
    stop, note = table.get("stop", False), table.get("note", "")
    if not isinstance(stop, bool):
        report("stop", "expected true or false", "")
    if not isinstance(note, str):
        report("note", "expected a string", "")
    if stop is False and table.get("set", {}) in ({}, {"tags": []}):
        report("set", "the rule does nothing", f"set one of: {', '.join(SETS)}; or stop = true")
    return {"name": name, "sets": sets, "tags": tags, "stop": stop is True, "note": str(note)}


def _name(name: Any, report: Report) -> str:
    if not isinstance(name, str) or not 0 < len(name) <= 100 or not name.isprintable() or not name.strip():
        report("name", "every rule needs a name of 1 to 100 printable characters", 'e.g. name = "vpn-outage"')
        return ""
    if name in {DEFAULT, MATRIX}:
        report("name", f"{name!r} is taken: decisions name it where no rule set a field", "")
    return name


def _when(table: dict[str, Any], report: Report, scope: Scope, guards: Guards) -> All:
    """Our own outbound messages are seen only by rules that ask for the direction."""
    guard = _guard(table, report, scope, guards)
    if "when" not in table and guard is None:
        report("when", "missing", "say when the rule matches; what holds for every message belongs in [default]")
        return All(())
    own = read_conditions(table["when"], "when", report, scope) if "when" in table else All(())
    when = All((*(guard.parts if guard else ()), *own.parts))
    if any(leaf.field == "direction" for leaf in leaves(when)):
        return when
    return All((*when.parts, INBOUND))


def _guard(table: dict[str, Any], report: Report, scope: Scope, guards: Guards) -> All | None:
    if "group" not in table:
        return None
    name = table["group"]
    if not isinstance(name, str) or name not in guards.known:
        known = ", ".join(guards.known) or "none"
        report("group", f"there is no group {name!r}", f"there are: {known}; write [group.{name}], or leave it out")
        return All(())
    scope.used.add(f"group.{name}")
    return guards.read.get(name, All(()))
