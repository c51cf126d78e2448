"""A decision of the rules as its row holds it: the facts in one column, what came of them in another."""

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from routing import Decision, Eligibility, Facts, Outcome


class _Status(Struct, frozen=True):
    status: str = "eligible"


class _Validated(Struct, frozen=True):
    validation: _Status = _Status()


class _Stored(Struct, frozen=True):
    rules: tuple[str, ...]
    outcome: Outcome
    set_by: Mapping[str, str]
    rule_set: str
    engine: int


_facts = msgspec.json.Decoder(Facts)
_stored = msgspec.json.Decoder(_Stored)
_validated = msgspec.json.Decoder(_Validated)


def stored(decision: Decision, validation: Eligibility | None = None) -> dict[str, object]:
    """A decision without its facts, which stand in a column of their own."""
    said: dict[str, object] = {
        "rules": decision.rules,
        "outcome": decision.outcome,
        "set_by": decision.set_by,
        "rule_set": decision.rule_set,
        "engine": decision.engine,
    }
    if validation:
        age = None if validation.age is None else int(validation.age.total_seconds())
        said["validation"] = {"status": validation.status, "reason": validation.reason, "age_seconds": age}
    return said


def decision_of(facts: str, outcome: str) -> Decision:
    """From both columns."""
    said = _stored.decode(outcome)
    return Decision(
        facts=_facts.decode(facts), rules=said.rules, outcome=said.outcome, set_by=said.set_by,
        rule_set=said.rule_set, engine=said.engine,
    )  # fmt: skip


def validation_of(outcome: str) -> str:
    """`Eligibility.status` as it was then; eligible also where nobody had to be."""
    return _validated.decode(outcome).validation.status
