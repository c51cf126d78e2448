"""What all commands share: their options and how they end. Light: `--help` imports it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from cyclopts import Parameter
from cyclopts.validators import Number

WELL, UNWELL, USAGE, CONFIG, ABSENT, AWAY = range(6)
"""Exit codes; `trunkline --help` and docs/operation.md explain them."""


@contextmanager
def private() -> Iterator[None]:
    """Whatever is made inside is its owner's alone: messages, password hashes and keys lie in it."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


class CommandError(Exception):
    """A command ends here, with these words for the person who typed it."""

    code: ClassVar[int] = UNWELL


class Usage(CommandError):
    """What was typed asks for nothing, or for things that don't go together."""

    code: ClassVar[int] = USAGE


class Absent(CommandError):
    """There is no such query, user or envelope."""

    code: ClassVar[int] = ABSENT


class Unreachable(CommandError):
    """The hub can't be asked, or it refused."""

    code: ClassVar[int] = AWAY


Limit = Annotated[int, Parameter(help="At most so many.", validator=Number(gte=1, lte=1_000_000))]
LARGEST = (1 << 63) - 1
"""Of ids: what both databases hold."""
ID = Number(gte=0, lte=LARGEST)


def id_of(text: str) -> int | None:
    """None: it is no number, or larger than any id."""
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None
    return number if number is None or number <= LARGEST else None


@Parameter(name="*")
@dataclass(frozen=True)
class Common:
    """Options that every command takes."""

    config: Annotated[
        Path | None, Parameter(help="The configuration; else TRUNKLINE_CONFIG, else plugins.toml here.")
    ] = None
    json: Annotated[bool, Parameter(help="Print JSON for programs.", negative="")] = False


DEFAULT = Common()
