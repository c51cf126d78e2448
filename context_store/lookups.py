"""What a batch must know before it is judged: read in one hop, a fixed number of statements however large the batch.

The rows come back as small mutable dataclasses in dictionaries, because the pipeline lays its own new rows over them
while it goes through the batch: the second message of a new sender meets the identity that the first one made.
"""

from collections import defaultdict
from dataclasses import dataclass, field

from sqlalchemy import Connection, bindparam, func, null, select, text, union_all

from context_store import tables as t
from context_store.among import among as _among
from context_store.among import rows as _rows
from context_store.announcements import Announcement, announcements
from context_store.histories import OPEN_STATES, Asked, History, histories
from context_store.parts import KnownPart, parts_of
from context_store.text import canonical
from context_store.underway import Underway, underway

REPORTS = ("bounce", "receipt", "report")
"""Values of `messages.automatic` that speak of another message."""


@dataclass(slots=True)
class Wanted:
    """Hashes and ids that the batch's items name."""

    envelopes: set[int] = field(default_factory=set)
    items: set[bytes] = field(default_factory=set)
    identities: set[bytes] = field(default_factory=set)
    threads: set[bytes] = field(default_factory=set)
    marks: set[bytes] = field(default_factory=set)
    """Threads of which a receipt says "everything up to"."""
    keys: set[bytes] = field(default_factory=set)
    own_messages: set[int] = field(default_factory=set)
    receipts: bool = False
    """Whether something is said of messages of ours."""
    queries: set[int] = field(default_factory=set)
    tokens: set[bytes] = field(default_factory=set)
    tickets: set[tuple[str, str]] = field(default_factory=set)
    """(target, ticket or ext_id)"""
    since: dict[str, int] = field(default_factory=dict)
    """Instance → the oldest `updated_at` at which an open query of the same user still takes a new message."""
    reporters: set[bytes] = field(default_factory=set)
    """Identities that sent a report of this batch (a bounce)."""
    mailboxes: set[bytes] = field(default_factory=set)
    """Of unproved senders, and of links to sign in: each link counts under a hash of its own."""
    reports_since: int = 0
    """The smallest id that counts as today."""
    automatic_since: int = 0
    """The smallest id (ids carry time) that counts as lately."""
    underway: bool = False
    """Whether a message may belong to a query whose sender is still on the way (a call)."""
    asked: Asked | None = None
    """What rules ask of history; None: nothing is judged by rules."""


@dataclass(slots=True)
class KnownIdentity:
    """An identity and whose it is; `user_id` as the active links say."""

    id: int
    user_id: int
    scheme: str
    value: str
    assurance: int = 0
    barred: str = ""
    automatic_lately: int = 0
    acknowledged_lately: int = 0
    reported_today: int = 0


@dataclass(slots=True)
class KnownUser:
    """What rules may ask about a user."""

    id: int
    name: str = ""
    organisation: str = ""
    language: str = ""
    vip: bool = False
    fields: str = "{}"


@dataclass(slots=True)
class KnownQuery:
    """A conversation; state, version and instance matter on the root."""

    id: int
    root_id: int
    identity_id: int
    reference: str
    instance: str
    state: str
    target: str
    version: int
    updated_at: int
    subject: str = ""
    fresh: bool = False
    """Made in this very batch."""


@dataclass(slots=True)
class KnownThread:
    """A channel's conversation, or the hub's own for a conversation without one."""

    id: int
    key_hash: bytes
    query_id: int
    identity_id: int
    last_seq: int
    reply_via: bytes


@dataclass(slots=True)
class KnownMessage:
    """Enough of a message to tie a reply, edit or receipt to it."""

    id: int
    query_id: int
    identity_id: int
    thread_id: int
    direction: str
    automatic: str
    key_hash: bytes
    at: int
    delivery: str = ""
    standing: str = ""
    edited_at: int | None = None
    deleted_at: int | None = None


@dataclass(slots=True)
class KnownToken:
    """A continuation token that a person holds."""

    token_hash: bytes
    kind: str
    query_id: int
    identity_id: int | None


@dataclass(slots=True)
class Waiting:
    """An item that came before its original."""

    id: int
    kind: str
    body: str


@dataclass(slots=True)
class KnownTicket:
    """A ticket of ours in a target."""

    id: int
    query_id: int
    target: str
    ext_id: str
    ticket: str
    revision: int


