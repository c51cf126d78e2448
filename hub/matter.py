"""Which matter a message belongs to: an authorisation decision, strongest proof first (design §5).

    1 continuation token   with its own participant's address it joins even at A0; a token that a person holds
                           (link, PIN) joins whoever brings it; the right token from a strange sender is kept in the
                           query as an unverified third party, seen by agents only, answered with nothing
    2 the channel's thread proved by the channel itself
    3 our signed key       named by the reply of its recipient, authenticated (A1); or a message of their own
    4 an open query        of the same user on the same instance, within the window, for private short lines (A1)
    5 a new query          with a hint where something named an older one without proof

A subject number, an unsigned Message-ID or a forged References header proves nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from textwrap import shorten
from typing import Any

from context_store.lookups import KnownIdentity, KnownMessage, KnownQuery
from context_store.text import canonical, hash_key
from hub.draft import Draft, message_hash, thread_hash
from hub.keys import Keys, query_named_by
from hub.underway import carried
from plugins import Message

MOST_NAMED = 50
"""Messages and tokens that one message may name: the newest of them; the rest is noise, or an attack."""
SHORT_LINES = frozenset({"chat", "sms", "post"})
"""Kinds where people write many short messages about one matter; a mail, form or call is a matter of its own."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message goes. `standing`: "" their own · "claimed" A0 · "third_party" right token, strange sender."""

    query: KnownQuery
    fresh: bool
    standing: str = ""


def find_matter(
    draft: Draft, message: Message, sender: KnownIdentity, channel: str, instance: str, keys: Keys
) -> Place:
    """The conversation that the message goes into, made if need be."""
    standing = "" if message.sender.assurance >= 1 else "claimed"
    for token in message.tokens[:MOST_NAMED]:
        if place := _by_token(draft, message, token, sender, channel, instance, keys, standing):
            return place
    proofs = _proofs(draft, message, sender, instance, keys)
    for named, via, evidence in proofs:
        root = draft.root(named)
        if _over(draft, root):
            continue
        return Place(own_conversation(draft, root, named, sender, channel, instance, via, evidence), False, standing)
    return _new(draft, message, sender, channel, instance, keys, standing)


def _by_token(
    draft: Draft, message: Message, token: str, sender: KnownIdentity, channel: str, instance: str, keys: Keys,
    standing: str,
) -> Place | None:  # fmt: skip
    held = draft.known.tokens.get(hash_key("continue", token))
    if held is not None and (named := draft.known.queries.get(held.query_id)) and not _over(draft, named):
        evidence = {"kind": held.kind}
        carried(draft, message, instance, named, evidence)
        query = own_conversation(draft, draft.root(named), named, sender, channel, instance, "token", evidence)
        return Place(query, False, standing)
    named = _proved(draft, token, keys)
    if named is None or _over(draft, named):
        return None
    if named.identity_id == sender.id:
        return Place(named, False, standing)
    owner = draft.known.by_id[named.identity_id]
    if owner.user_id == sender.user_id and message.sender.assurance >= 1:
        evidence = {"kind": "reply", "user": str(owner.user_id)}
        query = own_conversation(draft, draft.root(named), named, sender, channel, instance, "user", evidence)
        return Place(query, False)
    return Place(named, False, "third_party")


def _over(draft: Draft, query: KnownQuery) -> bool:
    """A closed matter takes nothing more: what names it begins a new one, with a hint."""
    return draft.root(query).state == "closed"


def _proofs(
    draft: Draft, message: Message, sender: KnownIdentity, instance: str, keys: Keys
) -> Iterator[tuple[KnownQuery, str, dict[str, Any]]]:
    """Conversations that the message may join, strongest first, with the evidence for it."""
    known = draft.known
    if message.thread and (thread := known.threads.get(thread_hash(instance, message.thread))):
        yield known.queries[thread.query_id], "thread", {"instance": instance}
    if message.sender.assurance < 1:
        return
    for key in message.replies_to[:MOST_NAMED]:
        for named in _named(draft, key, instance, keys):
            if named.standing == "third_party":  # a stranger's own message there proves nothing for the stranger
                continue
            if named.identity_id == sender.id:
                yield known.queries[named.query_id], "reply", {"to": str(named.id)}
            elif known.by_id[named.identity_id].user_id == sender.user_id:
                yield known.queries[named.query_id], "user", {"to": str(named.id), "user": str(sender.user_id)}
    # What everybody reads never continues, by the person alone, what may have been said in private.
    if joins_open(message) and (root := known.open_queries.get((sender.user_id, instance))):
        yield known.queries[root], "user", {"window": instance, "user": str(sender.user_id)}


def joins_open(message: Message) -> bool:
    """May an open query of its sender take it, though nothing in it names one?"""
    return message.private and message.kind in SHORT_LINES and message.sender.assurance >= 1


def _named(draft: Draft, key: str, instance: str, keys: Keys) -> list[KnownMessage]:
    """Messages that a reply names: ours by our signature, theirs by the instance's own key."""
    own = keys.message_of(key)
    if own is not None:
        message = draft.known.own_messages.get(own)
        return [message] if message else []
    return draft.known.messages.get(message_hash(instance, key), [])


def own_conversation(
    draft: Draft, root: KnownQuery, named: KnownQuery, sender: KnownIdentity, channel: str, instance: str, via: str,
    evidence: dict[str, Any],
) -> KnownQuery:  # fmt: skip
    """The sender's own conversation in the matter; a new one is joined to it with its evidence."""
    own = draft.known.conversations.get((root.id, sender.id))
    if own is not None:
        return draft.known.queries[own]
    query = draft.query(sender, instance, channel, root_id=root.id, subject=root.subject, state=root.state)
    draft.join(query, named, via, evidence)
    return query


def _new(
    draft: Draft, message: Message, sender: KnownIdentity, channel: str, instance: str, keys: Keys, standing: str
) -> Place:
    state = "closed" if message.automatic else "new"
    query = draft.query(
        sender, instance, channel, subject=canonical(message.subject or _beginning(message.text), 500), state=state,
        automatic=bool(message.automatic), language=canonical(message.language, 35),
        closed_at=draft.now if message.automatic else None, last_in_at=draft.now,
    )  # fmt: skip
    replied = [m for key in message.replies_to[:MOST_NAMED] for m in _named(draft, key, instance, keys)]
    named = [draft.known.queries[m.query_id] for m in replied]
    named += [found for token in message.tokens[:MOST_NAMED] if (found := _proved(draft, token, keys))]
    hints = {draft.root(one).reference for one in named}
    if hints:
        draft.event("query.hint", query.id, "hub", {"may_follow": sorted(hints), "why": "named without proof"})
    return Place(query, True, standing)


def _beginning(text: str) -> str:
    """The first words of what has no subject: how agents tell it from others in a list."""
    return shorten(text[:1000].strip().partition("\n")[0], 80, placeholder=" …")


def _proved(draft: Draft, token: str, keys: Keys) -> KnownQuery | None:
    """The conversation that a true reply token names, whoever brings it."""
    named = draft.known.queries.get(query_named_by(token) or 0)
    return named if named is not None and keys.proves(token, named.id, named.identity_id) else None
