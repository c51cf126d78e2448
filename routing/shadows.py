"""Rules that earlier rules take everything from.

Without false alarms, as in `routing.lint`.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

from routing.conditions import All, Any, Names, Node, Not, Range, Words
from routing.fields import FIELDS
from routing.lint import conjuncts, follows, listed
from routing.rule import Rule

_Key = tuple[object, str, object]
_Filed = tuple[int, Rule, frozenset[Node]]

_COMMON = frozenset(path for path, field in FIELDS.items() if field.allowed)
_BROAD = 50
"""Earlier rules by `any`, `not` or `none` that every later one is held against."""
_SPLIT = 16
"""Values or branches of a condition that are looked at one by one."""


class Asked(Struct, frozen=True, gc=False):
    """What a rule asks, as it is held against others."""

    parts: frozenset[Node]
    keys: tuple[tuple[_Key, ...], ...]
    """Of each part."""


def asked_by(rule: Rule) -> Asked:
    """Found once for each rule, however often the file around it changes."""
    parts = frozenset(conjuncts(rule.when))
    return Asked(parts=parts, keys=tuple(_keys(part) for part in parts))


def shadows(rules: Sequence[tuple[int, Rule, Asked]]) -> Iterator[tuple[int, list[int]]]:
    """(number of a rule, those of earlier rules that take all from it), each such rule once.

    An earlier one takes all if it matches whenever this one would, and stops, or sets all that this one sets; several
    do if each value or branch of a condition has one, or if they set all together. Certain where each thing that the
    earlier rule asks follows from what the later one asks.
    """
    filed: dict[_Key, list[_Filed]] = defaultdict(list)
    broad: list[_Filed] = []
    doubtful = _doubtful(rule for _, rule, _ in rules)
    for place, (number, rule, asked) in enumerate(rules[: max(doubtful, default=-1) + 1]):
        parts = asked.parts
        above: list[int] = []
        if place in doubtful:
            found = _Search(rule, parts, filed, broad, only_stops=doubtful[place])
            above = found.one(parts) or found.together() or found.split()
        if above:
            yield number, above
        elif parts:
            # under the part that the fewest others are filed under, so that each later rule asks few
            few = _rarest(asked.keys, filed)
            for key in few:
                filed[key].append((number, rule, parts))
            if few[0][0] is None and len(broad) < _BROAD:
                broad.append((number, rule, parts))


def _doubtful(rules: Iterable[Rule]) -> dict[int, bool]:
    """Place of a rule that earlier ones may take all from → it sets something new, so that only one that stops can."""
    found: dict[int, bool] = {}
    set_before, stopped = set[str](), False
    for place, rule in enumerate(rules):
        new = not set_before.issuperset(rule.marks)
        if stopped or not (new or rule.stop):
            found[place] = new
        set_before.update(rule.marks)
        stopped = stopped or rule.stop
    return found


def _rarest(keys: Iterable[tuple[_Key, ...]], filed: Mapping[_Key, list[_Filed]]) -> tuple[_Key, ...]:
    """Loops, because it is asked of every rule at every edit."""
    few, least = tuple[_Key, ...](), -1
    for those in keys:
        most = 0
        for key in those:
            if key in filed and len(filed[key]) > most:
                most = len(filed[key])
        rank = 2 * most + (those[0][1] in _COMMON)
        if least < 0 or rank < least:
            few, least = those, rank
        if not least:
            break
    return few


class _Search:
    """For the earlier rules that take all from one."""

    def __init__(
        self,
        rule: Rule,
        parts: frozenset[Node],
        filed: Mapping[_Key, list[_Filed]],
        broad: Sequence[_Filed],
        *,
        only_stops: bool,
    ) -> None:
        """`only_stops`: it sets something that nothing sets before it."""
        self._marks, self._parts, self._filed = frozenset(rule.marks), parts, filed
        self._only_stops = only_stops or rule.stop
        self._all = self._useful(each for part in parts for each in _near(part, filed)) + self._useful(broad)

    def _useful(self, those: Iterable[_Filed]) -> list[_Filed]:
        if self._only_stops:
            return [each for each in those if each[1].stop]
        return [each for each in those if each[1].stop or not self._marks.isdisjoint(each[1].marks)]

    def one(self, parts: frozenset[Node]) -> list[int]:
        """One that does it alone, where these must hold."""
        return self._among(self._all, parts)

    def _among(self, those: Iterable[_Filed], parts: frozenset[Node]) -> list[int]:
        for number, above, asked in those:
            if (above.stop or self._marks.issubset(above.marks)) and _follow(asked, parts):
                return [number]
        return []

    def together(self) -> list[int]:
        """Several that match whenever it does, and leave nothing to set."""
        found, left = list[int](), self._marks
        for number, above, asked in () if self._only_stops else self._all:
            if not left.isdisjoint(above.marks) and _follow(asked, self._parts):
                found.append(number)
                left -= frozenset(above.marks)
                if not left:
                    return found
        return []

    def split(self) -> list[int]:
        """One for each value, or each branch, of one condition."""
        for part in self._parts:
            if not self._all and not isinstance(part, Any):
                continue  # what takes the first value would be among them
            found = set[int]()
            for case in _cases(part):
                near = self._useful(each for asked in case for each in _near(asked, self._filed))
                above = self._among([*self._all, *near], (self._parts - {part}) | case)
                if not above:
                    found.clear()
                    break
                found.update(above)
            if found:
                return list(found)
        return []


def _cases(part: Node) -> list[frozenset[Node]]:
    if isinstance(part, Any) and len(part.parts) <= _SPLIT:
        return [frozenset(conjuncts(branch)) for branch in part.parts]
    if isinstance(part, Names) and part.mode in {"is", "any"} and 1 < len(part.names) <= _SPLIT:
        return [frozenset({Names(part.field, part.mode, frozenset({name}))}) for name in sorted(part.names)]
    if isinstance(part, Words) and part.mode == "any" and 1 < len(part.words) <= _SPLIT:
        return [frozenset({Words(part.field, part.mode, frozenset({word}))}) for word in sorted(part.words)]
    return []


def _follow(asked: frozenset[Node], parts: frozenset[Node]) -> bool:
    left = asked - parts
    if not left:
        return True
    yes = [part for part in parts if not isinstance(part, All | Any | Not)]
    return all(follows(part, yes) for part in left)


def _keys(part: Node) -> tuple[_Key, ...]:
    """Where a part is filed: at each of the things of which a part that implies it must ask one."""
    if isinstance(part, Names | Words) and part.mode != "none":
        names = sorted(listed(part))
        return tuple((type(part), _field(part), name) for name in (names[:1] if part.mode == "all" else names))
    if isinstance(part, Range):
        return ((Range, part.field, None),)
    return ((None, "", part),)


def _near(part: Node, filed: Mapping[_Key, list[_Filed]]) -> Iterator[_Filed]:
    """What is filed where something stands that this part may imply."""
    if not isinstance(part, Names | Words) or part.mode == "none":
        yield from filed.get(_keys(part)[0], ())
        return
    for name in listed(part) if part.mode == "all" else (min(listed(part)),):
        for each in _phrases(name) if isinstance(part, Words) and " " in name else (name,):
            yield from filed.get((type(part), _field(part), each), ())


def _field(part: Names | Words) -> str:
    return "text" if part.field == "subject" and isinstance(part, Words) else part.field


def _phrases(words: str) -> Iterator[str]:
    """What stands in it as whole words."""
    each = words.split(" ")[:_SPLIT]
    return (" ".join(each[begin:end]) for begin in range(len(each)) for end in range(begin + 1, len(each) + 1))
