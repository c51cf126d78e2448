"""The compiled form of a rule set: which rules can match a message, without asking each of them.

Every rule is filed under one condition that it can't match without (its anchor): a word, a pattern, a name. One pass of
Aho-Corasick and one of RE2 per field find the anchors that a message has; only the rules filed there are then asked
exactly. A rule without an anchor (only `not`, numbers, flags) is always asked.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

import re2
from ahocorasick_rs import AhoCorasick

from routing.conditions import All, Any, Leaf, Matches, Names, Node, Words, leaves
from routing.fields import Value, field_of
from routing.model import Facts, Rule
from routing.text import fold, plain, stands_whole

MAX_MEM = 256 << 20
"""Bytes that RE2 may use for one set of patterns. Its default of 8 MB fails to compile at 10,000 patterns, and thrashes
its cache before that. Taken as needed, not at once."""

Key = tuple[Literal["word", "pattern", "name"], str, str]
"""What a rule is filed under: (how it is found, field, word or pattern or name)."""


def re2_options(max_mem: int = MAX_MEM) -> re2.Options:
    """Without `log_errors = False` the C++ side writes to stderr."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = max_mem
    return options


class PatternSet:
    """All patterns on one field, matched in one pass, linear in the text whatever the patterns are."""

    def __init__(self, patterns: Iterable[str], max_mem: int = MAX_MEM) -> None:
        """Raises re2.error where the patterns together are too large."""
        self.patterns = tuple(sorted(patterns))
        self._options = re2_options(max_mem)
        self._set = re2.Set.SearchSet(self._options)
        # RE2 answers "nothing matches" where it runs out of memory in the middle of a text. The empty pattern matches
        # every text, so an answer without it is no answer.
        for pattern in ("", *self.patterns):
            self._set.Add(pattern)
        self._set.Compile()

    def match(self, text: str) -> frozenset[str]:
        """The patterns that match."""
        found = self._set.Match(text)
        if found:
            return frozenset(self.patterns[number - 1] for number in found if number)
        return frozenset(pattern for pattern in self.patterns if re2.search(pattern, text, self._options))


class WordSet:
    """All words and phrases of a rule set, found in one pass."""

    def __init__(self, words: Iterable[str]) -> None:
        """Takes them folded."""
        self.words = tuple(sorted(words))
        self._automaton = AhoCorasick(self.words)

    def find(self, text: str) -> Iterator[tuple[str, int]]:
        """Each word that stands whole in the folded text once, with where its first place ends, in that order."""
        words, seen = self.words, set[int]()
        # overlapping: else "print" would hide "printer"
        for number, start, end in self._automaton.find_matches_as_indexes(text, overlapping=True):
            if number not in seen and stands_whole(text, start, end):
                seen.add(number)
                yield words[number], end


_RANK = {"sender.address": 0, "sender.domain": 2, "user.organisation": 3, "user.groups": 4, "tags": 4, "instance": 5}
_RANK_OF_KIND = {"word": 1, "pattern": 1, "name": 6}
_HARDLY_A_CHOICE = ("direction",)


def _leaf_anchor(leaf: Leaf) -> list[Key] | None:
    if isinstance(leaf, Matches):
        return [("pattern", leaf.field, leaf.pattern)]
    if isinstance(leaf, Words) and leaf.mode != "none":
        words = leaf.words if leaf.mode == "any" else [max(leaf.words, key=len)]
        return [("word", leaf.field, word) for word in words]
    if isinstance(leaf, Names) and leaf.mode != "none" and leaf.field not in _HARDLY_A_CHOICE:
        names = leaf.names if leaf.mode != "all" else [max(leaf.names, key=len)]
        return [("name", leaf.field, name) for name in names]
    return None


def anchor(node: Node) -> list[Key] | None:
    """Keys of which a message has at least one if `node` holds for it; the most telling ones. None: there are none."""
    if isinstance(node, All):
        found = [keys for part in node.parts if (keys := anchor(part)) is not None]
        return min(found, key=_rank, default=None)
    if isinstance(node, Any):
        branches = [anchor(part) for part in node.parts]
        return None if None in branches else [key for branch in branches for key in branch or ()]
    return _leaf_anchor(node) if isinstance(node, Leaf) else None


def _answers(part: Node, keys: list[Key]) -> bool:
    """Whether having one of `keys` is the same as `part` being true."""
    exact = isinstance(part, Matches) or (isinstance(part, Words | Names) and part.mode in {"is", "any"})
    return exact and anchor(part) == keys


