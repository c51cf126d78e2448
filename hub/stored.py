"""Facts of a message that was stored and not judged: for whoever asks what rules would make of it."""

from typing import Any, cast

import msgspec

from context_store.decided import StoredMessage
from context_store.lookups import Known
from context_store.times import from_millis
from hub.triage import Judging, facts_of
from plugins import Claim, Fold, Identity, Message
from routing import Attachment, Facts, RuleSet


def facts_of_stored(stored: StoredMessage, rules: RuleSet) -> Facts:
    """What rules would see of it now; what was counted or announced then is not known any more."""
    message = Message(
        key=str(stored.id), sender=Claim(identity=Identity(scheme=stored.scheme, value=stored.value), name=stored.name),
        at=from_millis(stored.at), text=stored.text, folds=msgspec.json.decode(stored.folds, type=list[Fold]),
        subject=stored.subject, kind=cast("Any", stored.kind), direction=cast("Any", stored.direction),
        automatic=cast("Any", stored.automatic), language=stored.language,
        recipients=msgspec.json.decode(stored.recipients, type=list[Identity]),
        fields=msgspec.json.decode(stored.fields, type=dict[str, str]),
    )  # fmt: skip
    facts = facts_of(
        message, stored.user, Known(), Judging(rules), channel=stored.channel, instance=stored.instance,
        at=from_millis(stored.recorded_at),
    )  # fmt: skip
    attachments = tuple(Attachment(name=name, type=kind, size=size) for name, kind, size in stored.attachments)
    return msgspec.structs.replace(
        facts, assurance=stored.assurance, attachments=attachments, announced=None, major_incidents=None
    )
