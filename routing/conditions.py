"""The conditions of a rule as a tree, each with its one question: does it hold for this message?

Whatever is asked of a missing value is false; only `Not` and `Missing` turn that round. Decision and explanation ask
the same nodes, so an explanation cannot differ from what was decided.
"""

from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Literal, Protocol

from msgspec import Struct

from routing.calendars import Calendar
from routing.fields import Value

Mode = Literal["any", "all", "none"]


class View(Protocol):
    """One message, as conditions see it; answers are computed once."""

    def value(self, field: str) -> Value | None:
        """The fact itself; None is missing."""

    def names(self, field: str) -> AbstractSet[str] | None:
        """Its names, folded."""

    def words(self, field: str) -> AbstractSet[str]:
        """Those of the rule set's words and phrases that stand in the text."""

    def matches(self, field: str, pattern: str) -> bool:
        """Whether one of the rule set's patterns matches the text."""


def _compare(mode: Mode | Literal["is"], wanted: frozenset[str], found: AbstractSet[str]) -> bool:
    if mode == "all":
        return wanted <= found
    return wanted.isdisjoint(found) is (mode == "none")


class Words(Struct, frozen=True, gc=False):
    """Whole words and phrases in a text, folded."""

    field: str
    mode: Mode
    words: frozenset[str]

    def holds(self, view: View) -> bool:
        """False where there is no text, for `none` too."""
        return view.value(self.field) is not None and _compare(self.mode, self.words, view.words(self.field))


class Matches(Struct, frozen=True, gc=False):
    """An RE2 pattern, found anywhere in the text unless it is anchored."""

    field: str
    pattern: str

    def holds(self, view: View) -> bool:
        """Asked of the NFKC form, case as it is."""
        return view.value(self.field) is not None and view.matches(self.field, self.pattern)


class Names(Struct, frozen=True, gc=False):
    """Whole values: the one value of a field, or its several ones; folded."""

    field: str
    mode: Literal["is", "any", "all", "none"]
    names: frozenset[str]

    def holds(self, view: View) -> bool:
        """`is` asks for one of the names, as `any` does."""
        found = view.names(self.field)
        return found is not None and _compare(self.mode, self.names, found)


class Flag(Struct, frozen=True, gc=False):
    """Yes or no."""

    field: str
    wanted: bool

    def holds(self, view: View) -> bool:
        """Missing is neither."""
        return view.value(self.field) is self.wanted


class Range(Struct, frozen=True, gc=False):
    """A number within limits, both included."""

    field: str
    low: float | None = None
    high: float | None = None

    def holds(self, view: View) -> bool:
        """Missing is never zero."""
        value = view.value(self.field)
        if not isinstance(value, int | float):
            return False
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)


class Counts(Struct, frozen=True, gc=False):
    """How many in the last days, within limits, both included."""

    field: str
    days: int
    low: float | None = None
    high: float | None = None

    def holds(self, view: View) -> bool:
        """False where fewer days were counted than are asked for."""
        value = view.value(self.field)
        if not isinstance(value, tuple) or len(value) < self.days:
            return False
        count = sum(each for each in value[: self.days] if isinstance(each, int))
        return (self.low is None or count >= self.low) and (self.high is None or count <= self.high)


class Hours(Struct, frozen=True, gc=False):
    """Whether a calendar was open when the message came."""

    field: str
    calendar: Calendar
    wanted: bool

    def holds(self, view: View) -> bool:
        """False either way where the time is missing, or has no zone."""
        at = view.value(self.field)
        return isinstance(at, datetime) and at.tzinfo is not None and self.calendar.is_open(at) is self.wanted


class Missing(Struct, frozen=True, gc=False):
    """The fact is not known, not said or empty."""

    field: str

    def holds(self, view: View) -> bool:
        """The only condition that a missing value makes true by itself."""
        return view.value(self.field) is None


class Not(Struct, frozen=True, gc=False):
    """Denies the whole of what stands in it: true also where a value is missing."""

    part: "All"

    def holds(self, view: View) -> bool:
        """Two-valued: a condition on a missing value is false, so its denial is true."""
        return not self.part.holds(view)


class All(Struct, frozen=True, gc=False):
    """Every part holds: a table of conditions."""

    parts: tuple["Node", ...]

    def holds(self, view: View) -> bool:
        """Stops at the first part that does not. A loop: a generator doubles the cost of the hottest line."""
        for part in self.parts:  # noqa: SIM110
            if not part.holds(view):
                return False
        return True


class Any(Struct, frozen=True, gc=False):
    """At least one part holds."""

    parts: tuple[All, ...]

    def holds(self, view: View) -> bool:
        """Stops at the first part that does."""
        return any(part.holds(view) for part in self.parts)


INBOUND = Names("direction", "is", frozenset({"in"}))
"""Stands in every rule that does not ask for a direction: rules never act on what our side wrote unless they say so."""

Leaf = Words | Matches | Names | Flag | Range | Counts | Hours | Missing
Node = Leaf | Not | All | Any
_TREES = (Not, All, Any)


def leaves(node: Node) -> list[Leaf]:
    """All questions in a tree, in the order of the file."""
    if isinstance(node, Not):
        node = node.part
    if not isinstance(node, All | Any):
        return [node]
    found: list[Leaf] = []
    for part in node.parts:
        if isinstance(part, _TREES):
            found += leaves(part)
        else:
            found.append(part)
    return found
