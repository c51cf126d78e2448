"""What is no message but changes one: edits, receipts, facts about identities, ticket changes.

Each either applies, or waits with a deadline for an original that has not come yet (edits and receipts overtake their
messages), or ends with a reason. The old text of an edit stays in its event: history is not rewritten.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from context_store.lookups import KnownMessage, KnownTicket, Waiting
from context_store.text import canonical, lane_of
from context_store.times import to_millis
from hub.draft import Draft, as_json, identity_hash, message_hash, thread_hash
from hub.keys import Keys
from hub.recognise import Directory, follow
from plugins import Edited, Fact, Identity, Item, Receipt, Ticket, Touched

PATIENCE_MS = 6 * 3_600_000
"""How long an edit or receipt waits for its original."""

PROGRESS = ("", "queued", "sent", "delivered", "read", "failed")
"""A receipt moves a delivery forward only: `delivered` after `read` changes nothing."""


def further(state: str, than: str) -> bool:
    """Does it move a delivery forward? `uncertain` and `caught` are no progress."""
    return PROGRESS.index(state) > PROGRESS.index(than if than in PROGRESS else "")


def least(parts: Sequence[str]) -> str:
    """How far a text is that went in parts: failed if one of them is, else as far as the least of them."""
    return "failed" if "failed" in parts else min(parts, key=PROGRESS.index)


_decoder = msgspec.json.Decoder(Edited | Receipt)


def edited(draft: Draft, item: Edited, instance: str) -> tuple[str, str, int | None]:
    """(outcome, reason, message) of an edit or a deletion at the source."""
    named = message_hash(instance, item.of)
    found = draft.known.messages.get(named)
    if not found:
        return "waiting", "the original has not come yet", None
    return _edit(draft, found[-1], item, draft.known.part.get(named))


def _edit(draft: Draft, message: KnownMessage, item: Edited, part: int | None = None) -> tuple[str, str, int | None]:
    """What becomes of one part of a text stands in the journey alone: the other parts stay as they were."""
    text = None if item.text is None else canonical(item.text)
    body: dict[str, Any] = {"at": item.at, "text": text} | ({} if part is None else {"part": part + 1})
    if item.by is not None and not _wrote(draft, message, item.by):
        why = "somebody else wrote the message"
        body = {"reason": why, "by": f"{item.by.scheme}:{item.by.value}", **body}
        draft.event("message.edit_refused", message.query_id, "channel", body, message.id)
        return "skipped", why, message.id
    why = _change_text(draft, message, text, to_millis(item.at)) if part is None else ""
    kind = "message.deleted" if text is None else "message.edited"
    draft.event(kind, message.query_id, "user", {"reason": why, **body} if why else body, message.id)
    return "recorded", why, message.id


def _change_text(draft: Draft, message: KnownMessage, text: str | None, at: int) -> str:
    """Why the text stays as it is, "" if it does not: WhatsApp and others keep no order."""
    if message.deleted_at is not None:
        return "it was deleted"
    if text is not None and message.edited_at is not None and message.edited_at > at:
        return "a later edit came first"
    message.edited_at, message.deleted_at = at, at if text is None else None
    draft.batch.edits[message.id] = (text or "", at, message.deleted_at)
    return ""


def _wrote(draft: Draft, message: KnownMessage, by: Identity) -> bool:
    """Is it this person's own message, under this identity or another of theirs? What our side wrote is no user's."""
    known = draft.known.identities.get(identity_hash(by))
    if known is None or message.direction != "in":
        return False
    author = draft.known.by_id.get(message.identity_id)
    return known.id == message.identity_id or (author is not None and author.user_id == known.user_id)


def receipt(draft: Draft, item: Receipt, instance: str, keys: Keys) -> tuple[str, str, int | None]:
    """(outcome, reason, message) of what the channel says about a message of ours."""
    if not item.of:
        return _marked(draft, item, instance)
    own = keys.message_of(item.of)
    if own is not None:
        message, part = draft.known.own_messages.get(own), keys.step_of(item.of)
    else:
        named = message_hash(instance, item.of)
        message = next((m for m in draft.known.messages.get(named, ()) if m.direction == "out"), None)
        part = draft.known.part.get(named, 0)
    if message is None:
        return "waiting", "the message that it speaks of is not known yet", None
    return _receive(draft, message, item, part)


def _marked(draft: Draft, item: Receipt, instance: str) -> tuple[str, str, int | None]:
    """A watermark: it speaks of all that we sent in the thread up to its moment."""
    until = to_millis(item.at)
    meant = [m for m in draft.known.unread.get(thread_hash(instance, item.thread), ()) if m.at <= until]
    for message in meant:
        _receive(draft, message, item)
    return ("recorded", "", meant[-1].id) if meant else ("skipped", "nothing of ours waits for this receipt", None)


def _receive(
    draft: Draft, message: KnownMessage, item: Receipt, part: int | None = None
) -> tuple[str, str, int | None]:
    """`part`: which one of a text that went in several; None: all of them."""
    body: dict[str, Any] = {"reason": canonical(item.reason, 1000), "at": item.at}
    state: str = item.state
    if parts := draft.known.parts.get(message.id):
        moved = [each for each in parts if part in (None, each.n) and further(item.state, each.state)]
        for each in moved:
            each.state = draft.batch.parts[each.outbox_id, each.n] = item.state
        state = least([each.state for each in parts])
        if moved and not further(state, message.delivery):
            return "recorded", "other parts of the text are not as far", message.id
        if part is not None and item.state == "failed":
            body["part"] = part + 1
    if not further(state, message.delivery):
        # a hundred bounces of one mail are one: whoever has our answer can write more of them
        return "skipped", f"the message was {message.delivery} already", message.id
    message.delivery = draft.batch.deliveries[message.id] = state
    draft.event(f"message.{state}", message.query_id, "channel", {"state": state, **body}, message.id)
    return "recorded", "", message.id


def waited(draft: Draft, message: KnownMessage, waiting: Waiting) -> None:
    """An original has come: apply what waited for it."""
    item = _decoder.decode(waiting.body)
    if isinstance(item, Edited):
        outcome, reason, number = _edit(draft, message, item)
    elif message.direction == "out":
        outcome, reason, number = _receive(draft, message, item)
    else:
        outcome, reason, number = "skipped", "it speaks of a message that came in", None
    draft.batch.settled_items.append((waiting.id, outcome, reason, number))


def fact(draft: Draft, item: Fact, directory: Directory) -> tuple[str, str, int | None]:
    """(outcome, reason, None) of what a provider says about an identity."""
    known = draft.known.identities.get(identity_hash(item.who))
    if known is None:
        return "skipped", "nobody of that name has written to us", None
    if item.what == "same_as":
        other = f"{item.other.scheme}:{item.other.value}" if item.other else ""
        draft.event("user.suggested", known.user_id, "channel", {"identity": known.value, "other": other})
        return "recorded", "suggested to an agent: nothing links by a provider's word alone", None
    if item.what == "profile":
        draft.call(known, item.name)
        body = {"identity": f"{known.scheme}:{known.value}", "name": item.name, "claims": item.claims}
        draft.event("user.named", known.user_id, "channel", body)
        if known.barred == "left":  # and has come back
            known.barred = draft.batch.barred[known.id] = ""
        follow(draft, known, known.assurance, item.claims, directory)
        return "recorded", "", None
    barred = {"blocked": "blocked", "opted_out": "opted_out", "left": "left", "opted_in": ""}[item.what]
    known.barred = barred
    draft.batch.barred[known.id] = barred
    draft.event("user.barred" if barred else "user.unbarred", known.user_id, "channel", {"what": item.what})
    return "recorded", "", None


def ticket(draft: Draft, item: Ticket, target: str) -> tuple[str, str, int | None]:
    """(outcome, reason, None) of a ticket as its tool shows it."""
    known = _ticket_of(draft, item, target)
    if known is None:
        return "skipped", "no query of ours stands behind this ticket", None
    if item.revision and item.revision <= known.revision:
        return "duplicate", "an older or equal revision is known", None
    known.ticket, known.revision = canonical(item.ticket, 1024), item.revision
    draft.batch.tickets.append((known.id, known.ticket, item.revision, canonical(as_json(item.fields)), draft.now))
    draft.event("ticket.changed", known.query_id, target, {"ticket": item.ticket, "fields": item.fields})
    return "recorded", "", None


def _ticket_of(draft: Draft, item: Ticket | Touched, target: str) -> KnownTicket | None:
    for name in (item.ext_id, item.ticket):
        if name and (known := draft.known.tickets.get((target, canonical(name)))):
            return known
    return None


def touched(draft: Draft, item: Touched, target: str, *, readable: bool, horizon: float) -> tuple[str, str, int | None]:
    """(outcome, reason, None) of a hint: the ticket is read in its lane, by a durable job."""
    known = _ticket_of(draft, item, target)
    if known is None:
        return "skipped", "no query of ours stands behind this ticket", None
    if not readable:
        return "skipped", "the target can't be read back", None
    lane = lane_of("ticket", target, known.ext_id)  # behind what we are about to do to it
    draft.outbox("need", target, lane, known.query_id, {"what": "ticket", "ref": item.ticket}, horizon=horizon)
    return "recorded", "", None


def waiting_row(draft: Draft, item: Item, instance: str) -> dict[str, object]:
    """What an item that came first keeps, until its original comes or its time is over."""
    return {
        "waits_for": _awaited(item, instance),
        "until": draft.now + PATIENCE_MS,
        "body": canonical(as_json(item)),
    }


def wait(draft: Draft, number: int, item: Item, instance: str) -> None:
    """Its original may come in this very batch, or have come while the batch was judged."""
    awaited = _awaited(item, instance)
    draft.known.waiting[awaited].append(Waiting(number, type(item).__name__.lower(), as_json(item)))
    draft.batch.waits.append((awaited, isinstance(item, Receipt)))


def _awaited(item: Item, instance: str) -> bytes:
    return message_hash(instance, item.of if isinstance(item, Edited | Receipt) else "")
