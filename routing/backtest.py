"""Stored facts through a candidate rule set, with no effect: what would change, and what can't be known. Pure.

A condition on a fact that was not captured when the message came is neither true nor false: it is unknown, and so is a
message whose outcome hangs on it. Such messages are counted apart, never as "no change".
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from routing.conditions import All, Leaf, Node, Not, leaves
from routing.conditions import Any as AnyOf
from routing.decide import decide, validate
from routing.facts import Facts
from routing.fields import field_of
from routing.model import Decision, Outcome, RuleSet
from routing.view import MessageView

COMPARED = tuple(field for field in Outcome.__struct_fields__ if field != "tags")
VALIDATION = "validation"
"""Compared beside the fields of the outcome: who may not use a service is held for a person."""
SAMPLES = 5
"""Messages that are kept to be read, for each kind of change."""
SAID = 100
"""Characters of a sample."""


class Past(Struct, frozen=True, kw_only=True):
    """One message as it was judged. `key` is the caller's, to find it again."""

    key: str
    decision: Decision
    validation: str = "eligible"
    """`Eligibility.status`; eligible also where nobody had to be."""


class Sample(Struct, frozen=True, kw_only=True):
    """A message that would be judged otherwise."""

    key: str
    says: str
    """The subject, or the body where there is none, cut."""
    was: Mapping[str, Any]
    would_be: Mapping[str, Any]
    rules_before: tuple[str, ...]
    rules_after: tuple[str, ...]


class Report(Struct, kw_only=True):
    """What a candidate would have done."""

    messages: int = 0
    changed: int = 0
    """Messages of which some field of the outcome would differ."""
    newly_unmatched: int = 0
    """A rule matched then, none would now."""
    newly_matched: int = 0
    unknown: int = 0
    """Messages of which a rule that decides can't be judged by what was captured; not among `changed`."""
    hits: dict[str, int] = {}
    """Rule of the candidate → messages that it matches; rules that never do stand there with 0."""
    hits_before: dict[str, int] = {}
    unknown_by_rule: dict[str, int] = {}
    moves: dict[str, dict[str, int]] = {}
    """Field → `from → to` → messages: priority, target, team, type, …"""
    samples: dict[str, list[Sample]] = {}
    """Field, or `newly_unmatched` → the first few."""
    seconds: float = 0.0
    """Spent in judging, by the caller's timer."""

    @property
    def never_hit(self) -> tuple[str, ...]:
        """Rules of the candidate that matched nothing, and might not have been kept from it by unknown facts."""
        return tuple(rule for rule, count in self.hits.items() if not count and rule not in self.unknown_by_rule)

    @property
    def microseconds(self) -> float:
        """Cost per message."""
        return self.seconds / self.messages * 1e6 if self.messages else 0.0


def backtest(candidate: RuleSet, past: Iterable[Past], timer: Callable[[], float],
             progress: Callable[[int], None] = lambda _: None, *, samples: int = SAMPLES) -> Report:  # fmt: skip
    """Replay `past` in its order; `timer` gives seconds, `progress` is told the count after every 1,000 messages."""
    report = Report(hits=dict.fromkeys((rule.name for rule in candidate.rules), 0))
    doubtful = _Doubtful(candidate)
    for each in past:
        begun = timer()
        after = decide(candidate, each.decision.facts)
        unknown = doubtful.rules(each.decision.facts, after)
        validation = validate(candidate, after)
        report.seconds += timer() - begun
        count(report, each, after, unknown, samples, validation=validation.status if validation else "eligible")
        if report.messages % 1000 == 0:
            progress(report.messages)
    progress(report.messages)
    return report


