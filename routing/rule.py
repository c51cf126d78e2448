"""One rule of the file, as it is judged."""

import sys
from collections.abc import Mapping
from functools import lru_cache

import msgspec
from msgspec import Struct

from routing.conditions import All


class Rule(Struct, frozen=True, kw_only=True, gc=False):
    """One `[[rule]]`."""

    name: str
    when: All
    sets: Mapping[str, str | bool]
    tags: tuple[str, ...] = ()
    stop: bool = False
    note: str = ""
    group: str = ""
    """Its guard stands in `when` already."""
    fields: tuple[str, ...] = ()
    values: tuple[str | bool, ...] = ()
    """What it sets, for deciding: of thousands of rules few are asked for a message, and none of them is near the
    processor. So what rules have in common is one object, which is. Made by `__post_init__`."""
    marks: tuple[str, ...] = ()
    """Its keys in `Decision.set_by`."""

    def __post_init__(self) -> None:
        """From what the rule sets."""
        fields = tuple(self.sets)
        values = tuple(sys.intern(value) if isinstance(value, str) else value for value in self.sets.values())
        for name, made in (("fields", _same(fields)), ("values", values), ("marks", _marks(fields, self.tags))):
            msgspec.structs.force_setattr(self, name, made)


@lru_cache(maxsize=4096)
def _same(fields: tuple[str, ...]) -> tuple[str, ...]:
    return fields


@lru_cache(maxsize=4096)
def _marks(fields: tuple[str, ...], tags: tuple[str, ...]) -> tuple[str, ...]:
    return (*fields, *(f"tags.{tag}" for tag in tags))
