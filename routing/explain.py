"""Why, and why not: every rule and condition against stored facts, by the same code that decided.

Costs nothing while deciding and everything here: each rule is asked, also those behind a `stop`.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Literal

from msgspec import Struct

from routing.catalogue import Eligibility
from routing.conditions import All, Any, Counts, Flag, Hours, Leaf, Matches, Missing, Names, Node, Not, Range, Words
from routing.decide import decide, validate
from routing.facts import Facts
from routing.model import Decision, RuleSet
from routing.rule import Rule
from routing.view import MessageView

SHOWN = 120
"""Characters of an input that are shown."""

_UNITS = ((86_400, "days"), (3600, "hours"), (60, "minutes"))

Result = Literal["true", "false", "missing", "unknown"]
"""`missing` counts as false, `unknown` as missing: a fact that the release of then did not capture."""


class Check(Struct, frozen=True, kw_only=True):
    """One condition: what was asked of what, and the answer. Groups (`all`, `any`, `not`) have `parts`."""

    operator: str
    outcome: Result
    field: str = ""
    wanted: tuple[str, ...] = ()
    """As it was compared: words and names folded."""
    input: str | None = None
    """The beginning of the value; None is missing."""
    found: tuple[str, ...] = ()
    """Those of `wanted` that are there."""
    parts: tuple["Check", ...] = ()


class RuleTrace(Struct, frozen=True, kw_only=True):
    """One rule against the message."""

    rule: str
    note: str
    matched: bool
    """Its conditions hold."""
    stopped_by: str
    """The earlier rule that ended the run before this one; then it did nothing, `matched` or not."""
    sets: tuple[str, ...]
    """Fields of the outcome that come from it."""
    met: int
    """Conditions that answered as the rule needs them, of `asked`."""
    asked: int
    conditions: tuple[Check, ...]


class Explanation(Struct, frozen=True, kw_only=True):
    """A decision with all its reasons."""

    decision: Decision
    validation: Eligibility | None
    """None: nobody has to be eligible for it."""
    rules: tuple[RuleTrace, ...]
    nearest: tuple[str, ...]
    """Rules that failed by the fewest conditions, nearest first: at most five."""


def explain(rules: RuleSet, facts: Facts, only: str = "") -> Explanation:
    """All rules in the file's order, or the one that `only` names."""
    decision, view = decide(rules, facts), MessageView(rules.index.lexicon, facts)
    matched, stopper, traces = set(decision.rules), "", []
    for rule in rules.rules:
        if not only or rule.name == only:
            traces.append(_trace(rule, view, decision, stopper))
        if rule.stop and not stopper and rule.name in matched:
            stopper = rule.name
    return Explanation(
        decision=decision, validation=validate(rules, decision), rules=tuple(traces), nearest=_nearest(traces)
    )


def _trace(rule: Rule, view: MessageView, decision: Decision, stopper: str) -> RuleTrace:
    checks = tuple(check(part, view) for part in rule.when.parts)
    met = sum(part.holds(view) for part in rule.when.parts)
    return RuleTrace(
        rule=rule.name,
        note=rule.note,
        matched=met == len(checks),
        stopped_by=stopper,
        sets=tuple(field for field, by in decision.set_by.items() if by == rule.name),
        met=met,
        asked=len(checks),
        conditions=checks,
    )


def _nearest(traces: Sequence[RuleTrace]) -> tuple[str, ...]:
    """By conditions that fail; of equals the one with more that hold. A rule of which nothing holds is not near.

    That a message came in, which every rule asks for by itself, brings none nearer.
    """
    missed = [trace for trace in traces if not trace.matched and trace.met > _for_nothing(trace)]
    return tuple(trace.rule for trace in sorted(missed, key=lambda trace: (trace.asked - trace.met, -trace.met))[:5])


def _for_nothing(trace: RuleTrace) -> int:
    return sum(check.field == "direction" and check.outcome == "true" for check in trace.conditions)


def check(node: Node, view: MessageView) -> Check:
    """One condition with its answer."""
    if isinstance(node, Not | All | Any):
        inner = node.part.parts if isinstance(node, Not) else node.parts
        return Check(
            operator=type(node).__name__.lower(),
            outcome="true" if node.holds(view) else "false",
            parts=tuple(check(part, view) for part in inner),
        )
    value = view.value(node.field)
    outcome: Result = "true" if node.holds(view) else "missing" if value is None else "false"
    if not view.captured(node):
        outcome = "unknown"
    operator, wanted = _asked(node)
    found = _found(node, view) if value is not None else set[str]()
    return Check(
        operator=operator,
        outcome=outcome,
        field=node.field,
        wanted=wanted,
        input=None if value is None else _shown(value),
        found=tuple(sorted(found)),
    )


