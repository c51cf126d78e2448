"""Rules that no message can match.

Without false alarms: what is reported is certain, what is not reported may still be useless.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from routing.conditions import All, Any, Counts, Flag, Hours, Leaf, Missing, Names, Node, Not, Range, Words

_FAMILY = {"subject": "text", "sender.domain": "sender.address", "automatic_kind": "automatic"} | {
    f"attachments.{name}": "attachments" for name in ("any", "kinds", "count", "bytes")
}
"""Fields that are read from one thing: where the first has a value, so has the second."""
_ATTACHED = frozenset({"attachments.any", "attachments.kinds", "attachments.count"})
"""Either all of them are missing or none is."""
_MOST = 10_000
"""Pairs of conditions that are held against each other in one rule; beyond, only equal ones are seen."""


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
    fields = {_family(part) for part in parts if isinstance(part, Leaf)}
    if len(fields) == len(parts) and not any(isinstance(part, Hours) for part in parts):
        return None  # one question of each thing: nothing to contradict
    return _refuted(parts, [], [])


def _family(leaf: Leaf) -> str:
    return _FAMILY.get(leaf.field, leaf.field)


def _refuted(parts: Sequence[Node], yes: Sequence[Leaf], no: Sequence[All]) -> str | None:
    """The same, of parts that must hold beside `yes`, where nothing of `no` may hold."""
    own, denied, either = _sorted_out(parts)
    yes, no = [*yes, *own], [*no, *denied]
    checks = (_denied(yes, no), _missing(yes), _disjoint(yes, no), _limits(yes), _words(yes), _related(yes))
    why = next((each for check in checks for each in check), None)
    if why:
        return why
    for part in either:
        reasons = [_refuted([branch], yes, no) for branch in part.parts]
        if all(reasons):
            return f"no branch of any can match ({reasons[0]})"
    return None


def _sorted_out(parts: Sequence[Node]) -> tuple[list[Leaf], list[All], list[Any]]:
    """What must hold, what must not, and that of which one must. `not` of `any` denies every branch."""
    yes, no, either = list[Leaf](), list[All](), list[Any]()
    waiting = [each for part in parts for each in conjuncts(part)]
    for part in waiting:  # which grows meanwhile
        if isinstance(part, Any):
            either.append(part)
        elif isinstance(part, Not):
            inner = conjuncts(part.part)
            if len(inner) == 1 and isinstance(inner[0], Not):
                waiting += conjuncts(inner[0].part)
            elif len(inner) == 1 and isinstance(inner[0], Any):
                waiting += [Not(branch) for branch in inner[0].parts]
            else:
                no.append(All(tuple(inner)))
        elif not isinstance(part, All):
            yes.append(part)
    return yes, no, either


def _denied(yes: Sequence[Leaf], no: Sequence[All]) -> Iterator[str]:
    asked = set[Node](yes)
    near = len(yes) * len(no) <= _MOST
    for part in no:
        if all(each in asked or (near and follows(each, yes)) for each in part.parts):
            yield "not denies what the rule itself asks for"


def _missing(yes: Sequence[Leaf]) -> Iterator[str]:
    missing = {part.field for part in yes if isinstance(part, Missing)}
    if missing & _ATTACHED:
        missing |= _ATTACHED | {"attachments.bytes"}
    for part in yes if missing else ():
        if not isinstance(part, Missing):
            for field in {part.field, _family(part)} & missing:
                yield f"{part.field} is asked for and {'' if field == part.field else field + ' '}must be missing"


def _disjoint(yes: Sequence[Leaf], no: Sequence[All]) -> Iterator[str]:
    values: dict[str, frozenset[str]] = {}
    flags: dict[str, bool] = {}
    for part in yes:
        if isinstance(part, Names) and part.mode == "is":
            values[part.field] = values.get(part.field, part.names) & part.names
            if not values[part.field]:
                yield f"{part.field} can't be two things at once"
        elif isinstance(part, Flag | Hours) and flags.setdefault(part.field, part.wanted) is not part.wanted:
            yield f"{part.field} can't be true and false"
    for denied in no:
        only = denied.parts[0] if len(denied.parts) == 1 else denied
        if isinstance(only, Names) and only.mode == "is" and only.field in values:
            values[only.field] -= only.names
            if not values[only.field]:
                yield f"not denies all that {only.field} may be"
    addresses, domains = values.get("sender.address"), values.get("sender.domain")
    if addresses and domains and domains.isdisjoint(address.rpartition("@")[2] for address in addresses):
        yield "sender.address is at none of sender.domain"


def _limits(yes: Sequence[Leaf]) -> Iterator[str]:
    """Of counts, those of more days are at least as many."""
    limits: dict[str, list[tuple[int, float, float]]] = defaultdict(list)
    for part in yes:
        if isinstance(part, Range | Counts):
            low, high = part.low if part.low is not None else 0, part.high if part.high is not None else float("inf")
            limits[part.field].append((part.days if isinstance(part, Counts) else 0, low, high))
    for field, those in limits.items():
        most = float("inf")
        for days in sorted({days for days, _, _ in those}, reverse=True):
            most = min(most, *(high for own, _, high in those if own == days))
            least = max(low for own, low, _ in those if own == days)
            if least > most:
                yield f"{field} can't be {least:g} or more and {most:g} or fewer"


def _words(yes: Sequence[Leaf]) -> Iterator[str]:
    lists = [part for part in yes if isinstance(part, Words) or (isinstance(part, Names) and part.mode != "is")]
    for none in (part for part in lists if part.mode == "none"):
        for part in lists:
            if part.mode != "none" and _within(part.field, none.field):
                barred = [_is_in(none, word) for word in listed(part)]
                if any(barred) if part.mode == "all" else all(barred):
                    yield f"{part.field}.{part.mode} asks for what {none.field}.none excludes"


def _within(inner: str, outer: str) -> bool:
    return inner == outer or (inner, outer) == ("subject", "text")


def _is_in(part: Words | Names, wanted: str) -> bool:
    """Is it one of them, or a phrase with one of them as a whole word in it?"""
    if wanted in listed(part):
        return True
    return isinstance(part, Words) and " " in wanted and any(f" {word} " in f" {wanted} " for word in part.words)


def _related(yes: Sequence[Leaf]) -> Iterator[str]:
    """Of what is read from one thing."""
    if any(isinstance(part, Hours) and part.wanted and not part.calendar.opens for part in yes):
        yield "its calendar never opens"
    some, none = _attached(yes), _bare(yes)
    if some and none:
        yield f"{some} asks for attachments and {none} for none"
    kind = next((part.field for part in yes if part.field == "automatic_kind" and not isinstance(part, Missing)), "")
    if kind and any(isinstance(part, Flag) and part.field == "automatic" and not part.wanted for part in yes):
        yield "automatic_kind is asked for and automatic must be false"


def _attached(yes: Sequence[Leaf]) -> str:
    """The field by which there must be an attachment."""
    for part in yes:
        named = isinstance(part, Names) and part.field == "attachments.kinds" and part.mode != "none"
        flagged = isinstance(part, Flag) and part.field == "attachments.any" and part.wanted
        numbered = isinstance(part, Range) and part.field in {"attachments.count", "attachments.bytes"} and part.low
        if named or flagged or numbered:
            return part.field
    return ""


def _bare(yes: Sequence[Leaf]) -> str:
    """The field by which there must be none."""
    for part in yes:
        flagged = isinstance(part, Flag) and part.field == "attachments.any" and not part.wanted
        numbered = isinstance(part, Range) and part.field == "attachments.count" and part.high == 0
        if flagged or numbered:
            return part.field
    return ""


def listed(part: Words | Names) -> frozenset[str]:
    """Its words, or its names."""
    return part.words if isinstance(part, Words) else part.names


def follows(part: Node, yes: Sequence[Leaf]) -> bool:
    """Whether a part holds wherever these do; false where that is not plain to see."""
    if isinstance(part, All):
        return all(follows(each, yes) for each in part.parts)
    if isinstance(part, Any):
        return any(follows(branch, yes) for branch in part.parts)
    if isinstance(part, Not):
        return _refuted([part.part], yes, []) is not None
    return any(one == part or _implies(one, part) for one in yes)


def _implies(one: Leaf, other: Leaf) -> bool:
    if isinstance(one, Range) and isinstance(other, Range) and one.field == other.field:
        return _inside(one, other)
    if isinstance(one, Counts) and isinstance(other, Counts) and (one.field, one.days) == (other.field, other.days):
        return _inside(one, other)
    if isinstance(one, Names) and isinstance(other, Names):
        return one.field == other.field and _lists_imply(one, other)
    if isinstance(one, Words) and isinstance(other, Words):
        same = one.field == other.field or (one.mode != "none" and _within(one.field, other.field))
        return same and _lists_imply(one, other)
    return False


def _lists_imply(one: Words | Names, other: Words | Names) -> bool:
    few, many = listed(one), listed(other)
    if "none" in {one.mode, other.mode}:
        return one.mode == other.mode and all(_is_in(one, each) for each in many)
    if other.mode == "all" and len(many) > 1:
        return (one.mode == "all" or len(few) == 1) and many <= few
    if one.mode == "all":
        return any(_is_in(other, each) for each in few)
    return all(_is_in(other, each) for each in few)


def _inside(one: Range | Counts, other: Range | Counts) -> bool:
    low = other.low is None or (one.low is not None and one.low >= other.low)
    return low and (other.high is None or (one.high is not None and one.high <= other.high))
