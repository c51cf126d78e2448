"""The compiled form of a rule set: which rules can match a message, without asking each of them.

Every rule is filed under one condition that it can't match without (its anchor): a word, a literal of a pattern, a
name; of several the one that the fewest rules share. One pass over the text finds the anchors that a message has. Only
rules that are filed there are asked, and of them what being found has not answered, each condition once per message
however many rules share it. A rule without an anchor (only `not`, numbers, flags) is always asked.
"""

from array import array
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain
from typing import Literal

from msgspec import Struct

from routing.conditions import INBOUND, All, Any, Leaf, Matches, Names, Node, Words
from routing.fields import CHANNELS
from routing.finders import Pattern, PatternSet, Terms
from routing.literals import Literals, required
from routing.rule import Rule
from routing.view import Lexicon, MessageView

Key = tuple[Literal["word", "literal", "loose", "name"], str, str]
"""What a rule is filed under: (how it is found, field, word or literal or pattern or name)."""

_DEARER = {"word": 0, "name": 0, "literal": 1, "loose": 2}
"""Of equally rare keys: a literal makes the pattern run, a loose pattern runs in every message."""


class Each(Struct, frozen=True, gc=False):
    """Keys of parts that must all hold: those of any one will do."""

    anchors: tuple["Anchor", ...]


class Either(Struct, frozen=True, gc=False):
    """Keys of branches of which one must hold: those of all are needed."""

    anchors: tuple["Anchor", ...]


Anchor = tuple[Key, ...] | Each | Either
"""Keys of which a message has at least one if a condition holds for it."""


class Filing(Struct, frozen=True, gc=False, kw_only=True):
    """What a rule brings into the index, whatever other rules there are."""

    guards: int
    keys: tuple[Key, ...]
    """Of all its conditions."""
    words: frozenset[str]
    patterns: tuple[tuple[str, str, Literals], ...]
    """(field, pattern, literals)."""
    anchors: tuple[tuple[int, Anchor], ...]
    """Of those conditions that have some, by their place among the parts."""
    open: tuple[tuple[int, Node], ...]
    """What being filed leaves to ask, cheapest first; not, though, the one of this place if the rule is filed there."""


def filing_of(when: All, questions: Iterable[Leaf]) -> Filing:
    """Found once for each rule, with all its questions, however often the file around it changes."""
    keys: dict[int, tuple[Key, ...] | None] = {}
    words, patterns = set[str](), list[tuple[str, str, Literals]]()
    for leaf in questions:
        keys[id(leaf)] = _leaf_keys(leaf)
        if isinstance(leaf, Words):
            words |= leaf.words
        elif isinstance(leaf, Matches):
            patterns.append((leaf.field, leaf.pattern, required(leaf.pattern)))
    anchors = [(place, _anchor(part, keys)) for place, part in enumerate(when.parts)]
    left = [
        (place if anchor is not None and _is_found(part, anchor) else -1, part)
        for part, (place, anchor) in zip(when.parts, anchors, strict=True)
        if not _guards_by(part)
    ]
    left.sort(key=lambda each: not isinstance(each[1], Names))
    return Filing(
        guards=_guards(when), keys=tuple(chain.from_iterable(filter(None, keys.values()))), words=frozenset(words),
        patterns=tuple(patterns), open=tuple(left),
        anchors=tuple((place, anchor) for place, anchor in anchors if anchor is not None),
    )  # fmt: skip


def _leaf_keys(leaf: Node) -> tuple[Key, ...] | None:
    if isinstance(leaf, Matches):
        needs = required(leaf.pattern)
        if needs is None:
            return (("loose", leaf.field, leaf.pattern),)
        return tuple(("literal", leaf.field, literal) for literal in needs)
    if isinstance(leaf, Words) and leaf.mode != "none":
        words = leaf.words if leaf.mode == "any" else (max(leaf.words, key=len),)
        return tuple(("word", leaf.field, word) for word in words)
    if isinstance(leaf, Names) and leaf.mode != "none" and leaf.field != "direction":
        names = leaf.names if leaf.mode != "all" else (max(leaf.names, key=len),)
        return tuple(("name", leaf.field, name) for name in names)
    return None