def _rank(keys: Sequence[Key]) -> int:
    return max(_RANK.get(field, _RANK_OF_KIND[kind]) for kind, field, _ in keys)


class Index:
    """What `decide` needs of a rule set beside the rules themselves. Immutable once built; shared by threads."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        """Raises re2.error where the patterns of one field together are too large."""
        words, patterns = set[str](), defaultdict[str, set[str]](set)
        self._filed: dict[tuple[str, str], dict[str, list[int]]] = {}
        self._always: list[int] = []
        self._rest: list[list[Node]] = []
        for number, rule in enumerate(rules):
            for leaf in leaves(rule.when):
                if isinstance(leaf, Words):
                    words |= leaf.words
                elif isinstance(leaf, Matches):
                    patterns[leaf.field].add(leaf.pattern)
            self._file(number, rule.when)
        self.words = WordSet(words)
        self.patterns: Mapping[str, PatternSet] = {field: PatternSet(these) for field, these in patterns.items()}

    def _file(self, number: int, when: All) -> None:
        keys = anchor(when)
        if keys is None:
            self._always.append(number)
        for kind, field, what in keys or ():
            self._filed.setdefault((kind, field), {}).setdefault(what, []).append(number)
        rest = [part for part in when.parts if keys is None or not _answers(part, keys)]
        self._rest.append(sorted(rest, key=lambda part: not isinstance(part, Names)))

    def candidates(self, view: "MessageView") -> list[int]:
        """Numbers of the rules that may match, in order; each rule that does match is among them."""
        numbers = set(self._always)
        for (kind, field), filed in self._filed.items():
            for what in view.found(kind, field):
                if what in filed:
                    numbers.update(filed[what])
        return sorted(numbers)

    def holds(self, number: int, view: "MessageView") -> bool:
        """Whether a candidate's rule matches: asks what being a candidate has not answered yet."""
        for part in self._rest[number]:  # noqa: SIM110  a generator doubles the cost of the hottest line
            if not part.holds(view):
                return False
        return True


class MessageView:
    """One message against one index: each comparing form and each pass over a text is made once, when first asked."""

    __slots__ = ("_facts", "_index", "_names", "_patterns", "_values", "_words")

    def __init__(self, index: Index, facts: Facts) -> None:
        """Does no work yet."""
        self._index, self._facts = index, facts
        self._values: dict[str, Value | None] = {}
        self._names: dict[str, frozenset[str] | None] = {}
        self._words: dict[str, set[str]] = {}
        self._patterns: dict[str, frozenset[str]] = {}

    def value(self, field: str) -> Value | None:
        """The fact itself; None is missing, and so is an empty text."""
        if field not in self._values:
            known = field_of(field)
            value = known.read(self._facts) if known else None
            self._values[field] = None if isinstance(value, str) and not value.strip() else value
        return self._values[field]

    def names(self, field: str) -> frozenset[str] | None:
        """Its names, folded."""
        if field not in self._names:
            value = self.value(field)
            several = (value,) if isinstance(value, str) else value
            self._names[field] = frozenset(map(fold, several)) if isinstance(several, tuple) else None
        return self._names[field]

    def words(self, field: str) -> set[str]:
        """The words that stand in the text; `text` and `subject` share one pass."""
        if field not in self._words:
            if field in {"text", "subject"}:
                self._scan_text()
            else:
                value = self.value(field)
                text = fold(value) if isinstance(value, str) else ""
                self._words[field] = {word for word, _ in self._index.words.find(text)}
        return self._words[field]

    def _scan_text(self) -> None:
        subject, body = fold(self._facts.subject or ""), fold(self._facts.body or "")
        # a line break stands in no folded phrase: none reaches from the subject into the body
        ends = dict(self._index.words.find(f"{subject}\n{body}"))
        self._words["text"] = set(ends)
        self._words["subject"] = {word for word, end in ends.items() if end <= len(subject)}

    def patterns(self, field: str) -> frozenset[str]:
        """The patterns that match."""
        if field not in self._patterns:
            value, patterns = self.value(field), self._index.patterns.get(field)
            matched = patterns.match(plain(value)) if patterns and isinstance(value, str) else frozenset()
            self._patterns[field] = matched
        return self._patterns[field]

    def found(self, kind: str, field: str) -> Iterable[str]:
        """What the message has of the keys that rules are filed under."""
        if kind == "word":
            return self.words(field)
        return self.patterns(field) if kind == "pattern" else self.names(field) or ()
