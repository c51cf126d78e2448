"""What a notification or a status of Mastodon says: pure, and never surprised (docs.joinmastodon.org/entities)."""

import re
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from connectors.channels.mastodon.text import plain
from plugins import MOST_TEXT, Claim, Edited, Envelope, Identity, Item, Media, Message, Skipped, one_line, plausible

UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)  # ValueError: bytes that are no UTF-8
OPEN = frozenset({"public", "unlisted"})
"""Visibilities that anybody can read."""
_TYPES: Mapping[str, str] = {
    "jpg": "image/jpeg", "jpeg": "image/jpeg", "png": "image/png", "gif": "image/gif", "webp": "image/webp",
    "mp4": "video/mp4", "webm": "video/webm", "mp3": "audio/mpeg", "ogg": "audio/ogg",
}  # fmt: skip


class Account(Struct, frozen=True):
    """Who wrote; `acct` has no domain if the account is on our own server."""

    id: str
    acct: str
    display_name: str = ""
    bot: bool | None = False


class _File(Struct, frozen=True):
    url: str | None = None
    remote_url: str | None = None
    description: str | None = None


class _Mention(Struct, frozen=True):
    id: str = ""
    username: str = ""
    acct: str = ""


class Status(Struct, frozen=True):
    """A post as far as a help desk reads it."""

    id: str
    account: Account
    visibility: str
    created_at: str | None = None
    edited_at: str | None = None
    in_reply_to_id: str | None = None
    spoiler_text: str = ""
    content: str = ""
    language: str | None = None
    mentions: tuple[_Mention, ...] = ()
    media_attachments: tuple[_File, ...] = ()


class Notification(Struct, frozen=True):
    """Something that happened to our account."""

    id: str
    type: str
    created_at: str | None = None
    status: Status | None = None


class _Changed(Struct, frozen=True):
    """Our own record of what a look at known posts showed: a new version, or that one is gone."""

    changed: Status | None = None
    gone: str = ""


class Way(Struct, frozen=True):
    """How to answer: `reply_via`."""

    status: str
    visibility: str
    warning: str = ""


def item(envelope: Envelope) -> Item:
    """What the envelope is; the runner's facts are `me` (our account's id), `domain` and the thread's `root`."""
    try:
        if envelope.facts.get("kind") == "status":
            return _changed(envelope)
        return _told(msgspec.json.decode(envelope.raw, type=Notification), envelope)
    except UNREADABLE as error:
        what = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)[:500]
        return Skipped(reason=f"not a notification: {what}", park=True)


def _told(told: Notification, envelope: Envelope) -> Item:
    if told.type != "mention":
        return Skipped(reason=f"nobody says something to us: {told.type[:100]}")
    said = told.status
    if said is None:
        return Skipped(reason="a mention whose post is gone")
    if said.account.id == envelope.facts.get("me"):
        return Skipped(reason="our own post")
    if not said.id or not said.account.acct:
        return Skipped(reason="it has no id or no author", park=True)
    return _message(said, envelope)


def _message(said: Status, envelope: Envelope) -> Message:
    domain = envelope.facts.get("domain", "")
    who = _author(said.account, envelope)
    root = envelope.facts.get("root") or said.in_reply_to_id or said.id
    apart = "" if said.visibility in OPEN else f"/{said.visibility[:20]}/{said.account.id}"
    warning = one_line(said.spoiler_text, 500)
    return Message(
        key=said.id,
        thread=f"{root}{apart}",
        sender=Claim(identity=who, assurance=1, issuer=domain[:1000], name=one_line(said.account.display_name)),
        at=_when(said.created_at, envelope.at),
        subject=warning,
        text=_words(said, envelope.facts.get("me", "")),
        kind="post",
        private=said.visibility == "direct",
        automatic="bulk" if said.account.bot else "",
        replies_to=(said.in_reply_to_id,) if said.in_reply_to_id else (),
        language=(said.language or "")[:35],
        media=_files(said),
        reply_via=msgspec.json.encode(Way(said.id, said.visibility, warning)),
    )


def _author(account: Account, envelope: Envelope) -> Identity:
    acct, domain = account.acct, envelope.facts.get("domain", "")
    return Identity(scheme="mastodon", value=(acct if "@" in acct else f"{acct}@{domain}").lower()[:1024])


def _changed(envelope: Envelope) -> Item:
    told = msgspec.json.decode(envelope.raw, type=_Changed)
    if told.changed is None:
        return Edited(key=envelope.key, of=told.gone or "?", at=envelope.at, text=None)
    at = _when(told.changed.edited_at, envelope.at)
    text = _words(told.changed, envelope.facts.get("me", ""))
    by = _author(told.changed.account, envelope)
    return Edited(key=envelope.key, of=told.changed.id or "?", at=at, text=text, by=by)


def _words(said: Status, me: str) -> str:
    """The text without the call to us that it begins with, and what files show in their author's words."""
    text = plain(said.content[:MOST_TEXT])
    names = [re.escape(name) for each in said.mentions if each.id == me for name in (each.acct, each.username) if name]
    if names:
        called = rf"(?:@(?:{'|'.join(names)})(?:@[\w.-]+)?(?![\w@-])\s*)+"
        text = re.sub(f"^{called}", "", text, flags=re.IGNORECASE)
    shown = [f"[{one_line(file.description, 1500)}]" for file in said.media_attachments if file.description]
    return "\n".join(part for part in (text, *shown) if part)


def _files(said: Status) -> tuple[Media, ...]:
    """What is attached, and a post whole that is too long to be read."""
    files = tuple(media for file in said.media_attachments if (media := _media(file)))
    if len(said.content) <= MOST_TEXT:
        return files
    return (*files, Media(name="post.html", type="text/html", data=said.content.encode()))


def _media(file: _File) -> Media | None:
    url = file.url or file.remote_url or ""
    if not url:
        return None
    try:
        name = urlsplit(url).path.rpartition("/")[2] if len(url) < 5000 else ""
    except ValueError:  # no address: the fetch is refused in words, and the post is read
        name = ""
    kind = _TYPES.get(name.rpartition(".")[2].lower(), "application/octet-stream")
    return Media(ref=url, name=one_line(name, 200) or "file", type=kind)


def _when(said: str | None, received: datetime) -> datetime:
    try:
        moment = datetime.fromisoformat(said) if said else None
        return plausible(moment, received)
    except (ValueError, TypeError, OverflowError):  # no date, or one without a zone
        return received
