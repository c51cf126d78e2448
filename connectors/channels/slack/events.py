"""What an event of Slack says: pure, and never surprised (https://docs.slack.dev/reference/events).

Ids of messages are `ts`, a text that only looks like a number, unique in its channel.
"""

from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import Annotated, Any
from urllib.parse import parse_qs

import msgspec
from msgspec import Meta, Struct

from connectors.channels.slack.markup import readable
from plugins import Claim, Edited, Envelope, Fact, Identity, Item, Media, Message, Skipped, plausible

PROFILE = "profile"
"""The fact `kind` of an envelope that holds an answer of users.info."""
Id = Annotated[str, Meta(min_length=1, max_length=100)]
_SAID = ("", "file_share", "thread_broadcast", "me_message")
_UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)  # ValueError: bytes that are no UTF-8


class _Authorization(Struct, frozen=True):
    user_id: Id | None = None
    is_bot: bool | None = None
    is_enterprise_install: bool | None = None


class Outer(Struct, frozen=True):
    """What is round every event."""

    type: str | None = None
    team_id: Id | None = None
    enterprise_id: Id | None = None
    event_id: str | None = None
    challenge: str | None = None
    command: str | None = None
    authorizations: tuple[_Authorization, ...] | None = None
    event: msgspec.Raw = msgspec.Raw(b"{}")

    @property
    def workspace(self) -> str:
        """To whom the ids of users belong; in an app installed for a whole organisation, to the organisation."""
        whole = any(each.is_enterprise_install for each in self.authorizations or ())
        return (self.enterprise_id if whole else "") or self.team_id or ""

    @property
    def own(self) -> str:
        """The user id of the desk's bot, "" if it is not told."""
        return next((each.user_id or "" for each in self.authorizations or () if each.is_bot), "")


class _Kind(Struct, frozen=True):
    """An event as far as its kind and place; in some kinds `channel` is an object."""

    type: str = ""
    channel: str | dict[str, msgspec.Raw] | None = None


class _File(Struct, frozen=True):
    id: str | None = None
    name: str | None = None
    title: str | None = None
    mimetype: str | None = None
    mode: str | None = None
    url_private: str | None = None


class _Attachment(Struct, frozen=True):
    """What hangs on a message: previews, and messages that a person passes on (`is_share`)."""

    is_share: bool | None = None
    text: str | None = None
    fallback: str | None = None


class _Edited(Struct, frozen=True):
    user: Id | None = None


class _Said(Struct, frozen=True):
    """A message, as far as a help desk reads it."""

    ts: Id | None = None
    subtype: str | None = None
    channel: Id | None = None
    channel_type: str | None = None
    user: Id | None = None
    bot_id: str | None = None
    team: Id | None = None
    user_team: Id | None = None
    text: str | None = None
    thread_ts: Id | None = None
    event_ts: str | None = None
    deleted_ts: Id | None = None
    files: tuple[_File, ...] | None = None
    attachments: tuple[_Attachment, ...] | None = None
    edited: _Edited | None = None
    message: "_Said | None" = None
    previous_message: "_Said | None" = None


class _Profile(Struct, frozen=True):
    real_name: str | None = None
    display_name: str | None = None
    email: str | None = None


class _User(Struct, frozen=True):
    id: Id
    team_id: Id | None = None
    name: str | None = None
    deleted: bool | None = None
    is_bot: bool | None = None
    is_email_confirmed: bool | None = None
    profile: _Profile = _Profile()


class _About(Struct, frozen=True):
    """users.info, user_change and team_join alike."""

    user: _User | None = None
    error: str | None = None


class Way(Struct, frozen=True, omit_defaults=True):
    """How to answer: `reply_via`. `channel` may be a user's id: then it is their direct messages with the app."""

    channel: str
    thread: str = ""
    private: bool = True


def key(channel: str, ts: str) -> str:
    """Of a message: `ts` counts in its channel only."""
    return f"{channel}/{ts}"


def outer(raw: bytes) -> Outer:
    """Raises one of many errors for what is no JSON object of Slack's: forms (slash commands) are none."""
    return msgspec.json.decode(raw, type=Outer)


def challenge(raw: bytes) -> str | None:
    """What Slack wants to hear when it tries our address; None if it asks nothing."""
    try:
        found = outer(raw)
    except _UNREADABLE:
        return None
    return found.challenge if found.type == "url_verification" else None


