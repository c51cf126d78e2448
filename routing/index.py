"""The compiled form of a rule set: which rules can match a message, without asking each of them.

Every rule is filed under one condition that it can't match without (its anchor): a word, a literal of a pattern, a name;
of several the one that the fewest rules share. One pass over the text finds the anchors that a message has. Only rules
that are filed there are asked, and of them what being found has not answered, each condition once per message however
many rules share it. A rule without an anchor (only `not`, numbers, flags) is always asked.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Literal

from routing.conditions import INBOUND, All, Any, Matches, Names, Node, Words, leaves
from routing.fields import CHANNELS
from routing.finders import Pattern, PatternSet, Terms
from routing.literals import required
from routing.model import Rule
from routing.view import Lexicon, MessageView

Key = tuple[Literal["word", "literal", "loose", "name"], str, str]
"""What a rule is filed under: (how it is found, field, word or literal or pattern or name)."""

_DEARER = {"word": 0, "name": 0, "literal": 1, "loose": 2}
"""Of equally rare keys: a literal makes the pattern run, a loose pattern runs in every message."""


class Index:
    """What `decide` needs of a rule set beside the rules themselves. Immutable once built; shared by threads."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        """Raises re2.error where the patterns without literals of one field together are too large."""
        self._literals: dict[str, frozenset[str] | None] = {}
        words, loose = set[str](), defaultdict[str, set[str]](set)
        self._shared = Counter[Key]()
        for rule in rules:
            for leaf in leaves(rule.when):
                if isinstance(leaf, Words):
                    words |= leaf.words
                elif isinstance(leaf, Matches) and self._needs(leaf.pattern) is None:
                    loose[leaf.field].add(leaf.pattern)
                self._shared.update(self._leaf_keys(leaf) or ())
        literals = set(chain.from_iterable(found for found in self._literals.values() if found))
        terms = Terms(words | literals)
        self._by: dict[str, dict[str, dict[str | int, list[int]]]] = {kind: {} for kind in _DEARER}
        self._always: list[int] = []
        self._numbers: dict[Node, int] = {}
        self._rest = [self._file(number, rule.when, terms.numbers) for number, rule in enumerate(rules)]
        self.lexicon = Lexicon(
            terms=terms,
            patterns={text: Pattern(text) for text, found in self._literals.items() if found},
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
            found = [keys for part in node.parts if (keys := self._anchor(part)) is not None]
            return min(found, key=self._commonness, default=None)
        if isinstance(node, Any):
            branches = [self._anchor(part) for part in node.parts]
            return None if None in branches else [key for branch in branches for key in branch or ()]
        return self._leaf_keys(node)

    def _commonness(self, keys: Sequence[Key]) -> tuple[int, int]:
        return max(self._shared[key] for key in keys), max(_DEARER[key[0]] for key in keys)

    def _file(self, number: int, when: All, terms: Mapping[str, int]) -> tuple[int, ...]:
        """Files a rule; the numbers of the conditions that being filed there leaves open, cheapest first."""
        keys = self._anchor(when)
        packed = number << _BITS | _guards(when)
        if keys is None:
            self._always.append(packed)
        for kind, field, what in keys or ():
            at = terms[what] if kind in {"word", "literal"} else what
            self._by[kind].setdefault(field, {}).setdefault(at, []).append(packed)
        open_ = [part for part in when.parts if not _guards_by(part) and not (keys and self._answered(part, keys))]
        open_.sort(key=lambda part: not isinstance(part, Names))
        return tuple(self._numbers.setdefault(part, len(self._numbers)) for part in open_)

    def _answered(self, part: Node, keys: list[Key]) -> bool:
        """Whether having one of `keys` is the same as `part` being true."""
        exact = (isinstance(part, Words | Names) and part.mode in {"is", "any"}) or (isinstance(part, Matches) and keys[0][0] == "loose")
        return exact and self._anchor(part) == keys

    def candidates(self, view: MessageView) -> list[int]:
        """Numbers of the rules that may match, in order; each rule that does match is among them."""
        packed = self._always.copy()
        for kind, find in (("word", view.whole), ("literal", view.literals), ("loose", view.loose), ("name", view.names)):
            for field, filed in self._by[kind].items():
                for those in filter(None, map(filed.get, find(field) or ())):  # type: ignore[arg-type]  keys of its kind
                    packed += those
        seen = _BIT.get(view.value("channel"), 0) | _ANY_CHANNEL  # type: ignore[call-overload]  a string or None
        if view.value("direction") == "out":
            return sorted({each >> _BITS for each in packed if each & seen and each & _OURS})
        return sorted({each >> _BITS for each in packed if each & seen})

    def matching(self, view: MessageView, rules: Sequence[Rule]) -> list[Rule]:
        """The rules that match, up to and with the one that stops."""
        truth, rest, matched = view.truth, self._rest, list[Rule]()
        for number in self.candidates(view):
            for part in rest[number]:
                if not truth[part]:
                    break
            else:
                matched.append(rules[number])
                if rules[number].stop:
                    break
        return matched


# The commonest guards travel as bits of a rule's number, so that a candidate is dropped before anything is asked.
_BIT = {channel: 1 << number for number, channel in enumerate(CHANNELS)}
_ANY_CHANNEL = 1 << len(CHANNELS)
_OURS = _ANY_CHANNEL << 1
"""The rule may see what our own side wrote."""
_BITS = len(CHANNELS) + 2


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
