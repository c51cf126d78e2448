"""What an update of Telegram says: pure, and never surprised ("Update" and "Message" of the Bot API)."""

import re
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import Literal

import msgspec
from msgspec import Struct

from plugins import Claim, Edited, Envelope, Fact, Identity, Item, Media, Message, Skipped, plausible

KINDS = ("message", "edited_message", "my_chat_member")
"""What is read; Telegram is asked for no other, and others that come are skipped by name."""

_START = re.compile(r"/start(?:@\w+)?(?:\s+(?P<token>[A-Za-z0-9_-]{1,64}))?\s*")  # "Deep linking"
_UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)  # ValueError: bytes that are no UTF-8


class _User(Struct, frozen=True):
    id: int
    is_bot: bool = False
    first_name: str = ""
    last_name: str = ""
    language_code: str = ""


class _Chat(Struct, frozen=True):
    id: int
    type: str


class _File(Struct, frozen=True):
    file_id: str
    file_name: str = ""
    mime_type: str = ""


class _Link(Struct, frozen=True):
    type: str
    url: str = ""


class Sent(Struct, frozen=True):
    """A message as far as its id."""

    message_id: int


class _Place(Struct, frozen=True):
    latitude: float
    longitude: float


class _Contact(Struct, frozen=True):
    phone_number: str
    first_name: str = ""
    last_name: str = ""


class _Said(Struct, frozen=True):
    """A message, as far as a help desk reads it."""

    message_id: int
    date: int
    chat: _Chat
    sender: _User | None = msgspec.field(name="from", default=None)
    sender_chat: _Chat | None = None
    message_thread_id: int | None = None
    is_topic_message: bool = False
    reply_to_message: Sent | None = None
    edit_date: int | None = None
    text: str = ""
    caption: str = ""
    entities: tuple[_Link, ...] = ()
    caption_entities: tuple[_Link, ...] = ()
    photo: tuple[_File, ...] = ()
    document: _File | None = None
    animation: _File | None = None
    audio: _File | None = None
    video: _File | None = None
    video_note: _File | None = None
    voice: _File | None = None
    sticker: _File | None = None
    location: _Place | None = None
    contact: _Contact | None = None


class _Member(Struct, frozen=True):
    status: str


class _Membership(Struct, frozen=True):
    chat: _Chat
    sender: _User = msgspec.field(name="from")
    date: int
    new_chat_member: _Member


class _Update(Struct, frozen=True):
    update_id: int
    message: _Said | None = None
    edited_message: _Said | None = None
    my_chat_member: _Membership | None = None


class _Numbered(Struct, frozen=True):
    """An update's id and nothing else."""

    update_id: int


class Way(Struct, frozen=True):
    """How to answer: `reply_via`."""

    chat: int
    topic: int | None = None


def envelope(raw: bytes, at: datetime) -> Envelope:
    """The update's id is its key; whatever can't be read goes by its own bytes and is parked by `item`."""
    try:
        update = msgspec.json.decode(raw, type=_Update)
    except _UNREADABLE:
        return Envelope(key=_odd_key(raw), raw=raw, at=at)
    said = update.message or update.edited_message or update.my_chat_member
    return Envelope(key=f"update {update.update_id}", raw=raw, at=at, lane=str(said.chat.id) if said else "")


def number(raw: bytes | msgspec.Raw) -> int:
    """The update's id, whatever else stands in it. Raises MsgspecError: then it is no answer of Telegram's."""
    return msgspec.json.decode(raw, type=_Numbered).update_id


def _odd_key(raw: bytes) -> str:
    """By the id if there is one, because Telegram brings an update that it must repeat with the same id."""
    try:
        return f"update {number(raw)}"
    except _UNREADABLE:
        return f"odd {sha256(raw).hexdigest()}"


def item(envelope: Envelope, *, groups: bool) -> Item:
    """What the update is; `groups` False leaves alone what is said in groups."""
    try:
        update = msgspec.json.decode(envelope.raw, type=_Update)
    except _UNREADABLE as error:
        what = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)[:500]
        return Skipped(reason=f"not an update: {what}", park=True)
    said = update.message or update.edited_message
    if said is not None:
        why_not = _why_not(said, groups=groups)
        if why_not or said.sender is None:
            return Skipped(reason=why_not)
        if update.message is None:
            return _edited(said, said.sender, update.update_id, envelope)
        return _message(said, said.sender, envelope)
    if update.my_chat_member is not None:
        return _membership(update.my_chat_member, update.update_id, envelope)
    kinds = msgspec.json.decode(envelope.raw, type=dict[str, msgspec.Raw]).keys() - {"update_id"}
    return Skipped(reason=f"nobody says something to us: {', '.join(sorted(kinds))[:200] or 'an empty update'}")


