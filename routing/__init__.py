"""Triage by rules: pure functions from a file's bytes to a rule set, and from a message's facts to a decision."""

from routing.catalogue import Eligibility
from routing.decide import decide, validate
from routing.explain import Check, Explanation, RuleTrace, explain, in_words, validation_in_words
from routing.facts import Attachment, Facts, History, Person, Sender
from routing.load import load_rules
from routing.model import ENGINE, Decision, Mention, Outcome, RuleSet
from routing.rule import Rule
from routing.text import fold

__all__ = [
    "ENGINE",
    "Attachment",
    "Check",
    "Decision",
    "Eligibility",
    "Explanation",
    "Facts",
    "History",
    "Mention",
    "Outcome",
    "Person",
    "Rule",
    "RuleSet",
    "RuleTrace",
    "Sender",
    "decide",
    "explain",
    "fold",
    "in_words",
    "load_rules",
    "validate",
    "validation_in_words",
]
