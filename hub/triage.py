"""From a recorded message to its decision: the facts that rules see, and the decision as it is stored."""

from collections.abc import Mapping

import msgspec

from context_store.lookups import KnownQuery, KnownUser
from context_store.text import canonical
from hub.draft import Draft, address, as_json
from plugins import Fold, Message
from routing import Attachment, Decision, Facts, Person, RuleSet, Sender, decide

CAPTURED = 1
"""`Facts.version` of what is captured here: history, hours and announcements come later, and a backtest knows it."""
TEXT_LIMIT = 100_000
"""Characters of a message that rules see; longer mail is judged by its beginning."""


def split_text(text: str, folds: list[Fold]) -> tuple[str, str]:
    """(what is new, what is quoted): signatures are in neither."""
    new, quoted, at = [], [], 0
    for fold in sorted(folds, key=lambda f: f.start):
        new.append(text[at : fold.start])
        if fold.kind == "quote":
            quoted.append(text[fold.start : fold.end])
        at = max(at, fold.end)
    new.append(text[at:])
    return "".join(new), "".join(quoted)


def facts_of(message: Message, user: KnownUser, channel: str, instance: str, assurance: int) -> Facts:
    """Everything that rules can ask of this message; what is not known stays missing.

    Canonical before they are judged, so that what is stored is what was judged.
    """
    new, quoted = split_text(message.text[:TEXT_LIMIT], list(message.folds))
    fields: Mapping[str, str] = msgspec.json.decode(user.fields)
    return Facts(
        version=CAPTURED,
        channel=channel,
        instance=instance,
        direction=message.direction,
        kind=message.kind,
        subject=canonical(message.subject) or None,
        body=canonical(new) or None,
        quoted=canonical(quoted) or None,
        sender=Sender(
            address=address(message.sender.identity),
            scheme=message.sender.identity.scheme,
            name=canonical(message.sender.name) or None,
        ),
        user=Person(
            organisation=user.organisation or None, vip=user.vip, language=user.language or None, fields=fields
        ),
        assurance=assurance,
        attachments=tuple(
            Attachment(name=canonical(m.name), type=canonical(m.type), size=None if m.data is None else len(m.data))
            for m in message.media
        ),
        automatic=message.automatic,
        language=message.language or user.language or None,
        fields={canonical(name): canonical(value) for name, value in message.fields.items()},
        tags=(),
    )


def triage(draft: Draft, rules: RuleSet, facts: Facts, query: KnownQuery, message_id: int) -> Decision:
    """Judge a new query and lay the outcome on its row; the decision keeps what explain needs."""
    decision = decide(rules, facts)
    outcome = decision.outcome
    number = draft.ids.next()
    draft.batch.insert(
        "decisions", id=number, query_id=query.id, message_id=message_id, rule_set=decision.rule_set,
        facts=as_json(decision.facts), outcome=as_json(stored(decision)), author="rules", at=draft.now,
    )  # fmt: skip
    query.target = outcome.target
    draft.batch.triaged(
        query.id,
        type=outcome.type, impact=outcome.impact, urgency=outcome.urgency, priority=outcome.priority,
        service=outcome.service or "", value_stream=outcome.value_stream or "", team=outcome.team or "",
        target=outcome.target, tags=as_json(outcome.tags), decision_id=number,
    )  # fmt: skip
    said = {"type": outcome.type, "priority": outcome.priority, "team": outcome.team, "target": outcome.target}
    draft.event("query.triaged", query.id, "rules", {**said, "rules": decision.rules, "decision": str(number)})
    return decision


def stored(decision: Decision) -> dict[str, object]:
    """A decision without its facts, which stand in a column of their own."""
    return {
        "rules": decision.rules,
        "outcome": decision.outcome,
        "set_by": decision.set_by,
        "rule_set": decision.rule_set,
        "engine": decision.engine,
    }
