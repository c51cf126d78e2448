"""Names in rules: of what stands outside the file, and of services."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from routing.actions import NAMED
from routing.conditions import Leaf, Names
from routing.text import fold

_ASKED = {"instance": "instance", "service": "service", "announced": "service", "major_incidents": "service"}
"""Field that a condition asks about → kind of the names that it holds."""


Name = tuple[str, str, str]
"""Key, kind and name of what is set or asked for; what is asked for is folded."""


def named(sets: Mapping[str, str | bool], questions: Iterable[Leaf]) -> Iterator[Name]:
    """Everything that a rule sets or asks for by name."""
    for field, kind in NAMED.items():
        if field in sets:
            yield f"set.{field}", kind, str(sets[field])
    yield from asked(questions)


def asked(questions: Iterable[Leaf]) -> Iterator[Name]:
    """The same of conditions alone."""
    for leaf in questions:
        if leaf.field in _ASKED and isinstance(leaf, Names):
            for name in sorted(leaf.names):
                yield f"when.{leaf.field}", _ASKED[leaf.field], name


def is_one_of(one: Name, known: frozenset[str]) -> bool:
    """A condition has names as they are compared, an action as they are written."""
    key, _, name = one
    return name in known or (key.startswith("when.") and name in {fold(each) for each in known})


def strings(table: Any) -> Iterator[str]:
    """All keys and texts in it, however deep."""
    waiting = [table]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            waiting += [*one, *one.values()]
        elif isinstance(one, list):
            waiting += one
