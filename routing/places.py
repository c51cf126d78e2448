"""Where things stand in a rules file: TOML parsers give values without lines, and an administrator needs the line."""

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Sequence

from plugins import Problem

Report = Callable[[str, str, str], None]
"""Collects one problem of a file: (key, what is wrong, what is allowed)."""

_PART = r"(?:\"[^\"]*\"|'[^']*'|[\w-]+)"
_PATH = rf"{_PART}(?:\s*\.\s*{_PART})*"
_HEADER = re.compile(rf"\s*(\[\[?)\s*({_PATH})\s*\]")
_KEY = re.compile(rf"\s*({_PATH})\s*=")
_PARTS = re.compile(_PART)
_NUMBER = re.compile(r"\[\d+\]")

_QUOTES = ('"""', "'''")


class Places:
    """Lines of a file's tables and keys. A guess by headers and keys: it may be off inside multi-line strings."""

    def __init__(self, file: str, text: str) -> None:
        """Reads the text once."""
        self.file = file
        self._lines = text.split("\n")
        self._starts: dict[str, list[int]] = defaultdict(list)
        self._named: dict[tuple[str, str], int] = {}
        self._ends: list[int] = []
        """Where a table begins that is no part of the one before."""
        inside = ""
        for number, line in enumerate(self._lines, 1):
            header = None if inside or "[" not in line else _HEADER.match(line)
            if header:
                self._header(number, header[1], _parts(header[2]))
            for quotes in _QUOTES:
                if quotes in line and line.count(quotes) % 2 and inside in {"", quotes}:
                    inside = "" if inside else quotes
        self._ends.append(len(self._lines) + 1)

    def _header(self, number: int, brackets: str, path: Sequence[str]) -> None:
        if brackets == "[[" or len(path) == 1:
            self._starts[path[0]].append(number)
            self._ends.append(number)
        else:
            self._named.setdefault((path[0], path[1]), number)

    def line(self, table: str, number: int = 0, key: str = "") -> int:
        """Line of the `number`-th `[[table]]`, or of `key` in it where a line begins so; 0 if not known."""
        starts = self._starts.get(table, [])
        if not starts:
            return self._nearest(1, self._ends[0], [table, *_wanted(key)], 0)
        if number >= len(starts):
            return 0
        start = starts[number]
        if not key:
            return start
        return self._nearest(start + 1, self._ends[bisect_right(self._ends, start)], _wanted(key), start)

    def named(self, table: str, name: str, key: str = "") -> int:
        """Line of `[table.name]`, or of `name` in `[table]`, or of a key in it; 0 if not known."""
        start = self._named.get((table, name), 0)
        if start:
            return self._nearest(start, len(self._lines) + 1, [name, *_wanted(key)], start, table)
        starts = self._starts.get(table)
        if not starts:
            return self._nearest(1, self._ends[0], [table, name, *_wanted(key)], 0)
        end = self._ends[bisect_right(self._ends, starts[0])]
        return self._nearest(starts[0] + 1, end, [name, *_wanted(key)], starts[0])

    def _nearest(self, first: int, end: int, wanted: Sequence[str], otherwise: int, table: str = "") -> int:
        """The first line whose key has most of the path, from its beginning. Headers inside count as written out.

        `table`: ends with the first header that is no part of this table's first `wanted`.
        """
        best, at, before = 0, otherwise, list[str]()
        for number in range(first, end):
            line = self._lines[number - 1]
            if header := _HEADER.match(line) if "[" in line else None:
                before = _parts(header[2])
                if table and before[:2] != [table, wanted[0]]:
                    break
                before = before[1:]
                found = before
            elif key := _KEY.match(line):
                found = [*before, *_parts(key[1])]
            else:
                continue
            if (common := _common(found, wanted)) > best:
                best, at = common, number
        return at

    def place(self, line: int) -> str:
        """`rules.toml:12`, as `Problem.file` shows it."""
        return f"{self.file}:{line}" if line else self.file

    def problem(self, line: int, key: str, what: str, fix: str = "") -> Problem:
        """One problem with its place."""
        return Problem(file=self.place(line), key=key, what=what, fix=fix)


def _parts(path: str) -> list[str]:
    return [part.strip("\"'") for part in _PARTS.findall(path)]


def _wanted(key: str) -> list[str]:
    """`when.any[2].text` stands where `when.any` does."""
    return _NUMBER.sub("", key).split(".") if key else []


def _common(found: Sequence[str], wanted: Sequence[str]) -> int:
    same = 0
    for one, other in zip(found, wanted, strict=False):
        if one != other:
            break
        same += 1
    return same
