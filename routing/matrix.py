"""Impact and urgency to priority (ITIL 4, incident management): the table that an administrator may change."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

from routing.places import Report

Impact = Literal["person", "team", "department", "organisation"]
Urgency = Literal["low", "medium", "high", "critical"]
Priority = Literal["P1", "P2", "P3", "P4", "P5"]

IMPACTS: tuple[str, ...] = get_args(Impact)
URGENCIES: tuple[str, ...] = get_args(Urgency)
PRIORITIES: tuple[str, ...] = get_args(Priority)

Matrix = Mapping[str, Mapping[str, str]]
"""`matrix[impact][urgency]` is the priority; complete."""

DEFAULT: Matrix = {
    "person": {"low": "P5", "medium": "P4", "high": "P3", "critical": "P2"},
    "team": {"low": "P4", "medium": "P3", "high": "P3", "critical": "P2"},
    "department": {"low": "P4", "medium": "P3", "high": "P2", "critical": "P1"},
    "organisation": {"low": "P3", "medium": "P2", "high": "P1", "critical": "P1"},
}
"""What holds where the file has no `[matrix]`."""


def read_matrix(table: Any, report: Report) -> Matrix:
    """The file's `[matrix]`: every impact with every urgency, because a hole would be a query without priority."""
    if not isinstance(table, dict):
        report("", "expected a table", f"write [matrix] with a line for each of {', '.join(IMPACTS)}")
        return DEFAULT
    for impact in table.keys() - set(IMPACTS):
        report(impact, "unknown impact", f"allowed: {', '.join(IMPACTS)}")
    for impact in IMPACTS:
        row = table.get(impact)
        if not isinstance(row, dict):
            report(impact, "missing", 'write e.g. { low = "P5", medium = "P4", high = "P3", critical = "P2" }')
            continue
        for urgency in row.keys() - set(URGENCIES):
            report(f"{impact}.{urgency}", "unknown urgency", f"allowed: {', '.join(URGENCIES)}")
        for urgency in URGENCIES:
            if row.get(urgency) not in PRIORITIES:
                what = f"{row[urgency]!r} is no priority" if urgency in row else "missing"
                report(f"{impact}.{urgency}", what, f"allowed: {', '.join(PRIORITIES)}")
    return table