@dataclass(slots=True)
class Known:
    """Everything the batch may lean on."""

    tried: dict[int, dict[int, str]] = field(default_factory=lambda: defaultdict(dict))
    """Envelope → n → outcome, of envelopes that were parked and released."""
    items: set[bytes] = field(default_factory=set)
    identities: dict[bytes, KnownIdentity] = field(default_factory=dict)
    by_id: dict[int, KnownIdentity] = field(default_factory=dict)
    users: dict[int, KnownUser] = field(default_factory=dict)
    threads: dict[bytes, KnownThread] = field(default_factory=dict)
    messages: dict[bytes, list[KnownMessage]] = field(default_factory=lambda: defaultdict(list))
    part: dict[bytes, int] = field(default_factory=dict)
    """Hash of a provider's key → which part of a text it names; the message stands in `messages`."""
    parts: dict[int, list[KnownPart]] = field(default_factory=dict)
    """Message of ours → its parts in order, where a receipt may ask for them and there are several."""
    own_messages: dict[int, KnownMessage] = field(default_factory=dict)
    unread: dict[bytes, list[KnownMessage]] = field(default_factory=lambda: defaultdict(list))
    """Thread of `Wanted.marks` → what we sent in it and nobody has read, oldest first."""
    queries: dict[int, KnownQuery] = field(default_factory=dict)
    conversations: dict[tuple[int, int], int] = field(default_factory=dict)
    """(root, identity) → the conversation of that identity in that matter."""
    open_queries: dict[tuple[int, str], int] = field(default_factory=dict)
    """(user, instance) → the root that was touched last."""
    tokens: dict[bytes, KnownToken] = field(default_factory=dict)
    underway: dict[int, Underway] = field(default_factory=dict)
    """By root."""
    waiting: dict[bytes, list[Waiting]] = field(default_factory=lambda: defaultdict(list))
    histories: dict[int, History] = field(default_factory=dict)
    """By user; new users of the batch come in as they are met."""
    announced: tuple[Announcement, ...] = ()
    """In force now."""
    tickets: dict[tuple[str, str], KnownTicket] = field(default_factory=dict)
    acknowledged: dict[bytes, int] = field(default_factory=dict)
    """Unproved mailbox → when it last had an acknowledgement; link of a mailbox → when it last went out."""
    acknowledged_lately: int = 0
    """How many of all these within the hour."""


_m, _q, _th, _i, _u = t.messages.c, t.queries.c, t.threads.c, t.identities.c, t.users.c
_o, _s = t.outbox.c, t.steps.c
_message_columns = (
    _m.id, _m.query_id, _m.identity_id, _m.thread_id, _m.direction, _m.automatic, _m.key_hash, _m.at, _m.delivery,
    _m.standing, _m.edited_at, _m.deleted_at,
)  # fmt: skip
_query_columns = (
    _q.id, _q.root_id, _q.identity_id, _q.reference, _q.instance, _q.state, _q.target, _q.version, _q.updated_at,
    _q.subject,
)  # fmt: skip
_identity_columns = (_i.id, _i.user_id, _i.scheme, _i.value, _i.assurance, _i.barred)

