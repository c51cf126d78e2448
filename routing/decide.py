"""Facts in, decision out. Pure: the same rule set and the same facts give the same decision, anywhere and always."""

from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import Any

from routing.catalogue import Eligibility, eligibility
from routing.facts import Facts
from routing.model import ENGINE, Decision, Outcome, RuleSet
from routing.rule import Rule
from routing.view import MessageView

DEFAULT, MATRIX = "default", "matrix"
"""What stands in `Decision.set_by` where no rule set the field; no rule may be called so."""


def decide(rules: RuleSet, facts: Facts) -> Decision:
    """Rules run in the file's order; the first to set a field wins, tags add up, `stop` ends.

    What no rule sets comes from `[default]`, and the priority from the matrix unless a rule sets it. Conditions see the
    facts alone, never what another rule has set.
    """
    matched = rules.index.matching(MessageView(rules.index.lexicon, facts), rules.rules)
    outcome, set_by = settle((*matched, rules.default), rules.matrix)
    names = tuple([rule.name for rule in matched])
    return Decision(facts=facts, rules=names, outcome=outcome, set_by=set_by, rule_set=rules.hash, engine=ENGINE)


def settle(setters: Sequence[Rule], matrix: Mapping[str, Mapping[str, str]]) -> tuple[Outcome, dict[str, str]]:
    """What these rules set together, in their order, and who set what."""
    values, set_by = dict[str, Any](), dict[str, str]()
    for rule in reversed(setters):  # so that the first overwrites the others
        values.update(zip(rule.fields, rule.values, strict=True))
        set_by.update(zip(rule.marks, repeat(rule.name)))
    if "priority" not in values:
        values["priority"], set_by["priority"] = matrix[values["impact"]][values["urgency"]], MATRIX
    tags = tuple(dict.fromkeys([tag for rule in setters for tag in rule.tags]))
    return Outcome(**values, tags=tags), set_by


def validate(rules: RuleSet, decision: Decision) -> Eligibility | None:
    """May this user use the service that they ask for? None where the file does not say who may.

    A sender who is only claimed (A0) gains nothing by the organisation of an address that anybody can write.
    """
    facts = decision.facts
    service = decision.outcome.service or facts.service
    known = rules.catalogue.services.get(service or "")
    if known is None or not known.who:
        return None
    if facts.assurance == 0:
        return Eligibility(status="unknown", reason="the sender is only claimed (A0)")
    return eligibility(rules.catalogue, service, facts.user, facts.at)