def _why_not(said: _Said, *, groups: bool) -> str:
    """Why a message is none for the desk; "" if it is one."""
    if said.chat.type not in ("private", "group", "supergroup"):
        return f"posted in a {said.chat.type[:50]}, not said to us"
    if said.chat.type != "private" and not groups:
        return "said in a group, which the setting leaves alone"
    if said.sender is None or said.sender_chat is not None:
        return "written in the name of a chat: there is nobody to answer"
    return "written by a bot" if said.sender.is_bot else ""


def _message(said: _Said, sender: _User, envelope: Envelope) -> Item:
    text, media = _text(said), _media(said)
    start = _START.fullmatch(text) if said.chat.type == "private" else None
    if start and not start["token"]:
        return Skipped(reason="start: the person opened the chat and said nothing yet")
    if not text and not media:
        return Skipped(reason="a service message, or of a kind without text and file")
    return Message(
        key=key(said.chat.id, said.message_id),
        thread=_thread(said, sender),
        sender=_claim(sender),
        at=plausible(said.date, envelope.at),
        text="" if start else text,
        tokens=(start["token"],) if start else (),
        private=said.chat.type == "private",
        language=sender.language_code[:35],
        replies_to=(key(said.chat.id, said.reply_to_message.message_id),) if said.reply_to_message else (),
        media=media,
        reply_via=msgspec.json.encode(Way(said.chat.id, said.message_thread_id if said.is_topic_message else None)),
    )


def _edited(said: _Said, sender: _User, update: int, envelope: Envelope) -> Item:
    """By its author: Telegram lets nobody else edit it."""
    at, by = plausible(said.edit_date, envelope.at), _claim(sender).identity
    return Edited(key=f"update {update}", of=key(said.chat.id, said.message_id), at=at, text=_text(said), by=by)


def _membership(said: _Membership, update: int, envelope: Envelope) -> Item:
    """Whether a person has blocked the bot; in groups it is the bot's own coming and going."""
    status = said.new_chat_member.status
    if said.chat.type != "private" or status not in ("kicked", "member"):
        return Skipped(reason=f"the bot is now {status[:50]} in a {said.chat.type[:50]}")
    who = Identity(scheme="telegram", value=str(said.sender.id))
    what: Literal["blocked", "opted_in"] = "blocked" if status == "kicked" else "opted_in"
    return Fact(key=f"update {update}", at=plausible(said.date, envelope.at), who=who, what=what)


def _claim(user: _User) -> Claim:
    """Telegram has authenticated the account; the name is the person's own choice."""
    identity = Identity(scheme="telegram", value=str(user.id))
    name = f"{user.first_name} {user.last_name}".strip()[:1000]
    return Claim(identity=identity, assurance=1, issuer="telegram", name=name)


def _thread(said: _Said, sender: _User) -> str:
    """The private chat; the topic; in a group without topics each person's own conversation."""
    if said.chat.type == "private":
        return str(said.chat.id)
    if said.is_topic_message:
        return f"{said.chat.id}/topic/{said.message_thread_id}"
    return f"{said.chat.id}/from/{sender.id}"


def _text(said: _Said) -> str:
    """Text or caption, with the addresses that links hide, and what has no text put into words."""
    text = said.text or said.caption
    links = [each.url for each in (*said.entities, *said.caption_entities) if each.type == "text_link"]
    lines = [text, *(url for url in links if url and url not in text)]
    if said.location is not None:
        lines.append(f"geo:{said.location.latitude},{said.location.longitude}")  # RFC 5870
    if said.contact is not None:
        lines.append(f"{said.contact.first_name} {said.contact.last_name} {said.contact.phone_number}".strip())
    return "\n".join(line for line in lines if line)


def _media(said: _Said) -> tuple[Media, ...]:
    """Files by their ids, fetched later; of a photo's sizes the last is the largest."""
    files = (
        *((each, "photo.jpg", "image/jpeg") for each in said.photo[-1:]),
        (said.document, "document", ""),
        (said.animation if said.document is None else None, "animation.mp4", "video/mp4"),  # comes as document too
        (said.audio, "audio.mp3", "audio/mpeg"),
        (said.video, "video.mp4", "video/mp4"),
        (said.video_note, "video.mp4", "video/mp4"),
        (said.voice, "voice.ogg", "audio/ogg"),
        (said.sticker, "sticker.webp", "image/webp"),
    )
    return tuple(
        Media(
            ref=file.file_id,
            name=(file.file_name or name)[:1000],
            type=(file.mime_type or kind or "application/octet-stream")[:200],
        )
        for file, name, kind in files
        if file is not None and file.file_id
    )


def key(chat: int, message: int) -> str:
    """Ids of messages count in their chat only."""
    return f"{chat}/{message}"


def message_in(chat: int, keys: Sequence[str]) -> int | None:
    """The id of the first of these messages that stands in that chat."""
    for each in keys:
        place, _, message = each.partition("/")
        if place == str(chat) and message.isdecimal():
            return int(message)
    return None
