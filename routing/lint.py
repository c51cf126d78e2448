"""Rules that can do nothing: that no message can match, or that an earlier rule always stops before.

Simple cases, without false alarms: what is reported is certain, what is not reported may still be useless.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from routing.conditions import All, Any, Counts, Flag, Hours, Leaf, Missing, Names, Node, Not, Range, Words
from routing.fields import FIELDS
from routing.model import Rule


def conjuncts(node: Node) -> list[Node]:
    """What must hold all at once: nested `all` tables laid flat."""
    if isinstance(node, All):
        return [inner for part in node.parts for inner in conjuncts(part)]
    return [node]


def why_never(node: All) -> str | None:
    """Why no message can match, or None."""
    parts = conjuncts(node)
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
    """(rule, earlier rule that stops whenever this one would match), each such rule once.

    Certain where all that the earlier rule asks is asked by the later one too, in the same words.
    """
    stopping: dict[Node, list[tuple[Rule, frozenset[Node]]]] = defaultdict(list)
    for rule in rules:
        parts = frozenset(conjuncts(rule.when))
        for part in parts:
            above = next((earlier for earlier, asked in stopping.get(part, ()) if asked <= parts), None)
            if above:
                yield rule, above
                break
        if rule.stop and parts:
            # filed under the part that the fewest others are filed under, so that each later rule asks few
            stopping[min(parts, key=lambda part: (len(stopping.get(part, ())), _common(part)))].append((rule, parts))


def _common(part: Node) -> bool:
    return isinstance(part, Leaf) and bool(field := FIELDS.get(part.field)) and bool(field and field.allowed)


def copies(rules: Sequence[Rule]) -> Iterator[tuple[Rule, Rule]]:
    """(rule, earlier rule that asks and does the same), whatever their names and notes."""
    seen: dict[object, Rule] = {}
    for rule in rules:
        key = (frozenset(conjuncts(rule.when)), tuple(sorted(rule.sets.items())), rule.tags, rule.stop)
        earlier = seen.setdefault(key, rule)
        if earlier is not rule:
            yield rule, earlier