_tried = select(t.items.c.envelope_id, t.items.c.n, t.items.c.outcome).where(_among(t.items.c.envelope_id))
_unread = (
    select(_th.key_hash.label("thread_hash"), *_message_columns)
    .select_from(t.messages.join(t.threads, _th.id == _m.thread_id))
    .where(_among(_th.key_hash), _m.direction == "out", _m.delivery.in_(("queued", "uncertain", "sent", "delivered")))
    .order_by(_m.id)
)
_items = select(t.items.c.key_hash).where(_among(t.items.c.key_hash))
_waiting = (
    select(t.items.c.waits_for, t.items.c.id, t.items.c.kind, t.items.c.body)
    .where(_among(t.items.c.waits_for), text("outcome = 'waiting'"))  # a literal: the partial index needs it
    .order_by(t.items.c.id)
)
_identities = select(_i.value_hash, *_identity_columns).where(_among(_i.value_hash))
_identities_by_id = select(_i.value_hash, *_identity_columns).where(_among(_i.id))
_users = (
    select(_u.id, _u.name, func.coalesce(t.organisations.c.slug, ""), _u.language, _u.vip, _u.fields)
    .select_from(t.users.outerjoin(t.organisations))
    .where(_among(_u.id))
)
_threads = select(_th.id, _th.key_hash, _th.query_id, _th.identity_id, _th.last_seq, _th.reply_via).where(
    _among(_th.key_hash)
)
_threads_of = select(_th.id, _th.key_hash, _th.query_id, _th.identity_id, _th.last_seq, _th.reply_via).where(
    _among(_th.query_id)
)
_messages = union_all(
    select(_m.key_hash.label("named"), null().label("part"), *_message_columns).where(_among(_m.key_hash)),
    select(_s.ref_hash, _s.n, *_message_columns)
    .select_from(t.steps.join(t.outbox, _o.id == _s.outbox_id).join(t.messages, _m.id == _o.message_id))
    .where(_among(_s.ref_hash)),
)
_own_messages = select(*_message_columns).where(_among(_m.id))
_queries = select(*_query_columns).where(_among(_q.id))
_conversations = select(*_query_columns).where(_among(_q.root_id))
_tokens = select(t.tokens.c.token_hash, t.tokens.c.kind, t.tokens.c.subject_id, t.tokens.c.identity_id).where(
    _among(t.tokens.c.token_hash),
    t.tokens.c.kind == "continue",
    t.tokens.c.expires_at > bindparam("now"),
    t.tokens.c.tries_left > 0,
    t.tokens.c.used_at.is_(None),
)
_a = t.acknowledged.c
_acknowledged = select(_a.mailbox_hash, _a.at).where(_among(_a.mailbox_hash))
_is_automatic = text("messages.automatic <> ''")  # a literal: the partial index needs it
_automatic = (
    select(_m.identity_id, _m.direction, func.count())
    .where(_among(_m.identity_id), _is_automatic, _m.id >= bindparam("since"))
    .group_by(_m.identity_id, _m.direction)
)
_reports = (
    select(_m.identity_id, func.count())
    .where(_among(_m.identity_id), _is_automatic, _m.automatic.in_(REPORTS), _m.id >= bindparam("since"))
    .group_by(_m.identity_id)
)
_root = t.queries.alias("root")
_by_user = t.queries.join(t.identities, _i.id == _q.identity_id)
_touched = (_among(_i.user_id), _q.instance == bindparam("instance"), _q.automatic.is_(False))
# Two indexes, so that what was closed or is over costs nothing: a matter of one's own stands in the one while it is
# open, by when it was touched; conversations that are joined to another matter, few, stand in the other.
_open = union_all(
    select(_i.user_id, _q.instance, _q.root_id, _q.updated_at)
    .select_from(_by_user)
    .where(*_touched, _q.updated_at >= bindparam("since"), text(f"queries.{t.OPEN}"), _q.root_id == _q.id),
    select(_i.user_id, _q.instance, _q.root_id, _root.c.updated_at)
    .select_from(_by_user.join(_root, _root.c.id == _q.root_id))
    .where(*_touched, text("queries.root_id <> queries.id"))
    .where(_root.c.updated_at >= bindparam("since"), _root.c.state.in_(OPEN_STATES)),
).order_by("updated_at")
_tickets = select(
    t.tickets.c.id, t.tickets.c.query_id, t.tickets.c.target, t.tickets.c.ext_id, t.tickets.c.ticket,
    t.tickets.c.revision,
).where(
    t.tickets.c.target.in_(bindparam("targets", expanding=True)),
    _among(t.tickets.c.ext_id) | _among(t.tickets.c.ticket),
)  # fmt: skip


def gather(conn: Connection, wanted: Wanted, now: int) -> Known:
    """Read everything that `wanted` names and what hangs on it."""
    known = Known()
    for envelope, n, outcome in _rows(conn, _tried, wanted.envelopes):
        known.tried[envelope][n] = outcome
    known.items = {key for (key,) in _rows(conn, _items, wanted.items)}
    for waits_for, *rest in _rows(conn, _waiting, wanted.keys):
        known.waiting[waits_for].append(Waiting(*rest))
    _gather_messages(conn, wanted, known)
    known.tokens = {row.token_hash: KnownToken(*row) for row in _rows(conn, _tokens, wanted.tokens, now=now)}
    known.threads = {row.key_hash: KnownThread(*row) for row in _rows(conn, _threads, wanted.threads)}
    _gather_tickets(conn, wanted, known)
    _gather_queries(conn, wanted, known)
    _gather_people(conn, wanted, known, now)
    return known