def profile(raw: bytes, workspace: str, user: str, at: datetime) -> Envelope:
    """An answer of users.info; another one of the same person is another event if it says something else."""
    facts = {"kind": PROFILE, "workspace": workspace}
    return Envelope(key=f"profile {user} {sha256(raw).hexdigest()}", raw=raw, at=at, facts=facts, lane=user)


def envelope(raw: bytes, at: datetime) -> Envelope:
    """The event's id is its key; what has none (interactions, forms) goes by its own bytes."""
    lane = ""
    try:
        found = outer(raw)
        place = msgspec.json.decode(found.event, type=_Kind).channel
        lane = place if isinstance(place, str) else ""
        name = f"event {found.event_id}" if found.event_id else ""
    except _UNREADABLE:
        name = ""
    return Envelope(key=name or f"odd {sha256(raw).hexdigest()}", raw=raw, at=at, lane=lane)


def item(envelope: Envelope, channels: Sequence[str]) -> Item:
    """What the event is; `channels`: the only ones that are read, all if empty. Direct messages always are."""
    try:
        if envelope.facts.get("kind") == PROFILE:
            about = msgspec.json.decode(envelope.raw, type=_About)
            if about.user is None:
                return Skipped(reason=f"Slack does not say who it is: {(about.error or 'no reason given')[:200]}")
            return _profile(about.user, envelope.facts["workspace"], envelope)
        found = outer(envelope.raw)
        return _event(found, envelope, channels) if found.type == "event_callback" else _other(found)
    except _UNREADABLE as error:
        form = _form(envelope.raw)
        if form:
            return Skipped(reason=f"nobody says something to us: {form}")
        what = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)[:500]
        return Skipped(reason=f"not an event: {what}", park=True)


def _other(found: Outer) -> Item:
    if found.type == "app_rate_limited":
        return Skipped(reason="app_rate_limited: Slack held events back, more than 30,000 in an hour", park=True)
    what = f"the command {found.command}" if found.command else found.type or "an object without a type"
    return Skipped(reason=f"nobody says something to us: {what[:200]}")


def _form(raw: bytes) -> str:
    """What a form is: a slash command or an interaction; "" if it is none."""
    try:
        fields = parse_qs(raw.decode(), strict_parsing=True, max_num_fields=100)
        if "command" in fields:
            return f"the command {fields['command'][0]}"[:200]
        return msgspec.json.decode(fields["payload"][0], type=_Kind).type[:200] or "an interaction"
    except (KeyError, *_UNREADABLE):
        return ""


def _event(found: Outer, envelope: Envelope, channels: Sequence[str]) -> Item:
    kind = msgspec.json.decode(found.event, type=_Kind).type
    if kind in ("message", "app_mention"):
        said = msgspec.json.decode(found.event, type=_Said)
        if said.channel and channels and not _private(said) and said.channel not in channels:
            return Skipped(reason="said in a channel that the setting leaves alone")
        return _said(said, found, envelope)
    if kind in ("user_change", "team_join"):
        about = msgspec.json.decode(found.event, type=_About)
        if about.user is not None:
            return _profile(about.user, found.workspace, envelope)
    if kind in ("tokens_revoked", "app_uninstalled"):
        return Skipped(reason=f"{kind}: the app was removed from the workspace; install it again", park=True)
    return Skipped(reason=f"nobody says something to us: {kind[:200] or 'an event without a type'}")


def _said(said: _Said, found: Outer, envelope: Envelope) -> Item:
    channel, subtype = said.channel or "", said.subtype or ""
    if subtype == "message_changed":
        return _changed(channel, said, found, envelope)
    if subtype == "message_deleted":
        before = said.previous_message or _Said()
        if _by_bot(before, found.own):
            return Skipped(reason="a bot's message was deleted")
        return _edit(channel, said.deleted_ts, None, said, envelope)
    if _by_bot(said, found.own):
        return Skipped(reason="written by a bot" if said.user != found.own else "our own words came back")
    if subtype not in _SAID:
        return Skipped(reason=f"a service message: {subtype[:200]}")
    if not (channel and said.ts and said.user and found.workspace):
        return Skipped(reason="a message without channel, time, author or workspace", park=True)
    return _message(channel, said.ts, said.user, said, found, envelope)