def count(report: Report, past: Past, after: Decision, unknown: tuple[str, ...] = (), most: int = SAMPLES, *,
          validation: str | None = None) -> None:  # fmt: skip
    """One message more. `validation`: what the candidate's catalogue says of the user; None: nobody asked it."""
    before = past.decision
    report.messages += 1
    for rule in before.rules:
        report.hits_before[rule] = report.hits_before.get(rule, 0) + 1
    for rule in after.rules:
        report.hits[rule] = report.hits.get(rule, 0) + 1
    for rule in unknown:
        report.unknown_by_rule[rule] = report.unknown_by_rule.get(rule, 0) + 1
    if unknown:
        report.unknown += 1
        return
    was, would_be = _outcome(before.outcome), _outcome(after.outcome)
    was[VALIDATION] = past.validation
    would_be[VALIDATION] = past.validation if validation is None else validation
    fields = [field for field in (*COMPARED, "tags", VALIDATION) if was[field] != would_be[field]]
    kinds = list(fields)
    if before.rules and not after.rules:
        report.newly_unmatched += 1
        kinds.append("newly_unmatched")
    report.newly_matched += bool(after.rules and not before.rules)
    report.changed += bool(fields)
    for field in fields:
        moves = report.moves.setdefault(field, {})
        move = f"{shown(was[field])} → {shown(would_be[field])}"
        moves[move] = moves.get(move, 0) + 1
    for kind in kinds:
        samples = report.samples.setdefault(kind, [])
        if len(samples) < most:
            said = before.facts.subject or before.facts.body or ""
            samples.append(Sample(key=past.key, says=said[:SAID], was={field: was[field] for field in fields},
                                  would_be={field: would_be[field] for field in fields},
                                  rules_before=before.rules, rules_after=after.rules))  # fmt: skip


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return msgspec.structs.asdict(outcome) | {"tags": tuple(sorted(outcome.tags))}


def shown(value: Any) -> str:
    """A value of the outcome, for people."""
    return ", ".join(value) or "none" if isinstance(value, tuple) else "none" if value is None else str(value)


class _Doubtful:
    """Which rules can't be judged by facts of an older version, and whether that could change the outcome."""

    def __init__(self, rules: RuleSet) -> None:
        self._rules = rules
        self._late = {number: late for number, rule in enumerate(rules.rules) if (late := _late(rule.when))}
        self._places = {rule.name: number for number, rule in enumerate(rules.rules)}
        """Of the rules; the default and the matrix come after all."""
        self._asked = frozenset[Leaf]().union(*self._late.values())

    def rules(self, facts: Facts, decision: Decision) -> tuple[str, ...]:
        """Those that ask for what was not captured, whose other conditions leave it open, and that would matter."""
        view, found = MessageView(self._rules.index.lexicon, facts), []
        lacking = {leaf for leaf in self._asked if not view.captured(leaf)}
        if not lacking:
            return ()
        last = self._rules.rules[self._places[decision.rules[-1]]] if decision.rules else None
        end = self._places[last.name] if last and last.stop else len(self._rules.rules)
        for number, late in self._late.items():
            rule = self._rules.rules[number]
            if number <= end and late & lacking and _ask(rule.when, view) is None and self._matters(number, decision):
                found.append(rule.name)
        return tuple(found)

    def _matters(self, number: int, decision: Decision) -> bool:
        """Whether the outcome would be another if the rule matched and does not, or did not and does."""
        rule = self._rules.rules[number]
        if rule.stop or rule.name in decision.rules:
            return rule.stop or rule.name in decision.set_by.values()
        outcome = msgspec.structs.asdict(decision.outcome)
        later = {field for field, by in decision.set_by.items() if self._places.get(by, number + 1) > number}
        return not {*rule.tags} <= {*outcome["tags"]} or any(
            outcome[field] != value and (field in later or field not in decision.set_by)
            for field, value in rule.sets.items()
        )


def _late(node: Node) -> frozenset[Leaf]:
    """Questions that facts may be too old for, or that were not counted."""
    known = {leaf: field_of(leaf.field) for leaf in leaves(node)}
    return frozenset(leaf for leaf, field in known.items() if field and (field.since > 1 or field.counted))


def _ask(node: Node, view: MessageView) -> bool | None:
    """Three-valued (Kleene): None is unknown."""
    if isinstance(node, Not):
        inner = _ask(node.part, view)
        return None if inner is None else not inner
    if isinstance(node, All | AnyOf):
        deciding = isinstance(node, AnyOf)
        answers = [_ask(part, view) for part in node.parts]
        if deciding in answers:
            return deciding
        return None if None in answers else not deciding
    return node.holds(view) if view.captured(node) else None
