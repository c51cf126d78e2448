"""One rule of the file, as it is judged."""

from collections.abc import Mapping

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
    line: int = 0
    """Of its header in the file; 0 if not known."""
    marks: Mapping[str, str] = {}
    """What it adds to `Decision.set_by`: made by `__post_init__`, so that deciding need not."""

    def __post_init__(self) -> None:
        """Field and tag → this rule's name."""
        marks = dict.fromkeys([*self.sets, *(f"tags.{tag}" for tag in self.tags)], self.name)
        msgspec.structs.force_setattr(self, "marks", marks)
