"""What was stored, for whoever asks why: facts of a message that was not judged, and a decision that is made again."""

from typing import Any, cast

import msgspec

from context_store.decided import StoredMessage
from context_store.lookups import Known
from context_store.times import from_millis
from hub.decided import stored
from hub.triage import Judging, facts_of
from plugins import Claim, Fold, Identity, Message
from routing import Attachment, Decision, Facts, RuleSet


def facts_of_stored(said: StoredMessage, rules: RuleSet) -> Facts:
    """What rules would see of it now; what was counted or announced then is not known any more."""
    message = Message(
        key=str(said.id), sender=Claim(identity=Identity(scheme=said.scheme, value=said.value), name=said.name),
        at=from_millis(said.at), text=said.text, folds=msgspec.json.decode(said.folds, type=list[Fold]),
        subject=said.subject, kind=cast("Any", said.kind), direction=cast("Any", said.direction),
        automatic=cast("Any", said.automatic), language=said.language,
        recipients=msgspec.json.decode(said.recipients, type=list[Identity]),
        fields=msgspec.json.decode(said.fields, type=dict[str, str]),
    )  # fmt: skip
    facts = facts_of(
        message, said.user, Known(), Judging(rules), channel=said.channel, instance=said.instance,
        at=from_millis(said.recorded_at),
    )  # fmt: skip
    attachments = tuple(Attachment(name=name, type=kind, size=size) for name, kind, size in said.attachments)
    return msgspec.structs.replace(
        facts, assurance=said.assurance, attachments=attachments, announced=None, major_incidents=None
    )


def otherwise(outcome: bytes, again: Decision) -> str:
    """Words for it if the rules that decided don't come to that `outcome` any more; "" if they do.

    Facts and rules are kept, the engine, time zones and public holidays are the installed ones.
    """
    was, now = msgspec.json.decode(outcome), msgspec.json.decode(msgspec.json.encode(stored(again)))
    if (was["rules"], was["outcome"]) == (now["rules"], now["outcome"]):
        return ""
    return "This release decides otherwise than was decided then: its engine, time zones or holidays are others."
