"""What a text must contain for an RE2 pattern to match it, so that the pattern need not be asked of other texts.

`re2.Filter` knows the same, but only in a pass of its own that costs as much as the one over all words: its atoms
can't be had. Here they are read off the pattern, and go into that one pass. Where the reading is not certain, the
answer is None: then the pattern is asked of every text. tests/routing/test_literals.py holds it against RE2.
"""

import re
from collections.abc import Iterable
from functools import lru_cache

SHORTEST = 3
"""Characters; shorter ones stand in every text."""
MOST = 64
"""Alternatives of one pattern."""
DEEPEST = 50
"""Groups in each other: RE2 allows a thousand, Python's stack does not."""

_REPEAT = re.compile(r"(?:[*+?]|\{(\d+)(?:,\d*)?\})\??")
_GROUP = re.compile(r"\((?:\?(?:P?<\w+>|[imsU]*(?:-[imsU]+)?:))?")
_FLAGS = re.compile(r"\(\?[imsU]*(?:-[imsU]+)?\)")
_CLASS = re.compile(r"\[\^?\]?(?:\[:\^?[a-z]+:\]|\\.|[^\]\\])*\]", re.DOTALL)
_ESCAPE = re.compile(r"\\(?:[pP](?:\{[^}]*\}|.)|x(?:\{[0-9A-Fa-f]+\}|[0-9A-Fa-f]{2})|[0-7]{1,3}|.)", re.DOTALL)

Literals = frozenset[str] | None


@lru_cache(maxsize=64)
def required(pattern: str) -> Literals:
    """Lower-case printable ASCII without spaces, one of which stands in the lower-cased form of each text that matches.

    Takes a pattern that RE2 accepts. None: there is no such set, or it is too large or too short to be worth it.
    """
    if r"\Q" in pattern or r"\C" in pattern:
        return None
    reader = _Reader(pattern)
    try:
        found = reader.either(0)
    except _UnsureError:
        return None
    return found if reader.at == len(pattern) else None


class _UnsureError(Exception):
    """The pattern is not read here as RE2 may read it."""


class _Reader:
    """A recursive descent over a pattern."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0

    def either(self, depth: int) -> Literals:
        """Branches between `|`, up to the end or the closing parenthesis: one literal of each."""
        branches = [self._branch(depth)]
        while self.pattern.startswith("|", self.at):
            self.at += 1
            branches.append(self._branch(depth))
        known = [branch for branch in branches if branch is not None]
        together = frozenset[str]().union(*known)
        return together if len(known) == len(branches) and len(together) <= MOST else None

    def _branch(self, depth: int) -> Literals:
        found: list[frozenset[str]] = []
        run = ""
        while self.at < len(self.pattern) and self.pattern[self.at] not in "|)":
            what = self._atom(depth)
            repeat = _REPEAT.match(self.pattern, self.at)
            if repeat:
                self.at = repeat.end()
                if repeat[0][0] in "*?" or int(repeat[1] or 1) == 0:
                    what = None
            if isinstance(what, str):
                run += what
            if not isinstance(what, str) or repeat:
                found.append(frozenset({run}))
                run = ""
                if isinstance(what, frozenset):
                    found.append(what)
        return _best((*found, frozenset({run})))

    def _atom(self, depth: int) -> str | Literals:
        """A literal character, what a group needs, or None for all else."""
        here = self.pattern[self.at]
        if here == "(":
            return self._group(depth)
        if here == "[" and (table := _CLASS.match(self.pattern, self.at)):
            self.at = table.end()
            return None
        if here == "\\" and (escape := _ESCAPE.match(self.pattern, self.at)):
            self.at = escape.end()
            return _literal(escape[0][1]) if len(escape[0]) == 2 and not escape[0][1].isalnum() else None
        if here in r"[\*+?":
            raise _UnsureError
        self.at += 1
        return None if here in ".^$" else _literal(here)

    def _group(self, depth: int) -> Literals:
        flags = _FLAGS.match(self.pattern, self.at)
        if flags:
            self.at = flags.end()
            return None
        opened = _GROUP.match(self.pattern, self.at)
        if depth > DEEPEST or not opened:
            raise _UnsureError
        self.at = opened.end()
        inner = self.either(depth + 1)
        if not self.pattern.startswith(")", self.at):
            raise _UnsureError
        self.at += 1
        return inner


def _literal(char: str) -> str | None:
    return char.lower() if "!" <= char <= "~" else None


def _best(found: Iterable[frozenset[str]]) -> Literals:
    """The one whose shortest literal is longest: the rarest, as a rule."""
    long = [each for each in found if min(map(len, each)) >= SHORTEST]
    return max(long, key=lambda each: (min(map(len, each)), -len(each)), default=None)
