"""Facts in, decision out. Pure: the same rule set and the same facts give the same decision, anywhere and always."""

from collections.abc import Iterable, Mapping

from routing.index import MessageView
from routing.model import ENGINE, Decision, Facts, Outcome, Rule, RuleSet

DEFAULT, MATRIX = "default", "matrix"
"""What stands in `Decision.set_by` where no rule set the field; no rule may be called so."""


def decide(rules: RuleSet, facts: Facts) -> Decision:
    """Rules run in the file's order; the first to set a field wins, tags add up, `stop` ends.

    What no rule sets comes from `[default]`, and the priority from the matrix unless a rule sets it. Conditions see the
    facts alone, never what another rule has set.
    """
    matched = _matching(rules, facts)
    outcome, set_by = settle((*matched, rules.default), rules.matrix)
    names = tuple(rule.name for rule in matched)
    return Decision(facts=facts, rules=names, outcome=outcome, set_by=set_by, rule_set=rules.hash, engine=ENGINE)


def _matching(rules: RuleSet, facts: Facts) -> list[Rule]:
    view, matched = MessageView(rules.index, facts), []
    for number in rules.index.candidates(view):
        if rules.index.holds(number, view):
            rule = rules.rules[number]
            matched.append(rule)
            if rule.stop:
                break
    return matched


def settle(setters: Iterable[Rule], matrix: Mapping[str, Mapping[str, str]]) -> tuple[Outcome, dict[str, str]]:
    """What these rules set together, in their order, and who set what."""
    values, set_by, tags = dict[str, str](), dict[str, str](), list[str]()
    for rule in setters:
        for field, value in rule.sets.items():
            if field not in values:
                values[field], set_by[field] = value, rule.name
        for tag in rule.tags:
            if f"tags.{tag}" not in set_by:
                tags.append(tag)
                set_by[f"tags.{tag}"] = rule.name
    if "priority" not in values:
        values["priority"], set_by["priority"] = matrix[values["impact"]][values["urgency"]], MATRIX
    return Outcome(**values, tags=tuple(tags)), set_by  # type: ignore[arg-type]  # load allows the Literals' values only
