"""A message to a user, as rows: recorded before it is sent, in the same transaction as what caused it."""

from collections.abc import Sequence

from msgspec import Struct

from context_store.lookups import KnownQuery
from context_store.text import lane_of
from context_store.times import from_millis
from hub.communicate.route import Route
from hub.draft import Draft, as_json, identity_hash, names
from hub.keys import Keys
from plugins import MediaRef, Outgoing

KINDS = {"email": "mail", "phone": "sms", "social": "post"}
"""What a message of ours is on a channel, where it is no chat line."""


class Answered(Struct, frozen=True):
    """What of the answered message goes into the answer."""

    key: str = ""
    """Provider's id of it, "" if there is none."""
    thread: str = ""
    reply_via: bytes = b""
    private: bool = True


class Answer(Struct, frozen=True, kw_only=True):
    """What is said."""

    subject: str
    text: str
    author: str
    """`hub`, or `agent:<login>`."""
    shown_author: str = ""
    automatic: bool = False
    media: Sequence[MediaRef] = ()


def compose(
    draft: Draft, keys: Keys, query: KnownQuery, channel: str, where: Route, answered: Answered, answer: Answer,
    horizon: float,
) -> int:  # fmt: skip
    """Add the outbound message and its delivery; returns the message's id. Private stays private."""
    number = draft.ids.next()
    key = keys.message_key(number)
    recipient = draft.known.identities[identity_hash(where.to)]
    thread = draft.thread(query, where.instance, answered.thread, b"")
    draft.message(
        query, thread, id=number, key=key, at=from_millis(draft.now), instance=where.instance, channel=channel,
        kind=KINDS.get(channel, "chat"), identity_id=recipient.id, direction="out", private=answered.private,
        author=answer.author, automatic="reply" if answer.automatic else "", subject=answer.subject,
        text=answer.text, recipients=names([where.to]), delivery="queued",
        replies_to=as_json([answered.key] if answered.key else []),
    )  # fmt: skip
    work = Outgoing(
        key=key,
        token=keys.reply_token(query.id, recipient.id) if answered.private else "",
        reference=draft.root(query).reference,
        thread=answered.thread,
        to=where.to,
        text=answer.text,
        subject=answer.subject,
        author=answer.shown_author,
        replies_to=[answered.key] if answered.key else [],
        private=answered.private,
        automatic=answer.automatic,
        media=answer.media,
        reply_via=answered.reply_via,
    )
    lane = lane_of("out", where.instance, str(query.id))
    draft.outbox("delivery", where.instance, lane, query.id, work, horizon=horizon, message=number)
    return number