def _gather_messages(conn: Connection, wanted: Wanted, known: Known) -> None:
    """One object for each message, however it is named."""
    met = dict[int, KnownMessage]()
    for named, part, *columns in _rows(conn, _messages, wanted.keys):
        message = met.setdefault(columns[0], KnownMessage(*columns))
        if part is not None:
            known.part[named] = part
        if message not in known.messages[named]:
            known.messages[named].append(message)
    for row in _rows(conn, _own_messages, wanted.own_messages):
        known.own_messages[row.id] = met.setdefault(row.id, KnownMessage(*row))
    for thread_hash, *columns in _rows(conn, _unread, wanted.marks):
        known.unread[thread_hash].append(met.setdefault(columns[0], KnownMessage(*columns)))
    if wanted.receipts:
        ours = [message.id for message in met.values() if message.direction == "out"]
        known.parts = parts_of(conn, ours)


def _gather_tickets(conn: Connection, wanted: Wanted, known: Known) -> None:
    names = {canonical(name) for _, name in wanted.tickets}
    targets = {target for target, _ in wanted.tickets}
    for row in _rows(conn, _tickets, names, targets=list(targets)):
        ticket = KnownTicket(*row)
        known.tickets[ticket.target, ticket.ext_id] = ticket
        known.tickets[ticket.target, ticket.ticket] = ticket


def _gather_queries(conn: Connection, wanted: Wanted, known: Known) -> None:
    named = wanted.queries | {thread.query_id for thread in known.threads.values()}
    named |= {token.query_id for token in known.tokens.values()}
    named |= {message.query_id for found in known.messages.values() for message in found}
    named |= {message.query_id for message in known.own_messages.values()}
    named |= {message.query_id for found in known.unread.values() for message in found}
    named |= {ticket.query_id for ticket in known.tickets.values()}
    roots = {row.root_id for row in _rows(conn, _queries, named)}
    for row in _rows(conn, _conversations, roots):
        remember_query(known, KnownQuery(*row))
    for row in _rows(conn, _threads_of, known.queries.keys()):
        known.threads.setdefault(row.key_hash, KnownThread(*row))
    if wanted.underway and roots:
        known.underway = underway(conn, roots)


def _gather_people(conn: Connection, wanted: Wanted, known: Known, now: int) -> None:
    found = [*_rows(conn, _identities, wanted.identities)]
    seen = {row.id for row in found}
    others = {query.identity_id for query in known.queries.values()} - seen
    for value_hash, *row in [*found, *_rows(conn, _identities_by_id, others)]:
        identity = KnownIdentity(*row)
        known.identities[value_hash] = known.by_id[identity.id] = identity
    for identity_id, direction, n in _rows(conn, _automatic, seen, since=wanted.automatic_since):
        if direction == "in":
            known.by_id[identity_id].automatic_lately = n
        else:
            known.by_id[identity_id].acknowledged_lately = n
    reporters = {known.identities[key].id for key in wanted.reporters if key in known.identities}
    for identity_id, n in _rows(conn, _reports, reporters, since=wanted.reports_since):
        known.by_id[identity_id].reported_today = n
    if wanted.mailboxes:
        known.acknowledged = {row.mailbox_hash: row.at for row in _rows(conn, _acknowledged, wanted.mailboxes)}
        lately = select(func.count()).select_from(t.acknowledged).where(_a.at > now - 3_600_000)
        known.acknowledged_lately = conn.scalar(lately) or 0
    users = {identity.user_id for identity in known.by_id.values()}
    known.users = {row[0]: KnownUser(*row) for row in _rows(conn, _users, users)}
    for instance, since in wanted.since.items():
        _gather_open(conn, known, users, instance, since)
    if wanted.asked is not None:
        known.histories = histories(conn, users, wanted.asked, now)
        known.announced = announcements(conn, now)


def _gather_open(conn: Connection, known: Known, users: set[int], instance: str, since: int) -> None:
    for user_id, on, root_id, _ in _rows(conn, _open, users, instance=instance, since=since):
        known.open_queries[user_id, on] = root_id  # the last touched of each
    missing = set(known.open_queries.values()) - known.queries.keys()
    fresh = [KnownQuery(*row) for row in _rows(conn, _conversations, missing)]
    for query in fresh:
        remember_query(known, query)
    for row in _rows(conn, _threads_of, [query.id for query in fresh]):
        known.threads.setdefault(row.key_hash, KnownThread(*row))


def remember_query(known: Known, query: KnownQuery) -> None:
    """Lay a conversation over what is known."""
    known.queries[query.id] = query
    known.conversations.setdefault((query.root_id, query.identity_id), query.id)