def _anchor(node: Node, keys: Mapping[int, tuple[Key, ...] | None]) -> Anchor | None:
    if isinstance(node, All):
        found = tuple(anchor for part in node.parts if (anchor := _anchor(part, keys)) is not None)
        return Each(found) if len(found) > 1 else found[0] if found else None
    if isinstance(node, Any):
        branches = [_anchor(part, keys) for part in node.parts]
        return None if None in branches else Either(tuple(branch for branch in branches if branch is not None))
    return keys.get(id(node))


class Index:
    """What `decide` needs of a rule set beside the rules themselves. Immutable once built; shared by threads."""

    def __init__(
        self, filings: Sequence[Filing], compiled: Mapping[str, object], before: Lexicon | None = None
    ) -> None:
        """`compiled`: patterns, as RE2 has them. `before`: what of it serves again is taken from there.

        Raises re2.error where the patterns without literals of one field together are too large.
        """
        shared = Counter(chain.from_iterable(filing.keys for filing in filings))
        self._costs = {key: 4 * count + _DEARER[key[0]] for key, count in shared.items()}
        words = set[str]().union(*(filing.words for filing in filings))
        strict, loose = dict[str, Literals](), defaultdict[str, set[str]](set)
        for filing in filings:
            for field, pattern, literals in filing.patterns:
                if literals is None:
                    loose[field].add(pattern)
                elif pattern not in strict:
                    strict[pattern] = literals
                    words |= literals
        terms = before.terms if before and before.terms.numbers.keys() == words else Terms(words)
        self._terms: dict[str, dict[str, _Filed]] = {"word": {}, "literal": {}}
        self._values: dict[str, dict[str, dict[str, list[int]]]] = {"loose": {}, "name": {}}
        self._always: list[int] = []
        self._numbers: dict[Node, int] = {}
        self._single: dict[str, dict[str, int]] = {}
        self._singles = 0
        self._rest = [self._file(number, filing, terms.numbers) for number, filing in enumerate(filings)]
        known, sets = (before.patterns, before.sets) if before else ({}, {})
        self.lexicon = Lexicon(
            terms=terms,
            patterns={text: known.get(text) or Pattern(text, compiled.get(text)) for text in strict},
            sets={
                field: sets[field] if field in sets and these == set(sets[field].patterns) else PatternSet(these)
                for field, these in loose.items()
            },
            parts=tuple(self._numbers),
        )
        del self._costs, self._numbers

    def _rarest(self, anchors: Iterable[tuple[int, Anchor]]) -> tuple[int, tuple[Key, ...]]:
        """The place whose keys the fewest rules share. Loops, because it is asked of every rule at every edit."""
        costs = self._costs
        there, few, least = -1, tuple[Key, ...](), 0
        for place, anchor in anchors:
            keys = anchor if isinstance(anchor, tuple) else self._keys(anchor)
            cost = costs[keys[0]] if len(keys) == 1 else max(map(costs.__getitem__, keys))
            if not few or cost < least:
                there, few, least = place, keys, cost
        return there, few

    def _keys(self, anchor: Anchor) -> tuple[Key, ...]:
        if isinstance(anchor, tuple):
            return anchor
        if isinstance(anchor, Each):
            return self._rarest(enumerate(anchor.anchors))[1]
        return tuple(chain.from_iterable(map(self._keys, anchor.anchors)))

    def _file(self, number: int, filing: Filing, terms: Mapping[str, int]) -> tuple[int, ...]:
        """Files a rule; the numbers of the conditions that being filed there leaves open, cheapest first."""
        packed = number << _BITS | filing.guards
        there, keys = self._rarest(filing.anchors)
        if not keys:
            self._always.append(packed)
        for kind, field, what in keys:
            if kind in self._terms:
                if field not in self._terms[kind]:
                    self._terms[kind][field] = _Filed(terms)
                self._terms[kind][field].add(terms[what], packed)
            else:
                self._values[kind].setdefault(field, {}).setdefault(what, []).append(packed)
        return tuple([self._number(part) for place, part in filing.open if place != there or place < 0])

    def _number(self, part: Node) -> int:
        """Negative where it asks for one name: what a message has of these is known at once, without asking each."""
        if isinstance(part, Names) and part.mode in {"is", "any"} and len(part.names) == 1:
            names = self._single.setdefault(part.field, {})
            (name,) = part.names
            if name not in names:
                self._singles += 1
            return names.setdefault(name, -self._singles)
        return self._numbers.setdefault(part, len(self._numbers))

    def candidates(self, view: MessageView) -> list[int]:
        """Numbers of the rules that may match, in order; each rule that does match is among them."""
        packed = self._always.copy()
        for field, filed in self._terms["word"].items():
            filed.collect(view.whole(field), packed)
        for field, filed in self._terms["literal"].items():
            filed.collect(view.literals(field), packed)
        for find, fields in ((view.loose, self._values["loose"]), (view.names, self._values["name"])):
            for field, names in fields.items():
                for those in filter(None, map(names.get, find(field) or ())):
                    packed += those
        seen = _ANY_CHANNEL
        for name in view.names("channel") or ():
            seen |= _BIT.get(name, 0)
        if view.value("direction") == "out":
            return sorted({each >> _BITS for each in packed if each & seen and each & _OURS})
        return sorted({each >> _BITS for each in packed if each & seen})

    def matching(self, view: MessageView, rules: Sequence[Rule]) -> list[Rule]:
        """The rules that match, up to and with the one that stops."""
        truth, rest, matched = view.truth, self._rest, list[Rule]()
        true = {
            names[name] for field, names in self._single.items() for name in view.names(field) or () if name in names
        }
        for number in self.candidates(view):
            for part in rest[number]:
                if not (truth[part] if part >= 0 else part in true):
                    break
            else:
                matched.append(rules[number])
                if rules[number].stop:
                    break
        return matched


