"""Where things stand in a rules file: TOML parsers give values without lines, and an administrator needs the line."""

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable

from plugins import Problem

Report = Callable[[str, str, str], None]
"""Collects one problem of a file: (key, what is wrong, what is allowed)."""

_HEADER = re.compile(r"^\s*(\[\[?)\s*([A-Za-z_]+)\s*[\].]")

_QUOTES = ('"""', "'''")


class Places:
    """Lines of a file's tables and keys. A guess by headers and keys: it may be off inside multi-line strings."""

    def __init__(self, file: str, text: str) -> None:
        """Reads the text once."""
        self.file = file
        self._lines = text.split("\n")
        self._starts: dict[str, list[int]] = defaultdict(list)
        self._ends: list[int] = []
        inside = ""
        for number, line in enumerate(self._lines, 1):
            header = None if inside or "[" not in line else _HEADER.match(line)
            if header:
                self._header(number, line, header)
            for quotes in _QUOTES:
                if quotes in line and line.count(quotes) % 2 and inside in {"", quotes}:
                    inside = "" if inside else quotes
        self._ends.append(len(self._lines) + 1)

    def _header(self, number: int, line: str, header: re.Match[str]) -> None:
        name = header[2]
        if header[1] == "[[" or not line[header.end(2) :].lstrip().startswith("."):
            self._starts[name].append(number)
            self._ends.append(number)

    def line(self, table: str, number: int = 0, key: str = "") -> int:
        """Line of the `number`-th `[[table]]`, or of `key` in it where a line begins so; 0 if not known."""
        starts = self._starts.get(table, [])
        if number >= len(starts):
            return 0
        start = starts[number]
        end = self._ends[bisect_right(self._ends, start)]
        parts = key.split(".")
        while any(parts):
            begins = re.compile(r"\s*" + r"\s*\.\s*".join(map(re.escape, parts)) + r"(?![\w-])")
            for at in range(start, end - 1):
                if begins.match(self._lines[at]):
                    return at + 1
            parts.pop()
        return start

    def named(self, table: str, name: str) -> int:
        """Line of `[table.name]`, or of `name` in `[table]`; 0 if not known."""
        header = re.compile(rf"\s*\[\s*{re.escape(table)}\s*\.\s*[\"']?{re.escape(name)}[\"']?\s*\]")
        at = next((number for number, line in enumerate(self._lines, 1) if header.match(line)), 0)
        return at or self.line(table, 0, name)

    def place(self, line: int) -> str:
        """`rules.toml:12`, as `Problem.file` shows it."""
        return f"{self.file}:{line}" if line else self.file

    def problem(self, line: int, key: str, what: str, fix: str = "") -> Problem:
        """One problem with its place."""
        return Problem(file=self.place(line), key=key, what=what, fix=fix)
