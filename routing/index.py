"""The compiled form of a rule set: which rules can match a message, without asking each of them.

Every rule is filed under one condition that it can't match without (its anchor): a word, a literal of a pattern, a
name; of several the one that the fewest rules share. One pass over the text finds the anchors that a message has. Only
rules that are filed there are asked, and of them what being found has not answered, each condition once per message
however many rules share it. A rule without an anchor (only `not`, numbers, flags) is always asked.
"""

from array import array
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain
from typing import Literal

from routing.conditions import INBOUND, All, Any, Matches, Names, Node, Words, leaves
from routing.fields import CHANNELS
from routing.finders import Pattern, PatternSet, Terms
from routing.literals import required
from routing.rule import Rule
from routing.view import Lexicon, MessageView

Key = tuple[Literal["word", "literal", "loose", "name"], str, str]
"""What a rule is filed under: (how it is found, field, word or literal or pattern or name)."""

_DEARER = {"word": 0, "name": 0, "literal": 1, "loose": 2}
"""Of equally rare keys: a literal makes the pattern run, a loose pattern runs in every message."""


class Index:
    """What `decide` needs of a rule set beside the rules themselves. Immutable once built; shared by threads."""

    def __init__(self, rules: Sequence[Rule], compiled: Mapping[str, object]) -> None:
        """`compiled`: patterns, as RE2 has them.

        Raises re2.error where the patterns without literals of one field together are too large.
        """
        self._literals: dict[str, frozenset[str] | None] = {}
        words, loose = set[str](), defaultdict[str, set[str]](set)
        self._shared = defaultdict[Key, int](int)
        for rule in rules:
            for leaf in leaves(rule.when):
                if isinstance(leaf, Words):
                    words |= leaf.words
                elif isinstance(leaf, Matches) and self._needs(leaf.pattern) is None:
                    loose[leaf.field].add(leaf.pattern)
                for key in self._leaf_keys(leaf) or ():
                    self._shared[key] += 1
        literals = set(chain.from_iterable(found for found in self._literals.values() if found))
        terms = Terms(words | literals)
        self._terms: dict[str, dict[str, _Filed]] = {"word": {}, "literal": {}}
        self._values: dict[str, dict[str, dict[str, list[int]]]] = {"loose": {}, "name": {}}
        self._always: list[int] = []
        self._numbers: dict[Node, int] = {}
        self._single: dict[str, dict[str, int]] = {}
        self._singles = 0
        self._rest = [self._file(number, rule.when, terms.numbers) for number, rule in enumerate(rules)]
        self.lexicon = Lexicon(
            terms=terms,
            patterns={text: Pattern(text, compiled.get(text)) for text, found in self._literals.items() if found},
            sets={field: PatternSet(these) for field, these in loose.items()},
            parts=tuple(self._numbers),
        )
        del self._literals, self._shared, self._numbers

    def _needs(self, pattern: str) -> frozenset[str] | None:
        if pattern not in self._literals:
            self._literals[pattern] = required(pattern)
        return self._literals[pattern]

    def _leaf_keys(self, leaf: Node) -> list[Key] | None:
        if isinstance(leaf, Matches):
            needs = self._needs(leaf.pattern)
            if needs is None:
                return [("loose", leaf.field, leaf.pattern)]
            return [("literal", leaf.field, literal) for literal in needs]
        if isinstance(leaf, Words) and leaf.mode != "none":
            words = leaf.words if leaf.mode == "any" else [max(leaf.words, key=len)]
            return [("word", leaf.field, word) for word in words]
        if isinstance(leaf, Names) and leaf.mode != "none" and leaf.field != "direction":
            names = leaf.names if leaf.mode != "all" else [max(leaf.names, key=len)]
            return [("name", leaf.field, name) for name in names]
        return None

    def _anchor(self, node: Node) -> list[Key] | None:
        """Keys of which a message has at least one if `node` holds for it; the rarest ones. None: there are none."""
        if isinstance(node, All):
            return self._rarest([self._anchor(part) for part in node.parts])
        if isinstance(node, Any):
            branches = [self._anchor(part) for part in node.parts]
            return None if None in branches else [key for branch in branches for key in branch or ()]
        return self._leaf_keys(node)

    def _rarest(self, anchors: Sequence[list[Key] | None]) -> list[Key] | None:
        return min((keys for keys in anchors if keys is not None), key=self._commonness, default=None)

    def _commonness(self, keys: Sequence[Key]) -> tuple[int, int]:
        return max(self._shared[key] for key in keys), max(_DEARER[key[0]] for key in keys)

    def _file(self, number: int, when: All, terms: Mapping[str, int]) -> tuple[int, ...]:
        """Files a rule; the numbers of the conditions that being filed there leaves open, cheapest first."""
        anchors = [self._anchor(part) for part in when.parts]
        keys = self._rarest(anchors)
        packed = number << _BITS | _guards(when)
        if keys is None:
            self._always.append(packed)
        for kind, field, what in keys or ():
            if kind in self._terms:
                if field not in self._terms[kind]:
                    self._terms[kind][field] = _Filed(terms)
                self._terms[kind][field].add(terms[what], packed)
            else:
                self._values[kind].setdefault(field, {}).setdefault(what, []).append(packed)
        open_ = [
            part
            for part, own in zip(when.parts, anchors, strict=True)
            if not _guards_by(part) and not (keys and own == keys and _is_found(part, keys))
        ]
        open_.sort(key=lambda part: not isinstance(part, Names))
        return tuple(self._number(part) for part in open_)

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


def _is_found(part: Node, keys: list[Key]) -> bool:
    """Whether having one of `keys`, its own, is the same as `part` being true."""
    if isinstance(part, Words | Names):
        return part.mode in {"is", "any"}
    return isinstance(part, Matches) and keys[0][0] == "loose"


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
