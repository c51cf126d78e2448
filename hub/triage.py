"""From a recorded message to its decision: the facts that rules see, and the decision as it is stored."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal

import msgspec
from msgspec import Struct

from context_store.announcements import services
from context_store.histories import Asked
from context_store.histories import History as Counted
from context_store.lookups import Known, KnownQuery, KnownUser
from context_store.text import canonical
from context_store.underway import HUB
from hub.decided import stored
from hub.draft import Draft, address, as_json
from hub.offers import Offers
from hub.texts import Texts
from hub.underway import WHY
from plugins import Fold, Message
from routing import Attachment, Decision, Eligibility, Facts, History, Person, RuleSet, Sender, decide, fold, validate
from routing.conditions import Counts
from routing.language import settle

TEXT_LIMIT = 100_000
"""Characters of a message that rules see; longer mail is judged by its beginning."""
MOST_RECIPIENTS = 200
LONGEST_NAME = 100
DIRECTORY = ("groups", "region", "contract", "as_of")
"""What the directory's record of a user says under names of its own; all else is `user.fields`."""


NOTHING = Asked()


@dataclass(frozen=True, slots=True)
class Judging:
    """What judges a batch: one version of everything."""

    rules: RuleSet
    shadow: RuleSet | None = None
    """A second file, judged beside the first without effect."""
    asked: Asked = NOTHING
    """Which counts either of them needs."""
    texts: Texts | None = None
    offers: Offers | None = None
    """What the desk's history suggests."""


class Held(Struct, frozen=True):
    """Why a query does not go on by itself."""

    kind: Literal["hold", "park", "spam"]
    reason: str


class Triaged(Struct, frozen=True):
    """A decision with what follows from it."""

    decision: Decision
    held: Held | None
    validation: Eligibility | None


def asked_by(*sets: RuleSet | None) -> Asked:
    """Which counts over history these rule sets ask for: nothing else is counted."""
    found = {leaf for rules in sets if rules for leaf in rules.counted}
    fields = {leaf.field for leaf in found}
    days = max((leaf.days for leaf in found if isinstance(leaf, Counts)), default=0)
    subjects = "history.same_subject" in fields
    return Asked(open_queries="history.open_queries" in fields, days=days or (30 if subjects else 0), subjects=subjects)


def split_text(text: str, folds: list[Fold]) -> tuple[str, str]:
    """(what is new, what is quoted): signatures are in neither."""
    new, quoted, at = [], [], 0
    for part in sorted(folds, key=lambda f: f.start):
        new.append(text[at : part.start])
        if part.kind == "quote":
            quoted.append(text[part.start : part.end])
        at = max(at, part.end)
    new.append(text[at:])
    return "".join(new), "".join(quoted)


def facts_of(
    message: Message, user: KnownUser, known: Known, judging: Judging, *, channel: str, instance: str, at: datetime
) -> Facts:
    """Everything that rules can ask of this message; what is not known stays missing. `at`: when it was received.

    Canonical before they are judged, so that what is stored is what was judged.
    """
    asked = judging.asked
    new, quoted = split_text(message.text[:TEXT_LIMIT], list(message.folds))
    fields = {canonical(name): canonical(value) for name, value in message.fields.items()}
    return Facts(
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
        user=person_of(user),
        assurance=message.sender.assurance,
        attachments=tuple(
            Attachment(name=canonical(m.name), type=canonical(m.type), size=None if m.data is None else len(m.data))
            for m in message.media
        ),
        automatic=message.automatic,
        language=settle(canonical(message.language, 35), user.language) or None,
        fields=fields,
        tags=(),
        at=at,
        recipients=tuple(address(each) for each in message.recipients[:MOST_RECIPIENTS]),
        service=_chosen(fields.get("service", ""), judging.rules),
        history=_history(known.histories.get(user.id) or Counted(contacts=[0] * asked.days), asked, message.subject),
        announced=services(known.announced),
        major_incidents=services(known.announced, major=True),
    )


def _chosen(service: str, rules: RuleSet) -> str | None:
    """By a form or menu; a file with a catalogue takes no other names."""
    known = rules.catalogue.services
    return service if service and (service in known if known else len(service) <= LONGEST_NAME) else None


def person_of(user: KnownUser) -> Person:
    """The user's record; groups are a list, or names between commas."""
    record: Mapping[str, Any] = msgspec.json.decode(user.fields) if user.fields != "{}" else {}
    groups = record.get("groups")
    if isinstance(groups, str):
        groups = [name.strip() for name in groups.split(",") if name.strip()]
    return Person(
        organisation=user.organisation or None,
        groups=tuple(map(str, groups)) if isinstance(groups, list) else None,
        vip=user.vip,
        language=user.language or None,
        region=_said(record, "region"),
        contract=_said(record, "contract"),
        fields={name: value for name, value in record.items() if name not in DIRECTORY and isinstance(value, str)},
        as_of=_moment(record.get("as_of")),
    )


def _said(record: Mapping[str, Any], name: str) -> str | None:
    value = record.get(name)
    return value if isinstance(value, str) and value else None