class _Filed:
    """Term → the rules that are filed under it, in one array: most terms have one, a message has many."""

    __slots__ = ("_first", "_several")

    def __init__(self, terms: Collection[str]) -> None:
        self._first = array("i", [-1]) * len(terms)
        """-1: none; below: place in `_several`, from -2 downwards. 32 bits hold eight million rules."""
        self._several: list[list[int]] = []

    def add(self, term: int, packed: int) -> None:
        """One more rule."""
        first = self._first[term]
        if first == -1:
            self._first[term] = packed
        elif first >= 0:
            self._several.append([first, packed])
            self._first[term] = -1 - len(self._several)
        else:
            self._several[-2 - first].append(packed)

    def collect(self, terms: Iterable[int], into: list[int]) -> None:
        """The rules of all these terms."""
        first, several = self._first, self._several
        for term in terms:
            packed = first[term]
            if packed >= 0:
                into.append(packed)
            elif packed < -1:
                into += several[-2 - packed]


# The commonest guards travel as bits of a rule's number, so that a candidate is dropped before anything is asked.
_BIT = {channel: 1 << number for number, channel in enumerate(CHANNELS)}
_ANY_CHANNEL = 1 << len(CHANNELS)
_OURS = _ANY_CHANNEL << 1
"""The rule may see what our own side wrote."""
_BITS = len(CHANNELS) + 2


def _is_found(part: Node, anchor: Anchor) -> bool:
    """Whether having one of its own keys is the same as `part` being true."""
    if isinstance(part, Words | Names):
        return part.mode in {"is", "any"}
    return isinstance(part, Matches) and isinstance(anchor, tuple) and anchor[0][0] == "loose"


def _guards_by(part: Node) -> bool:
    """Whether the bits say all of it."""
    return part == INBOUND or (isinstance(part, Names) and part.field == "channel" and part.mode == "is")


def _guards(when: All) -> int:
    channels = _ANY_CHANNEL
    for part in when.parts:
        if isinstance(part, Names) and part.field == "channel" and part.mode == "is":
            asked = sum(_BIT[name] for name in part.names)
            channels = asked if channels == _ANY_CHANNEL else channels & asked
    return channels | (0 if INBOUND in when.parts else _OURS)