def _asked(leaf: Leaf) -> tuple[str, tuple[str, ...]]:
    match leaf:
        case Words():
            return leaf.mode, tuple(sorted(leaf.words))
        case Names():
            return leaf.mode, tuple(sorted(leaf.names))
        case Matches():
            return "matches", (leaf.pattern,)
        case Flag():
            return "is", (_shown(leaf.wanted),)
        case Range():
            limits = (("min", leaf.low), ("max", leaf.high))
            return "within", tuple(f"{side} {limit:g}" for side, limit in limits if limit is not None)
        case Counts():
            limits = (("min", leaf.low), ("max", leaf.high))
            return f"in {leaf.days} days", tuple(f"{side} {limit:g}" for side, limit in limits if limit is not None)
        case Hours():
            return "is", ("open" if leaf.wanted else "closed",)
        case Missing():
            return "missing", ()


def _found(leaf: Leaf, view: MessageView) -> set[str]:
    if isinstance(leaf, Words):
        return set(leaf.words & view.words(leaf.field))
    if isinstance(leaf, Names):
        return set(leaf.names & (view.names(leaf.field) or set()))
    return set()


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        value = ", ".join(map(str, value)) or "(none)"
    text = " ".join(str(value)[: 4 * SHOWN].split())
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def in_words(explanation: Explanation) -> str:
    """The explanation for people: the outcome with who set what, then each rule with each condition."""
    decision = explanation.decision
    lines = [f"{field}: {_value(decision, field)} (set by {by})" for field, by in decision.set_by.items()]
    if found := explanation.validation:
        lines.append(f"validation: {validation_in_words(found)}")
    if explanation.nearest:
        lines.append(f"nearest misses: {', '.join(explanation.nearest)}")
    lines.extend(rule_in_words(trace) for trace in explanation.rules)
    return "\n".join(lines) + "\n"


def validation_in_words(found: Eligibility) -> str:
    """Whether the user may use the service, why, and how old what we know of them was then."""
    return f"{found.status.replace('_', ' ')}, {found.reason}{_aged(found.age)}"


def _aged(age: timedelta | None) -> str:
    """In the largest unit of which there are two."""
    if age is None:
        return ""
    seconds = max(0, int(age.total_seconds()))
    size, unit = next((each for each in _UNITS if seconds >= 2 * each[0]), (1, "seconds"))
    return f", as the directory said {seconds // size} {unit} before"


def _value(decision: Decision, field: str) -> str:
    return "added" if field.startswith("tags.") else str(getattr(decision.outcome, field))


def rule_in_words(trace: RuleTrace) -> str:
    """One rule, a line for itself and one for each condition."""
    verdict = "matched" if trace.matched else f"did not match, {trace.met} of {trace.asked} conditions hold"
    if trace.stopped_by:
        verdict += f", but {trace.stopped_by} had stopped before it" if trace.matched else ""
    sets = f": set {', '.join(trace.sets)}" if trace.sets else ""
    conditions = (line for each in trace.conditions for line in _lines(each, 1))
    return "\n".join((f"rule {trace.rule} {verdict}{sets}", *conditions))


def check_in_words(check: Check) -> str:
    """One condition in one line."""
    return " ".join(" ".join(_lines(check, 0)).split())


def _lines(check: Check, depth: int) -> list[str]:
    mark = {"true": "yes", "false": "no"}.get(check.outcome, check.outcome)
    if check.operator in {"not", "all", "any"} and not check.field:
        parts = (line for part in check.parts for line in _lines(part, depth + 1))
        return [f"{'  ' * depth}{mark:8} {check.operator} of:", *parts]
    asked = " ".join((check.field, check.operator, ", ".join(check.wanted))).rstrip()
    got = "the message has none" if check.input is None else f"the message has {check.input!r}"
    if check.outcome == "unknown":
        got = "it was not captured then"
    found = f", found {', '.join(check.found)}" if check.found else ""
    return [f"{'  ' * depth}{mark:8} {asked}: {got}{found}"]
