"""A rules file taken apart at its tables, so that of a file that was edited only what is new is parsed.

A piece that is a TOML document by itself leaves a parser where a file begins, so a file all of whose pieces are such
documents says what they say together. One that is not (a header inside a text of several lines, `rule = [...]`, a
mistake) is parsed as one, by whose words it is refused or taken.
"""

import re
from collections.abc import Collection, Mapping
from itertools import groupby
from typing import Any, NamedTuple

from plugins import BadConfig
from routing.source import parse

_BEGINS = re.compile(r"\n(?=\[(?!\[?[ \t]*(?:rule|example)[ \t]*\.))")
"""Before a line that begins with a bracket; `[rule.set]` belongs to the rule above it."""


class Piece(NamedTuple):
    """One `[[rule]]` or `[[example]]`."""

    table: Any
    """None where its text is known."""
    text: str = ""
    """"" where the file was parsed as one."""
    line: int = 0
    """Of its header; 0 if not known."""

    def read(self) -> Any:
        """The table, also where the text was known."""
        return _table(_kind(self.text), self.text) if self.table is None else self.table


class Parts(NamedTuple):
    """What stands in a file."""

    document: Mapping[str, Any]
    """All but rules and examples, unless the file was parsed as one."""
    rules: list[Piece]
    examples: list[Piece]


def taken_apart(source: str, known: Collection[str]) -> Parts | None:
    """None where it must be parsed as one. `known`: pieces that need not be parsed."""
    pieces: dict[str, list[Piece]] = {"rule": [], "example": []}
    rest: list[str] = []
    document: dict[str, Any] = {}
    line = 1
    try:
        for kind, texts in groupby(_BEGINS.split(source.replace("\r\n", "\n")), _kind):
            if not kind:
                rest.append("\n".join(texts))
                document = parse(rest[-1], "")
                line += rest[-1].count("\n") + 1
                continue
            for text in texts:
                pieces[kind].append(Piece(None if text in known else _table(kind, text), text, line))
                line += text.count("\n") + 1
        if len(rest) > 1:
            document = parse("\n".join(rest), "")
    except (BadConfig, _OddError):
        return None
    return None if document.keys() & pieces.keys() else Parts(document, pieces["rule"], pieces["example"])


class _OddError(Exception):
    """A piece holds something else than its one table."""


def _kind(text: str) -> str:
    return "rule" if text.startswith("[[rule]]") else "example" if text.startswith("[[example]]") else ""


def _table(kind: str, text: str) -> Any:
    document = parse(text, "")
    if document.keys() != {kind} or len(document[kind]) != 1:
        raise _OddError
    return document[kind][0]