def _moment(value: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return found if found and found.tzinfo else None


def _history(counted: Counted, asked: Asked, subject: str) -> History | None:
    """Only what was asked for; the rest was not captured."""
    if asked == NOTHING:
        return None
    mine = plain_subject(subject)
    same = sum(count for said, count in counted.subjects.items() if mine and plain_subject(said) == mine)
    return History(
        open_queries=counted.open_queries if asked.open_queries else None,
        contacts=tuple(counted.contacts) if asked.days else None,
        same_subject=same if asked.subjects else None,
    )


@lru_cache(maxsize=4096)
def plain_subject(subject: str) -> str:
    """Folded, without what mail programs put before it."""
    plain = fold(canonical(subject))
    while (cut := plain.partition(":"))[1] and cut[0].strip() in {"re", "aw", "sv", "fw", "fwd", "wg", "antw", "tr"}:
        plain = cut[2].strip()
    return plain


def remember(known: Known, asked: Asked, user: int, message: Message, *, fresh: bool) -> None:
    """Lay a message over what was counted, for those that follow it in the batch."""
    if message.direction != "in" or asked == NOTHING:
        return
    counted = known.histories.setdefault(user, Counted(contacts=[0] * asked.days))
    counted.open_queries += fresh and not message.automatic
    if asked.days:
        counted.contacts[0] += 1
        counted.subjects[message.subject] += asked.subjects


def triage(
    draft: Draft, judging: Judging, facts: Facts, query: KnownQuery, message_id: int, *, waits: bool = False
) -> Triaged:
    """Judge a new query and lay the outcome on its row; the decision keeps what explain needs.

    `waits`: its sender is still on the way, so it is kept back and will be judged again.
    """
    decision = decide(judging.rules, facts)
    outcome, validation = decision.outcome, validate(judging.rules, decision)
    held = Held("hold", WHY) if waits else held_by(decision, validation)
    number = draft.ids.next()
    draft.batch.insert(
        "decisions", id=number, query_id=query.id, message_id=message_id, rule_set=decision.rule_set,
        facts=as_json(decision.facts), outcome=as_json(stored(decision, validation)), author="rules", at=draft.now,
    )  # fmt: skip
    query.target = "" if held else outcome.target
    draft.batch.triaged(
        query.id,
        type=outcome.type, impact=outcome.impact, urgency=outcome.urgency, priority=outcome.priority,
        service=outcome.service or facts.service or "", value_stream=outcome.value_stream or "",
        team=outcome.team or "", target=query.target, tags=as_json(outcome.tags),
        language=outcome.language or facts.language or "", decision_id=number,
    )  # fmt: skip
    said = {"type": outcome.type, "priority": outcome.priority, "team": outcome.team, "target": outcome.target}
    draft.event("query.triaged", query.id, "rules", {**said, "rules": decision.rules, "decision": str(number)})
    if held:
        _hold(draft, query, held, HUB if waits else "rules")
    if judging.shadow:
        _shadow(draft, number, decision, judging.shadow)
    if judging.offers:
        _offer(draft, number, decision, judging.offers)
    return Triaged(decision, held, validation)


def held_by(decision: Decision, validation: Eligibility | None) -> Held | None:
    """The strongest reason to stop; what a machine wrote asks for no service, so that nobody has to validate it."""
    outcome = decision.outcome
    if outcome.spam:
        return Held("spam", f"rule {decision.set_by['spam']}")
    if outcome.park:
        return Held("park", outcome.park)
    if outcome.hold:
        return Held("hold", outcome.hold)
    if validation and validation.status != "eligible" and not decision.facts.automatic:
        return Held("hold", f"{validation.status.replace('_', ' ')}: {validation.reason}")
    return None


def _hold(draft: Draft, query: KnownQuery, held: Held, author: str) -> None:
    """It waits for a person; spam is closed as well, so that nothing joins it."""
    reason = canonical(held.reason, 1000)
    if query.id in draft.batch.held:  # the hub held it until now
        draft.batch.held[query.id] = (held.kind, reason, author, draft.now, None, None)
    else:
        draft.batch.insert("holds", query_id=query.id, kind=held.kind, reason=reason, author=author, at=draft.now)
    if held.kind == "spam":
        query.state = "closed"
        draft.batch.triaged(query.id, state="closed", closed_at=draft.now)
    draft.event("query.held", query.id, author, {"kind": held.kind, "why": held.reason})


def answered(draft: Draft, query: KnownQuery, by: str) -> None:
    """The desk has answered it on the spot: recorded with that, so that no crash can leave it open."""
    if query.state == "closed":  # as spam, by a rule
        return
    query.state = "resolved"
    draft.batch.triaged(query.id, state="resolved", resolved_at=draft.now, first_response_at=draft.now)
    draft.event("query.settled", query.id, "hub", {"by": canonical(by, 200)})


def _shadow(draft: Draft, number: int, decision: Decision, shadow: RuleSet) -> None:
    """What the other file would have decided of the same facts."""
    other = decide(shadow, decision.facts)
    draft.batch.insert(
        "opinions", decision_id=number, source="shadow", model=shadow.hash,
        body=as_json({"rules": other.rules, "outcome": other.outcome}), differs=other.outcome != decision.outcome,
    )  # fmt: skip


def _offer(draft: Draft, number: int, decision: Decision, offers: Offers) -> None:
    """What history suggests, with its confidence: for an agent to take, and for a report to weigh."""
    found = offers.offer(decision.facts)
    if found:
        differs = any(one.label != getattr(decision.outcome, field) for field, one in found.items())
        draft.batch.insert(
            "opinions", decision_id=number, source="classifier", model=offers.model, body=as_json(found),
            differs=differs,
        )  # fmt: skip
