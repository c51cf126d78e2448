"""What a rule can do: the fields of the outcome that it sets, and the values that they take."""

import re
from collections.abc import Mapping
from typing import Any, get_args

from routing.matrix import IMPACTS, PRIORITIES, URGENCIES
from routing.model import QueryType
from routing.places import Report

SETS: Mapping[str, tuple[str, ...]] = {
    "type": get_args(QueryType),
    "service": (),
    "impact": IMPACTS,
    "urgency": URGENCIES,
    "priority": PRIORITIES,
    "value_stream": (),
    "team": (),
    "target": (),
    "tags": (),
    "language": (),
    "hold": (),
    "acknowledgement": (),
    "article": (),
    "park": (),
    "spam": (),
}
"""Field → its closed list, if it has one."""

NAMED = {"target": "target", "team": "team", "service": "service", "value_stream": "value_stream",
         "acknowledgement": "template", "article": "article"}  # fmt: skip
"""Field → kind, of those whose values are names of things that the hub knows: `RuleSet.mentions`."""

_LONGEST = 100
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")


def read_sets(table: Any, report: Report) -> tuple[dict[str, str | bool], tuple[str, ...]]:
    """The `set` table: its single values, and its tags."""
    if not isinstance(table, dict):
        report("set", "expected a table", 'e.g. set.type = "incident"')
        return {}, ()
    values: dict[str, str | bool] = {}
    for field, value in table.items():
        if field not in SETS:
            report(f"set.{field}", "unknown field", f"allowed: {', '.join(SETS)}")
        elif field != "tags" and _sound(field, value, report):
            values[field] = value
    return values, _tags(table.get("tags", []), report)


def _sound(field: str, value: Any, report: Report) -> bool:
    allowed = SETS[field]
    if field == "spam":
        if not isinstance(value, bool):
            report("set.spam", "expected true or false", "")
        return isinstance(value, bool)
    if not _is_name(value):
        fix = f"allowed: {', '.join(allowed)}" if allowed else ""
        report(f"set.{field}", f"expected a string of 1 to {_LONGEST} printable characters", fix)
    elif allowed and value not in allowed:
        report(f"set.{field}", f"unknown value {value!r}", f"allowed: {', '.join(allowed)}")
    elif field == "language" and not _LANGUAGE.fullmatch(value):
        report("set.language", f"{value!r} is no language tag (BCP 47)", 'e.g. "en" or "pt-BR"')
    else:
        return True
    return False


def _tags(value: Any, report: Report) -> tuple[str, ...]:
    tags = [value] if isinstance(value, str) else value
    if not isinstance(tags, list) or not all(map(_is_name, tags)):
        report("set.tags", f"expected a list of strings of 1 to {_LONGEST} printable characters", "")
        return ()
    return tuple(dict.fromkeys(tags))


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _LONGEST and value.isprintable() and value == value.strip()
