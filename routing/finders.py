"""Passes over a text: all words, phrases and literals at once by Aho-Corasick, patterns by RE2. Linear, all of them."""

from collections.abc import Iterable

import re2
from ahocorasick_rs import AhoCorasick

from routing.text import JOINS

MAX_MEM = 256 << 20
"""Bytes that RE2 may use for one set of patterns. Its default of 8 MB fails to compile at 10,000 patterns, and thrashes
its cache before that. Taken as needed, not at once."""

PATTERN_MEM = 1 << 20
"""Bytes of one compiled pattern; a larger one (nested counts) would slow down every message."""


def re2_options(max_mem: int = MAX_MEM) -> re2.Options:
    """Without `log_errors = False` the C++ side writes to stderr.

    Nobody asks what a group holds, and a match with groups costs RE2 up to 60 times as much.
    """
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    options.max_mem = max_mem
    return options


_OPTIONS = re2_options(PATTERN_MEM)
_NO_SPAN = (-1, -1)


class Pattern:
    """One pattern, as the loader has compiled it, else when it is first asked."""

    __slots__ = ("_compiled", "text")

    def __init__(self, text: str, compiled: "re2._re2.RE2 | None" = None) -> None:
        """Takes what RE2 has accepted."""
        self.text = text
        self._compiled = compiled

    def found_in(self, data: bytes) -> bool:
        """Takes UTF-8. Straight at RE2: its Python face decodes every offset of the match, which nobody asks for."""
        if self._compiled is None:
            self._compiled = re2._re2.RE2(self.text.encode(), _OPTIONS)  # noqa: SLF001  see above
        spans = self._compiled.Match(re2._re2.RE2.Anchor.UNANCHORED, data, 0, len(data))  # noqa: SLF001
        return bool(spans[0] != _NO_SPAN)


class PatternSet:
    """Patterns without a literal, matched in one pass, linear in the text whatever the patterns are."""

    def __init__(self, patterns: Iterable[str], max_mem: int = MAX_MEM) -> None:
        """Raises re2.error where the patterns together are too large."""
        self.patterns = tuple(sorted(patterns))
        self._set = re2.Set.SearchSet(re2_options(max_mem))
        # RE2 answers "nothing matches" where it runs out of memory in the middle of a text. The empty pattern matches
        # every text, so an answer without it is no answer.
        for pattern in ("", *self.patterns):
            self._set.Add(pattern)
        self._set.Compile()

    def match(self, data: bytes) -> frozenset[str]:
        """The patterns that match."""
        found = self._set.Match(data)
        if found:
            return frozenset(self.patterns[number - 1] for number in found if number)
        return frozenset(pattern for pattern in self.patterns if Pattern(pattern).found_in(data))


class Terms:
    """All words, phrases and literals of a rule set, found in one pass."""

    def __init__(self, terms: Iterable[str]) -> None:
        """Takes them folded."""
        self.terms = tuple(sorted(terms))
        self.numbers = {term: number for number, term in enumerate(self.terms)}
        # bytes, not lists: a fraction of the memory, so that it stays near the processor
        self._begins = bytes(JOINS[term[0]] for term in self.terms)
        self._ends = bytes(JOINS[term[-1]] for term in self.terms)
        self._automaton = AhoCorasick(self.terms, store_patterns=False)

    def find(self, text: str) -> tuple[dict[int, int], list[tuple[int, int, int]]]:
        """In folded text: each term that stands whole, with where its first whole place ends; all (term, begin, end).

        Places are counted from 1, in the order of their ends.
        """
        joins, begins, ends = JOINS, self._begins, self._ends
        text = f" {text} "  # so that every place has a neighbour
        # overlapping: else "print" would hide "printer"
        places = self._automaton.find_matches_as_indexes(text, overlapping=True)
        whole = {
            number: end
            for number, start, end in reversed(places)  # so that the first place of a term is the last one that is set
            if not ((begins[number] and joins[text[start - 1]]) or (ends[number] and joins[text[end]]))
        }
        return whole, places
