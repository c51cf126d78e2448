"""A batch in the making: what is known, and the rows that will be written, kept in step with each other.

Whatever is added is laid over what was read, so that the second message of a batch meets what the first one made.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from context_store import Store
from context_store.audit import NewEvent
from context_store.fallbacks import FIELD
from context_store.ids import Blocks
from context_store.lookups import (
    Known,
    KnownIdentity,
    KnownMessage,
    KnownQuery,
    KnownThread,
    KnownUser,
    remember_query,
)
from context_store.record import Batch
from context_store.references import reference_of
from context_store.text import canonical, hash_key
from context_store.times import to_millis
from plugins import Claim, Identity, Message, canonical_address, spelled_address

MOST_LINKS = 5
"""Links to sign in that one mailbox gets within an hour; those that it has work on."""


def as_json(value: Any) -> str:
    """Compact JSON of structs and plain values."""
    return msgspec.json.encode(value).decode()


def address(identity: Identity) -> str:
    """The value by which the identity is known: one for all spellings of a mail address."""
    return canonical(canonical_address(identity), 1024)


def identity_hash(identity: Identity) -> bytes:
    """The key of an identity."""
    return hash_key(identity.scheme, address(identity))


def mailbox_hash(identity: Identity) -> bytes:
    """One for all addresses that a mailbox makes up for itself: `ann+1@…`, and dots where Google overlooks them."""
    mailbox, at, domain = address(identity).rpartition("@")
    if identity.scheme == "email" and at:
        mailbox = mailbox.partition("+")[0] or mailbox
        if domain in ("gmail.com", "googlemail.com"):
            mailbox, domain = mailbox.replace(".", ""), "gmail.com"
    return hash_key("mailbox", identity.scheme, f"{mailbox}{at}{domain}")


def link_hashes(identity: Identity) -> tuple[bytes, ...]:
    """By which the links to a mailbox are counted: one for each that it may have within an hour."""
    mailbox = mailbox_hash(identity)
    return tuple(hash_key("link", mailbox, str(n)) for n in range(MOST_LINKS))


def message_hash(instance: str, key: str) -> bytes:
    """The key by which replies, edits and receipts find a message."""
    return hash_key("message", instance, key)


def thread_hash(instance: str, key: str) -> bytes:
    """The key of a conversation that the channel itself proves."""
    return hash_key("thread", instance, key)


def own_thread_hash(instance: str, query_id: int) -> bytes:
    """The key of the thread that the hub keeps where the channel has none (mail, forms).

    It begins with the id, so that new ones stand side by side in the index: a batch writes one page, not one each.
    """
    return query_id.to_bytes(8, "big") + hash_key("conversation", instance, str(query_id))[8:]


class Draft:
    """Known things and new rows of one batch."""

    def __init__(self, store: Store, known: Known, now: datetime) -> None:
        """`now` is the recording time of everything in the batch."""
        self.ids = Blocks(store.ids)
        self.known = known
        self.now = to_millis(now)
        self.batch = Batch(now=self.now, node=store.node)

    def event(self, kind: str, subject: int, actor: str, body: Mapping[str, Any], message: int | None = None) -> None:
        """Something that the journey and the audit chain show."""
        self.batch.events.append(
            NewEvent(
                id=self.ids.next(),
                kind=kind,
                subject_id=subject,
                message_id=message,
                actor=actor,
                at=self.now,
                body=body,
            )
        )

    def identity(self, claim: Claim, organisation: tuple[int, str] | None) -> KnownIdentity:
        """The identity of a claim; a new one gets a user of its own."""
        key = identity_hash(claim.identity)
        found = self.known.identities.get(key)
        if found is None:
            return self._new_identity(key, claim, organisation)
        if claim.assurance > found.assurance:
            found.assurance = self.batch.assured[found.id] = claim.assurance
        return found

    def _new_identity(self, key: bytes, claim: Claim, organisation: tuple[int, str] | None) -> KnownIdentity:
        user = KnownUser(self.ids.next(), canonical(claim.name), organisation[1] if organisation else "")
        value = canonical(spelled_address(claim.identity), 1024)
        found = KnownIdentity(self.ids.next(), user.id, claim.identity.scheme, value, claim.assurance)
        self.batch.insert(
            "users", id=user.id, name=user.name, organisation_id=organisation and organisation[0], created_at=self.now
        )
        self.batch.insert(
            "identities", id=found.id, scheme=found.scheme, value=value, value_hash=key, name=user.name,
            user_id=user.id, assurance=claim.assurance, created_at=self.now,
        )  # fmt: skip
        self.batch.insert(
            "links", id=self.ids.next(), identity_id=found.id, user_id=user.id, assurance=claim.assurance,
            evidence=as_json({"via": "first contact"}), author="hub", created_at=self.now,
        )  # fmt: skip
        self.known.identities[key] = self.known.by_id[found.id] = found
        self.known.users[user.id] = user
        return found

    def call(self, identity: KnownIdentity, name: str) -> None:
        """What somebody is called, by their provider; a user's own name stays."""
        if not (name := canonical(name, 1024)):
            return
        self.batch.names[identity.id] = name
        user = self.known.users.get(identity.user_id)
        if user is not None and not user.name:
            user.name = self.batch.user_names[user.id] = name

    def acknowledged(self, sender: KnownIdentity, to: Identity, assurance: int) -> None:
        """Count it, so that nobody gets too many (R16)."""
        sender.acknowledged_lately += 1
        if assurance < 1:
            self.wrote(mailbox_hash(to))

    def wrote(self, key: bytes) -> None:
        """Count what goes to an address that is only claimed, by its mailbox or link (`link_hashes`)."""
        self.known.acknowledged[key] = self.batch.acknowledged[key] = self.now
        self.known.acknowledged_lately += 1

    def query(self, identity: KnownIdentity, instance: str, channel: str, **values: Any) -> KnownQuery:
        """A new conversation; `root_id` among the values if it is joined to another."""
        number = self.ids.next()
        query = KnownQuery(
            number, values.pop("root_id", number), identity.id, reference_of(number), instance,
            values.pop("state", "new"), values.get("target", ""), 1, self.now, values.get("subject", ""), fresh=True,
        )  # fmt: skip
        if query.state != "closed":  # the next line of this person, in this batch too, finds it
            self.known.open_queries[identity.user_id, instance] = query.root_id
        self.batch.insert(
            "queries", id=query.id, reference=query.reference, root_id=query.root_id, identity_id=identity.id,
            instance=instance, channel=channel, state=query.state, opened_at=self.now, updated_at=self.now, **values,
        )  # fmt: skip
        remember_query(self.known, query)
        return query

    def join(self, query: KnownQuery, into: KnownQuery, via: str, evidence: Mapping[str, Any]) -> None:
        """Why a conversation belongs to another's matter."""
        self.batch.insert(
            "query_joins", id=self.ids.next(), query_id=query.id, into_id=into.id, via=via,
            evidence=as_json(evidence), author="hub", created_at=self.now,
        )  # fmt: skip
        self.event("query.joined", into.id, "hub", {"query": query.reference, "via": via, **evidence})

    def touch_query(self, root: KnownQuery, *, state: str | None = None, came_in: bool = False) -> None:
        """Something happened on a matter: its version moves, so that a stale view of it is refused."""
        if root.fresh and state is None:
            return
        root.state = state or root.state
        if state is not None and root.state != "closed":
            user = self.known.by_id[root.identity_id].user_id
            self.known.open_queries[user, root.instance] = root.id
        read, _, last_in = self.batch.queries.get(root.id, (root.version, "", None))
        self.batch.queries[root.id] = (read, root.state, self.now if came_in else last_in)

    def thread(self, query: KnownQuery, instance: str, key: str, reply_via: bytes) -> KnownThread:
        """The thread row that the message stands in; `key` "" where the channel proves no thread."""
        hashed = thread_hash(instance, key) if key else own_thread_hash(instance, query.id)
        thread = self.known.threads.get(hashed)
        if thread is None:
            thread = KnownThread(self.ids.next(), hashed, query.id, query.identity_id, 0, reply_via)
            self.known.threads[hashed] = thread
            self.batch.insert(
                "threads", id=thread.id, instance=instance, key_hash=hashed, key=canonical(key, 1024),
                query_id=query.id, identity_id=query.identity_id, reply_via=reply_via, last_seq=0, last_at=self.now,
            )  # fmt: skip
        return thread

    def message(
        self, query: KnownQuery, thread: KnownThread, *, key: str, at: datetime, reply_via: bytes = b"", **values: Any
    ) -> KnownMessage:
        """A message row, numbered in its thread."""
        thread.last_seq += 1
        thread.reply_via = reply_via or thread.reply_via
        thread.query_id = query.id
        self.batch.threads[thread.id] = (thread.query_id, thread.last_seq, self.now, thread.reply_via)
        instance = values["instance"]
        message = KnownMessage(
            values.pop("id", None) or self.ids.next(), query.id, values["identity_id"], thread.id,
            values["direction"], values.get("automatic", ""), message_hash(instance, key), to_millis(at),
            values.get("delivery", ""), values.get("standing", ""),
        )  # fmt: skip
        self.batch.insert(
            "messages", id=message.id, query_id=query.id, thread_id=thread.id, thread_seq=thread.last_seq,
            key_hash=message.key_hash, key=canonical(key, 1024), at=message.at, recorded_at=self.now,
            reply_via=reply_via, **values,
        )  # fmt: skip
        self.known.messages[message.key_hash].append(message)
        return message

    def outbox(
        self, kind: str, destination: str, lane: int, query: int, body: Any, *, horizon: float,
        message: int | None = None,
    ) -> int:  # fmt: skip
        """Work for the outbox, due now. `horizon` in seconds."""
        number = self.ids.next()
        self.batch.insert(
            "outbox", id=number, kind=kind, destination=destination, lane=lane, query_id=query, message_id=message,
            body=as_json(body), state="queued", due_at=self.now, horizon_at=self.now + int(horizon * 1000),
            created_at=self.now,
        )  # fmt: skip
        return number

    def item(self, envelope: int, n: int, kind: str, outcome: str, reason: str = "", **values: Any) -> int:
        """What became of one item."""
        number = self.ids.next()
        self.batch.insert(
            "items", id=number, envelope_id=envelope, n=n, kind=kind, outcome=outcome,
            reason=canonical(reason, 1000), **values,
        )  # fmt: skip
        return number

    def root(self, query: KnownQuery) -> KnownQuery:
        """The matter that a conversation belongs to."""
        return self.known.queries[query.root_id]


def names(identities: Sequence[Identity]) -> str:
    """Recipients as stored, and as `context_store.views` reads them: JSON of identities, bounded."""
    return canonical(as_json(identities[:200]))


def kept_fields(item: Message) -> str:
    """As stored; the address that the sender left stands among them, where agents see it."""
    fields = {
        f"said {name}" if name == FIELD else name: value for name, value in item.fields.items()
    }  # not theirs to set
    if item.fallback is not None:
        fields[FIELD] = f"{item.fallback.scheme}:{item.fallback.value}"
    if item.reply_to is not None:  # an agent sees it, nothing follows it (design §5)
        fields["reply-to"] = f"{item.reply_to.scheme}:{item.reply_to.value}"
    return canonical(as_json(fields))
