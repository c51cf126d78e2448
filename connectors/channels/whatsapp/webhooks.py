"""What a notification of WhatsApp says: pure, and never surprised (Meta, "Webhooks, messages payload reference").

One POST batches entries, changes and messages, and batches them anew when it comes again: every item has its own key.
A person is known by the user id of the business (`US.1349…`), which Meta sends with or instead of the number.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Literal

import msgspec
from msgspec import Raw, Struct

from connectors.channels.whatsapp.content import Content, fields_of, media_of, text_of
from connectors.channels.whatsapp.errors import Fault, cause
from plugins import Claim, Edited, Envelope, Fact, Identity, Item, Message, Receipt, Skipped, plausible

_UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)  # ValueError: bytes that are no UTF-8
_STATES: Mapping[str, Literal["sent", "delivered", "read", "failed"]] = {
    "sent": "sent", "delivered": "delivered", "read": "read", "played": "read", "failed": "failed",
}  # fmt: skip


class _Profile(Struct, frozen=True):
    name: str = ""


class _Contact(Struct, frozen=True):
    wa_id: str = ""
    user_id: str = ""
    profile: _Profile = _Profile()


class _Metadata(Struct, frozen=True):
    phone_number_id: str = ""


class _Value(Struct, frozen=True):
    event: str = ""
    metadata: _Metadata | None = None
    contacts: tuple[_Contact, ...] = ()
    messages: tuple[Raw, ...] = ()
    message_echoes: tuple[Raw, ...] = ()
    statuses: tuple[Raw, ...] = ()
    errors: tuple[Fault, ...] = ()


class _Change(Struct, frozen=True):
    field: str = ""
    value: Raw = Raw(b"{}")


class _Entry(Struct, frozen=True):
    changes: tuple[_Change, ...] = ()


class _Hook(Struct, frozen=True):
    object: str = ""
    entry: tuple[_Entry, ...] = ()


class _Id(Struct, frozen=True):
    """A message, an echo or a status as far as its key and its person."""

    id: str = ""
    status: str = ""
    sender: str = msgspec.field(name="from", default="")
    to: str = ""
    recipient_id: str = ""


class _Context(Struct, frozen=True):
    id: str = ""
    forwarded: bool = False


class _System(Struct, frozen=True):
    type: str = ""
    wa_id: str = ""


class _Edit(Struct, frozen=True):
    original_message_id: str
    message: Content


class _Revoke(Struct, frozen=True):
    original_message_id: str


class _Said(Content, frozen=True, kw_only=True):
    """A message, or an echo of one that our side wrote in the app."""

    id: str
    timestamp: str | int = ""
    sender: str = msgspec.field(name="from", default="")
    from_user_id: str = ""
    to: str = ""
    to_user_id: str = ""
    group_id: str = ""
    context: _Context | None = None
    system: _System | None = None
    edit: _Edit | None = None
    revoke: _Revoke | None = None


class _Status(Struct, frozen=True):
    id: str
    status: str
    timestamp: str | int = ""
    biz_opaque_callback_data: str = ""
    errors: tuple[Fault, ...] = ()


class Way(Struct, frozen=True):
    """How to answer: `reply_via`. A number if we know it, else the user id; `last`: unix seconds of their last word."""

    to: str = ""
    user: str = ""
    last: int = 0


def envelope(raw: bytes, at: datetime) -> Envelope:
    """Meta numbers no deliveries: the ids of what it carries are the key, its bytes where there are none."""
    try:
        ids = list(_ids(raw))
    except _UNREADABLE:
        ids = []
    key = "; ".join(f"{each.id} {each.status}".strip() for each in ids if each.id)
    people = {each.recipient_id or each.to or each.sender for each in ids}
    return Envelope(
        key=key or f"odd {sha256(raw).hexdigest()}", raw=raw, at=at, lane=people.pop() if len(people) == 1 else ""
    )


def _ids(raw: bytes) -> Iterator[_Id]:
    for entry in msgspec.json.decode(raw, type=_Hook).entry:
        for change in entry.changes:
            value = msgspec.json.decode(change.value, type=_Value)
            for each in (*value.messages, *value.message_echoes, *value.statuses):
                yield msgspec.json.decode(each, type=_Id)


def items(envelope: Envelope, number: str) -> Iterator[Item]:
    """Everything in a notification; what is for another number than `number` is left to its own instance."""
    try:
        hook = msgspec.json.decode(envelope.raw, type=_Hook)
    except _UNREADABLE as error:
        yield _odd(error)
        return
    changes = [change for entry in hook.entry for change in entry.changes]
    if hook.object != "whatsapp_business_account" or not changes:
        yield Skipped(reason=f"no notification of WhatsApp, but of {hook.object[:100] or 'nothing'}")
        return
    for change in changes:
        try:
            value = msgspec.json.decode(change.value, type=_Value)
        except _UNREADABLE as error:
            yield _odd(error)
        else:
            yield from _items(change.field, value, envelope, number)


def _odd(error: Exception) -> Skipped:
    what = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)[:500]
    return Skipped(reason=f"not a notification: {what}", park=True)


def _items(field: str, value: _Value, envelope: Envelope, number: str) -> Iterator[Item]:
    if value.metadata is not None and value.metadata.phone_number_id != number:
        yield Skipped(reason=f"for the number {value.metadata.phone_number_id[:100]}, which is another instance's")
        return
    if not (value.messages or value.message_echoes or value.statuses):
        what = value.event or "; ".join(fault.words for fault in value.errors)
        yield Skipped(reason=f"nobody says something to us: {field[:100]} {what[:500]}".strip())
    for raw in (*value.messages, *value.message_echoes):
        try:
            said = msgspec.json.decode(raw, type=_Said)
        except _UNREADABLE as error:
            yield _odd(error)
        else:
            yield _item(said, value.contacts, envelope)
    for raw in value.statuses:
        try:
            told = msgspec.json.decode(raw, type=_Status)
        except _UNREADABLE as error:
            yield _odd(error)
        else:
            yield from _receipts(told, envelope)


def _item(said: _Said, contacts: Sequence[_Contact], envelope: Envelope) -> Item:
    at = plausible(said.timestamp, envelope.at)
    echo = bool(said.to or said.to_user_id)
    phone, user, name = _person(said, contacts, echo=echo)
    who = Identity(scheme="whatsapp", value=(user or phone)[:1024]) if user or phone else None
    if (changed := said.edit or said.revoke) is not None:
        text = text_of(said.edit.message) if said.edit is not None else None
        return Edited(key=said.id, of=changed.original_message_id, at=at, text=text, by=None if echo else who)
    if said.group_id:
        return Skipped(reason="said in a group, where answers would be read by others")
    if who is None:
        return Skipped(reason="it names no sender", park=True)
    if said.type == "system":
        return _system(said, who, at)
    text, media = text_of(said), media_of(said)
    if not text and not media:
        return Skipped(reason=f"no message, but of kind {said.type[:100] or 'nothing'}")
    fields = fields_of(said) | ({"forwarded": "yes"} if said.context and said.context.forwarded else {})
    return Message(
        key=said.id,
        thread=who.value,
        sender=Claim(identity=who, assurance=1, issuer="whatsapp", name=name[:1000]),
        claims=_claims(phone, user),
        at=at,
        text=text,
        direction="out" if echo else "in",
        replies_to=(said.context.id,) if said.context and said.context.id else (),
        fields=fields,
        media=media,
        reply_via=b"" if echo else msgspec.json.encode(Way(phone, user, int(at.timestamp()))),
    )


def _person(said: _Said, contacts: Sequence[_Contact], *, echo: bool) -> tuple[str, str, str]:
    """(number, user id, name) of the person, who of an echo is the one that it went to."""
    phone, user = (said.to, said.to_user_id) if echo else (said.sender, said.from_user_id)
    for contact in contacts:
        if (phone and contact.wa_id == phone) or (user and contact.user_id == user):
            return phone, user or contact.user_id, contact.profile.name
    if not phone and not user and len(contacts) == 1:
        return contacts[0].wa_id, contacts[0].user_id, contacts[0].profile.name
    return phone, user, ""


def _claims(phone: str, user: str) -> tuple[Claim, ...]:
    """The number that WhatsApp shows beside the user id: as its own identity of old, and as a phone's."""
    if not phone.isascii() or not phone.isdecimal():
        return ()
    values = [("whatsapp", phone)] if user else []
    return tuple(
        Claim(identity=Identity(scheme=scheme, value=value[:1024]), assurance=1, issuer="whatsapp")
        for scheme, value in (*values, ("tel", f"+{phone}"))
    )


def _system(said: _Said, who: Identity, at: datetime) -> Item:
    told = said.system or _System()
    if told.type != "user_changed_number" or not told.wa_id:
        return Skipped(reason=f"WhatsApp says of the person: {told.type[:100] or 'nothing'}")
    other = Identity(scheme="whatsapp", value=told.wa_id[:1024])
    return Fact(key=said.id, at=at, who=who, what="same_as", other=other)


def _receipts(said: _Status, envelope: Envelope) -> Iterator[Item]:
    """What became of one of ours. Our own key comes back with it, so that even a lost answer's outcome is known."""
    state = _STATES.get(said.status)
    if state is None:
        yield Skipped(reason=f"a status of another kind: {said.status[:100]}")
        return
    reason = "; ".join(f"{cause(fault)}: {fault.words}" for fault in said.errors)[:1000]
    key, at = f"{said.id} {said.status}", plausible(said.timestamp, envelope.at)
    yield Receipt(key=key, at=at, state=state, of=said.biz_opaque_callback_data or said.id, reason=reason)