def _message(channel: str, ts: str, user: str, said: _Said, found: Outer, envelope: Envelope) -> Item:
    text, media = _text(said, found.own), _media(said.files or ())
    if not text and not media:
        return Skipped(reason="a message without text and file")
    private = _private(said)
    root = said.thread_ts or ("" if private else ts)
    sender = Claim(
        identity=Identity(scheme="slack", value=f"{found.workspace}:{user}"),
        assurance=1,
        issuer=f"slack:{said.user_team or said.team or found.workspace}",
    )
    return Message(
        key=key(channel, ts),
        thread=key(channel, root) if root else channel,
        sender=sender,
        at=plausible(ts, envelope.at),
        text=text,
        private=private,
        replies_to=(key(channel, said.thread_ts),) if said.thread_ts and said.thread_ts != ts else (),
        media=media,
        reply_via=msgspec.json.encode(Way(channel, root, private)),
    )


def _changed(channel: str, said: _Said, found: Outer, envelope: Envelope) -> Item:
    """An edit, or one of the things that Slack calls so: a preview was added, a thread's deleted root stays."""
    after, before = said.message or _Said(), said.previous_message or _Said()
    gone = after.subtype == "tombstone"  # in the name of Slackbot
    if _by_bot(before if gone else after, found.own):
        return Skipped(reason="a bot changed its message")
    if gone:
        return _edit(channel, after.ts, None, said, envelope)
    text = _text(after, found.own)
    if said.previous_message is not None and text == _text(before, found.own):
        return Skipped(reason="the text did not change: a preview was added, or a file removed")
    return _edit(channel, after.ts, text, said, envelope, _editor(after, before, found.workspace))


def _editor(after: _Said, before: _Said, workspace: str) -> Identity | None:
    """Who edited, as far as Slack says; if it names two, the one who did not write the message."""
    named = [each for each in ((after.edited or _Edited()).user, after.user) if each]
    user = next((each for each in named if each != before.user), before.user)
    return Identity(scheme="slack", value=f"{workspace}:{user}") if user and workspace else None


def _edit(
    channel: str, ts: str | None, text: str | None, said: _Said, envelope: Envelope, by: Identity | None = None
) -> Item:
    """`by` None: of a deletion Slack names only whose message it was, and administrators may delete any."""
    if not channel or not ts:
        return Skipped(reason="a change that does not say of what", park=True)
    at = plausible(said.event_ts or said.ts, envelope.at)
    return Edited(key=envelope.key, of=key(channel, ts), at=at, text=text, by=by)


def _by_bot(said: _Said, own: str) -> bool:
    return bool(said.bot_id) or said.subtype == "bot_message" or said.user == "USLACKBOT" or bool(own == said.user)


def _private(said: _Said) -> bool:
    """Only direct messages are; a private channel has readers."""
    return said.channel_type in ("im", "app_home") or (not said.channel_type and (said.channel or "")[:1] == "D")


def _text(said: _Said, own: str) -> str:
    """What was written, and the texts of messages that were passed on."""
    passed = [each.text or each.fallback or "" for each in said.attachments or () if each.is_share]
    lines = [readable(said.text or "", own), *(readable(text) for text in passed)]
    return "\n".join(line for line in lines if line.strip())


def _media(files: Sequence[_File]) -> tuple[Media, ...]:
    """Files by their ids, fetched later. Deleted and hidden ones have no bytes; external ones are only links."""
    return tuple(
        Media(
            ref=each.id,
            name=(each.name or each.title or "file")[:1000],
            type=(each.mimetype or "application/octet-stream")[:200],
        )
        for each in files
        if each.id and each.mode not in ("tombstone", "hidden_by_limit", "external")
    )


def _profile(user: _User, workspace: str, envelope: Envelope) -> Item:
    """A name, and the mail address as a claim: A1 only where Slack had it confirmed."""
    if user.is_bot:
        return Skipped(reason="the profile of a bot")
    who = Identity(scheme="slack", value=f"{workspace}:{user.id}")
    if user.deleted:
        return Fact(key=envelope.key, at=envelope.at, who=who, what="left")
    more: dict[str, Any] = {}
    if (mail := user.profile.email) and "@" in mail and len(mail) <= 320:  # RFC 3696, erratum 1690
        more["claims"] = (
            Claim(
                identity=Identity(scheme="email", value=mail),
                assurance=1 if user.is_email_confirmed else 0,
                issuer=f"slack:{user.team_id or workspace}",
                evidence="profile",
            ),
        )
    name = user.profile.real_name or user.profile.display_name or user.name or ""
    return Fact(key=envelope.key, at=envelope.at, who=who, what="profile", name=name[:1000], **more)
