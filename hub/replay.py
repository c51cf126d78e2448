"""History as routing takes it: stored decisions for a backtest, and agents' corrections for suggestions. Reads only."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection

from context_store.decided import Correction, Decided, corrections, decided
from context_store.opinions import Offer
from hub.decided import decision_of, validation_of
from routing import Decision, Outcome
from routing.actions import read_sets
from routing.backtest import Past
from routing.suggest import FIELDS, Judged

LEARNT = 4000
"""Characters of a body that suggestions learn from: what a message is about stands at its beginning."""


class _Shadow(Struct, frozen=True):
    rules: tuple[str, ...]
    outcome: Outcome


_shadow = msgspec.json.Decoder(_Shadow)
_offers = msgspec.json.Decoder(dict[str, Offer])


def past(conn: Connection, after: int) -> Iterator[Past]:
    """Messages as they were judged since id `after`, oldest first; the key is the query's reference."""
    for row in decided(conn, after):
        decision = decision_of(row.facts, row.outcome)
        yield Past(key=row.reference, decision=decision, validation=validation_of(row.outcome))


def judged(conn: Connection, after: int) -> Iterator[Judged]:
    """The same with what agents made of it. A joined conversation stands for its matter's triage, not for its own."""
    for _, one in _weighed(conn, after, ""):
        yield one


def shadowed(conn: Connection, after: int, model: str) -> Iterator[tuple[Past, Decision]]:
    """What was decided, and what that shadow rule set would have decided, oldest first."""
    for row in decided(conn, after, beside="shadow"):
        if row.model == model:
            said, was = _shadow.decode(row.opinion), decision_of(row.facts, row.outcome)
            other = msgspec.structs.replace(was, rules=said.rules, outcome=said.outcome, set_by={}, rule_set=model)
            yield Past(key=row.reference, decision=was), other


def offered(conn: Connection, after: int) -> Iterator[tuple[Mapping[str, Offer], Judged]]:
    """What the classifier suggested, and what became of it."""
    for row, one in _weighed(conn, after, "classifier"):
        yield _offers.decode(row.opinion), one


def _weighed(conn: Connection, after: int, beside: str) -> Iterator[tuple[Decided, Judged]]:
    said = defaultdict[int, list[Correction]](list)
    for each in corrections(conn, after):
        said[each.query_id].append(each)
    for row in decided(conn, after, beside=beside):
        own = [each for each in said.get(row.query_id, ()) if each.id > row.id]
        if own or row.root_id == row.query_id:
            yield row, _judged(decision_of(row.facts, row.outcome), own)


def _judged(decision: Decision, said: list[Correction]) -> Judged:
    """The last word on each field; one that came back to what the rules said is none."""
    was = {field: value for field in FIELDS if (value := getattr(decision.outcome, field))}
    now = dict(was)
    for each in said:
        now.update({field: each.said[field] for field in FIELDS if field in each.said})
    corrected = frozenset(
        field for field, value in now.items() if value != was.get(field) and value and _can_be_set(field, value)
    )
    facts = decision.facts
    if facts.body:
        facts = msgspec.structs.replace(facts, body=facts.body[:LEARNT])
    return Judged(facts=facts, outcome={field: str(value) for field, value in now.items() if value},
                  corrected=corrected)  # fmt: skip


def _can_be_set(field: str, value: Any) -> bool:
    """Agents may write what a rule can't: a service of 500 characters."""
    problems: list[str] = []
    read_sets({field: value}, lambda key, _what, _fix: problems.append(key))
    return not problems
