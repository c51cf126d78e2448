"""Rules that can do nothing: that no message can match, or that an earlier rule always stops before.

Simple cases, without false alarms: what is reported is certain, what is not reported may still be useless.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from routing.conditions import All, Any, Counts, Flag, Hours, Leaf, Missing, Names, Node, Not, Range, Words
from routing.fields import FIELDS
from routing.rule import Rule


def conjuncts(node: Node) -> list[Node]:
    """What must hold all at once: nested `all` tables laid flat."""
    if not isinstance(node, All):
        return [node]
    found: list[Node] = []
    for part in node.parts:
        if isinstance(part, All):
            found += conjuncts(part)
        else:
            found.append(part)
    return found


def why_never(node: All) -> str | None:
    """Why no message can match, or None."""
    parts = conjuncts(node)
    if len({getattr(part, "field", "") for part in parts} - {""}) == len(parts):
        return None  # one question of each field: nothing to contradict
    for part in parts:
        if isinstance(part, Any):
            reasons = [why_never(branch) for branch in part.parts]
            if all(reasons):
                return f"no branch of any can match ({reasons[0]})"
    return next(
        (why for why in (*_denied(parts), *_missing(parts), *_disjoint(parts), *_limits(parts), *_words(parts))), None
    )


def _denied(parts: Sequence[Node]) -> Iterator[str]:
    asked = set(parts)
    for part in parts:
        if isinstance(part, Not) and set(conjuncts(part.part)) <= asked:
            yield "not denies what the rule itself asks for"


def _missing(parts: Sequence[Node]) -> Iterator[str]:
    missing = {part.field for part in parts if isinstance(part, Missing)}
    for part in parts:
        if isinstance(part, Leaf) and not isinstance(part, Missing) and part.field in missing:
            yield f"{part.field} is asked for and must be missing"


def _disjoint(parts: Sequence[Node]) -> Iterator[str]:
    values: dict[str, frozenset[str]] = {}
    flags: dict[str, bool] = {}
    for part in parts:
        if isinstance(part, Names) and part.mode == "is":
            values[part.field] = values.get(part.field, part.names) & part.names
            if not values[part.field]:
                yield f"{part.field} can't be two things at once"
        elif isinstance(part, Flag | Hours) and flags.setdefault(part.field, part.wanted) is not part.wanted:
            yield f"{part.field} can't be true and false"


def _limits(parts: Sequence[Node]) -> Iterator[str]:
    ranges: dict[tuple[str, int], tuple[float, float]] = {}
    for part in parts:
        if isinstance(part, Range | Counts):
            key = (part.field, part.days if isinstance(part, Counts) else 0)
            low, high = ranges.get(key, (float("-inf"), float("inf")))
            low = max(low, low if part.low is None else part.low)
            high = min(high, high if part.high is None else part.high)
            ranges[key] = low, high
            if low > high:
                yield f"{part.field} can't be above {low:g} and below {high:g}"


def _words(parts: Sequence[Node]) -> Iterator[str]:
    lists = [part for part in parts if isinstance(part, Words) or (isinstance(part, Names) and part.mode != "is")]
    for none in (part for part in lists if part.mode == "none"):
        barred = _listed(none)
        for part in lists:
            if part.field != none.field or part.mode == "none":
                continue
            if (part.mode == "all" and barred & _listed(part)) or (part.mode == "any" and _listed(part) <= barred):
                yield f"{part.field}.{part.mode} asks for what {part.field}.none excludes"


def _listed(part: Words | Names) -> frozenset[str]:
    return part.words if isinstance(part, Words) else part.names


def shadows(rules: Sequence[Rule]) -> Iterator[tuple[Rule, Rule]]:
    """(rule, earlier rule that takes all from it), each such rule once.

    The earlier one matches whenever this one would, and stops, or sets all that this one sets. Certain where each thing
    that the earlier rule asks follows from one that the later one asks.
    """
    filed: dict[object, list[tuple[Rule, frozenset[Node]]]] = defaultdict(list)
    for rule in rules:
        parts, marks = frozenset(conjuncts(rule.when)), frozenset(rule.marks)
        keys = [_keys(part) for part in parts]
        near = (each for those in keys for each in filed.get(those[0], ()))
        above = next((one for one, asked in near if _takes_all(one, rule, marks) and _follows(asked, parts)), None)
        if above:
            yield rule, above
        elif parts:
            # under the part that the fewest others are filed under, so that each later rule asks few
            few = min(keys, key=lambda those: (max(len(filed.get(key, ())) for key in those), those[0][1] in _COMMON))
            for key in few:
                filed[key].append((rule, parts))


_COMMON = tuple(path for path, field in FIELDS.items() if field.allowed)


def _takes_all(earlier: Rule, later: Rule, marks: frozenset[str]) -> bool:
    return earlier.stop or (not later.stop and marks.issubset(earlier.marks))


def _follows(asked: frozenset[Node], parts: frozenset[Node]) -> bool:
    return all(part in parts or any(_implies(other, part) for other in parts) for part in asked)


def _implies(one: Node, other: Node) -> bool:
    """Whether `other` holds wherever `one` does; false where that is not plain to see."""
    if isinstance(one, Range) and isinstance(other, Range) and one.field == other.field:
        low = other.low is None or (one.low is not None and one.low >= other.low)
        return low and (other.high is None or (one.high is not None and one.high <= other.high))
    for kind in (Names, Words):
        if isinstance(one, kind) and isinstance(other, kind) and (one.field, one.mode) == (other.field, other.mode):
            few, many = _listed(one), _listed(other)
            return few <= many if one.mode in {"is", "any"} else many <= few
    return False


def _keys(part: Node) -> list[tuple[object, str, object]]:
    """Where a part is filed; one that implies it is looked for at the first of its own keys."""
    if isinstance(part, Names | Words) and part.mode in {"is", "any"}:
        return [(type(part), part.field, value) for value in sorted(_listed(part))]
    if isinstance(part, Range):
        return [(Range, part.field, None)]
    return [(None, "", part)]
