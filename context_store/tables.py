"""Every table, with the reason for it, in one file: a schema is read as a whole. Only `context_store` imports it.

Conventions: `*_at`, `*_until` are UTC milliseconds since 1970. Ids are the 63-bit numbers of `ids.py`, made by the
application, so a batch needs no round trip to learn them. External ids are hashed (SHA-256) before they become
keys: PostgreSQL refuses index rows over 8 kB and a mail's Message-ID may be longer. JSON stands in `Text`, since
PostgreSQL's jsonb refuses what JSON allows (an escaped NUL). Text was canonicalised at the edge (`text.py`).
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import TSVECTOR

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    }
)

# INTEGER PRIMARY KEY is SQLite's rowid itself: no second index, appends at the end of the tree.
Id = BigInteger().with_variant(Integer, "sqlite")
Millis = BigInteger
Hash = LargeBinary(32)


def _only(condition: str) -> dict[str, Any]:
    """A partial index in both dialects: small however large the table grows."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


OPEN = "state IN ('new', 'open', 'pending', 'on_hold')"
"""Queries that somebody works on, or waits for. A literal wherever it is asked: partial indexes need it."""

# ---- the installation -------------------------------------------------------------------------------

meta = Table(
    "meta",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
    comment="installation id, min_reader (the oldest schema that may still write)",
)

nodes = Table(
    "nodes",
    metadata,
    Column("node", SmallInteger, primary_key=True, autoincrement=False),
    Column("owner", Text, nullable=False),
    Column("lease_until", Millis, nullable=False),
    comment="node numbers are part of every id: leased, so that two processes never share one",
)

leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("until", Millis, nullable=False),
    Column("fence", BigInteger, nullable=False),
    comment="instances whose runner only one node may run; the fence refuses what a former holder writes",
)

tallies = Table(
    "tallies",
    metadata,
    Column("instance", Text, primary_key=True),
    Column("node", SmallInteger, primary_key=True, autoincrement=False),
    Column("state", Text, primary_key=True),
    Column("n", BigInteger, nullable=False),
    comment="received = done + parked + pending + erased, kept in the same transactions; per node, so that nodes "
    "don't wait for one row",
)

alarms = Table(
    "alarms",
    metadata,
    Column("key", Text, primary_key=True),
    Column("what", Text, nullable=False),
    Column("raised_at", Millis, nullable=False),
    Column("last_at", Millis, nullable=False),
    Column("times", Integer, nullable=False),
    Column("cleared_at", Millis),
    comment="what a person must know: shown in the console and on /healthz until it is cleared",
)

cursors = Table(
    "cursors",
    metadata,
    Column("instance", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("value", LargeBinary, nullable=False),
    Column("moved_at", Millis, nullable=False),
    comment="moves in the transaction that journals what it passed",
)

instance_state = Table(
    "instance_state",
    metadata,
    Column("instance", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("ciphertext", LargeBinary, nullable=False),
    Column("expires_at", Millis, nullable=False),
    comment="rotating credentials, encrypted; the key lies outside the database",
)

# ---- in ----------------------------------------------------------------------------------------------

envelopes = Table(
    "envelopes",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("instance", Text, nullable=False),
    Column("key_hash", Hash, nullable=False),
    Column("body_hash", Hash, nullable=False),
    Column("lane", BigInteger, nullable=False),
    Column("facts", Text, nullable=False),
    Column("raw", LargeBinary),
    Column("raw_sha", Hash),
    Column("size", BigInteger, nullable=False),
    Column("received_at", Millis, nullable=False),
    Column("isolated", Boolean, nullable=False, server_default=text("false")),
    Column("state", Text, nullable=False),
    Column("cause", Text),
    Column("trace", Text),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("workers_lost", Integer, nullable=False, server_default="0"),
    Column("redelivered", Integer, nullable=False, server_default="0"),
    Column("collision", Boolean, nullable=False, server_default=text("false")),
    Column("settled_at", Millis),
    UniqueConstraint("key_hash", "body_hash"),
    Index("ix_envelopes_pending", "isolated", "id", "lane", **_only("state = 'pending'")),
    Index("ix_envelopes_parked", "id", **_only("state = 'parked'")),
    Index("ix_envelopes_instance", "instance", "id"),
    comment="the journal: raw bytes first, everything else is derived from here",
)

items = Table(
    "items",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("envelope_id", Id, ForeignKey("envelopes.id"), nullable=False),
    Column("n", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("key_hash", Hash, unique=True),
    Column("outcome", Text, nullable=False),
    Column("reason", Text, nullable=False, server_default=""),
    Column("message_id", Id),
    Column("waits_for", Hash),
    Column("until", Millis),
    Column("body", Text),
    UniqueConstraint("envelope_id", "n"),
    Index("ix_items_waiting", "waits_for", **_only("outcome = 'waiting'")),
    Index("ix_items_until", "until", **_only("outcome = 'waiting'")),
    comment="what became of everything in an envelope (recorded, duplicate, skipped, waiting …), with its reason",
)

blobs = Table(
    "blobs",
    metadata,
    Column("sha256", Hash, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("refs", Integer, nullable=False),
    Column("data", LargeBinary),
    Column("created_at", Millis, nullable=False),
    comment="content-addressed bytes with counted references; data is null where they lie in the folder",
)

# ---- people --------------------------------------------------------------------------------------------

organisations = Table(
    "organisations",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("slug", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("domains", Text, nullable=False, server_default="[]"),
)

users = Table(
    "users",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False, server_default=""),
    Column("organisation_id", Id, ForeignKey("organisations.id")),
    Column("language", Text, nullable=False, server_default=""),
    Column("vip", Boolean, nullable=False, server_default=text("false")),
    Column("fields", Text, nullable=False, server_default="{}"),
    Column("created_at", Millis, nullable=False),
)

identities = Table(
    "identities",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("scheme", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("value_hash", Hash, nullable=False, unique=True),
    Column("name", Text, nullable=False, server_default=""),
    Column("user_id", Id, ForeignKey("users.id"), nullable=False),
    Column("assurance", SmallInteger, nullable=False, server_default="0"),
    Column("barred", Text, nullable=False, server_default=""),
    Column("created_at", Millis, nullable=False),
    Index("ix_identities_user", "user_id"),
    comment="user_id repeats what the active links say (people.py keeps both in one transaction, doctor compares); "
    "assurance is the best ever seen; barred: blocked or opted_out at the provider",
)

acknowledged = Table(
    "acknowledged",
    metadata,
    Column("mailbox_hash", Hash, primary_key=True),
    Column("at", Millis, nullable=False),
    Index("ix_acknowledged_at", "at"),
    comment="when an unproved mailbox, whatever its +suffix, last had an acknowledgement: one a day, and so many an "
    "hour of all (R16)",
)

links = Table(
    "links",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("identity_id", Id, ForeignKey("identities.id"), nullable=False),
    Column("user_id", Id, ForeignKey("users.id"), nullable=False),
    Column("assurance", SmallInteger, nullable=False),
    Column("evidence", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("created_at", Millis, nullable=False),
    Column("revoked_at", Millis),
    Column("revoked_by", Text),
    Column("revoked_why", Text),
    Index("ix_links_identity", "identity_id"),
    Index("ix_links_user", "user_id"),
    comment="a user is the set of identities joined by active links; merge adds one, unmerge revokes it",
)

# ---- conversations -------------------------------------------------------------------------------------

queries = Table(
    "queries",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("reference", Text, nullable=False, unique=True),
    Column("root_id", Id, nullable=False),
    Column("identity_id", Id, ForeignKey("identities.id"), nullable=False),
    Column("instance", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("subject", Text, nullable=False, server_default=""),
    Column("state", Text, nullable=False),
    Column("type", Text, nullable=False, server_default="unknown"),
    Column("service", Text, nullable=False, server_default=""),
    Column("impact", Text, nullable=False, server_default=""),
    Column("urgency", Text, nullable=False, server_default=""),
    Column("priority", Text, nullable=False, server_default=""),
    Column("value_stream", Text, nullable=False, server_default=""),
    Column("team", Text, nullable=False, server_default=""),
    Column("target", Text, nullable=False, server_default=""),
    Column("tags", Text, nullable=False, server_default="[]"),
    Column("language", Text, nullable=False, server_default=""),
    Column("assignee_id", Id),
    Column("automatic", Boolean, nullable=False, server_default=text("false")),
    Column("decision_id", Id),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("opened_at", Millis, nullable=False),
    Column("updated_at", Millis, nullable=False),
    Column("last_in_at", Millis),
    Column("first_response_at", Millis),
    Column("resolved_at", Millis),
    Column("closed_at", Millis),
    Index("ix_queries_root", "root_id"),
    Index("ix_queries_identity", "identity_id", "state", "id"),
    Index("ix_queries_updated", "updated_at", "id"),
    Index("ix_queries_open", "identity_id", "instance", "updated_at", **_only(OPEN)),
    Index("ix_queries_joined", "identity_id", **_only("root_id <> id")),
    comment="one matter as one participant sees it (the conversation); root_id is itself, or the query that it is "
    "joined to by an active row of query_joins. State, triage and queue stand on the root",
)

query_joins = Table(
    "query_joins",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("query_id", Id, ForeignKey("queries.id"), nullable=False),
    Column("into_id", Id, ForeignKey("queries.id"), nullable=False),
    Column("via", Text, nullable=False),
    Column("evidence", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("created_at", Millis, nullable=False),
    Column("revoked_at", Millis),
    Column("revoked_by", Text),
    Index("ix_query_joins_query", "query_id"),
    Index("ix_query_joins_into", "into_id"),
    comment="why a conversation belongs to another's matter (token, user, agent); revoking a link splits those that "
    "stood on it alone",
)

threads = Table(
    "threads",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("instance", Text, nullable=False),
    Column("key_hash", Hash, nullable=False, unique=True),
    Column("key", Text, nullable=False),
    Column("query_id", Id, ForeignKey("queries.id"), nullable=False),
    Column("identity_id", Id, ForeignKey("identities.id"), nullable=False),
    Column("reply_via", LargeBinary, nullable=False, default=b""),
    Column("last_seq", Integer, nullable=False),
    Column("last_at", Millis, nullable=False),
    Index("ix_threads_query", "query_id"),
    comment="a conversation as its channel knows it; where the channel proves none, one per conversation",
)

messages = Table(
    "messages",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("query_id", Id, ForeignKey("queries.id"), nullable=False),
    Column("thread_id", Id, ForeignKey("threads.id"), nullable=False),
    Column("thread_seq", Integer, nullable=False),
    Column("identity_id", Id, ForeignKey("identities.id"), nullable=False),
    Column("envelope_id", Id),
    Column("instance", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("direction", Text, nullable=False),
    Column("private", Boolean, nullable=False),
    Column("automatic", Text, nullable=False, server_default=""),
    Column("assurance", SmallInteger, nullable=False, server_default="0"),
    Column("standing", Text, nullable=False, server_default=""),
    Column("key_hash", Hash, nullable=False),
    Column("key", Text, nullable=False),
    Column("at", Millis, nullable=False),
    Column("recorded_at", Millis, nullable=False),
    Column("author", Text, nullable=False, server_default=""),
    Column("subject", Text, nullable=False, server_default=""),
    Column("text", Text, nullable=False, server_default=""),
    Column("folds", Text, nullable=False, server_default="[]"),
    Column("html", Text, nullable=False, server_default=""),
    Column("language", Text, nullable=False, server_default=""),
    Column("recipients", Text, nullable=False, server_default="[]"),
    Column("fields", Text, nullable=False, server_default="{}"),
    Column("replies_to", Text, nullable=False, server_default="[]"),
    Column("reply_via", LargeBinary, nullable=False, default=b""),
    Column("delivery", Text, nullable=False, server_default=""),
    Column("edited_at", Millis),
    Column("deleted_at", Millis),
    UniqueConstraint("thread_id", "thread_seq"),
    Index("ix_messages_query", "query_id", "id"),
    Index("ix_messages_identity", "identity_id", "id"),
    Index("ix_messages_key", "key_hash"),
    Index("ix_messages_automatic", "identity_id", "id", **_only("automatic <> ''")),
    comment="belongs to an identity, never to a user. standing: '' own, 'claimed' A0, 'third_party' right token but "
    "strange sender. delivery: what the channel said of an outbound one. reply_via: how to answer this very one",
)

attachments = Table(
    "attachments",
    metadata,
    Column("message_id", Id, ForeignKey("messages.id"), primary_key=True),
    Column("n", SmallInteger, primary_key=True, autoincrement=False),
    Column("sha256", Hash),
    Column("name", Text, nullable=False, server_default=""),
    Column("type", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("content_id", Text, nullable=False, server_default=""),
    Column("ref", Text, nullable=False, server_default=""),
    Index("ix_attachments_sha", "sha256"),
    comment="sha256 null: only the provider has it yet, a job fetches `ref`",
)

search_terms = Table(
    "search_terms",
    metadata,
    Column("message_id", Id, ForeignKey("messages.id"), primary_key=True, autoincrement=False),
    Column("terms", TSVECTOR().with_variant(Text(), "sqlite"), nullable=False),
    Index("ix_search_terms", "terms", postgresql_using="gin", postgresql_with={"fastupdate": "off"}),
    comment="what search finds, written behind the recording. SQLite has the virtual table search_index over it "
    "instead of the index, which `migrations` makes by hand",
)

rule_sets = Table(
    "rule_sets",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("source", LargeBinary, nullable=False),
    Column("loaded_at", Millis, nullable=False),
)

decisions = Table(
    "decisions",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("query_id", Id, ForeignKey("queries.id"), nullable=False),
    Column("message_id", Id),
    Column("rule_set", Text, nullable=False),
    Column("facts", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("at", Millis, nullable=False),
    Index("ix_decisions_query", "query_id", "id"),
    comment="facts seen, rules matched, the set's hash: explain recomputes the rest. author: rules, or the agent who "
    "corrected it",
)

# ---- out -----------------------------------------------------------------------------------------------

tickets = Table(
    "tickets",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("query_id", Id, ForeignKey("queries.id"), nullable=False),
    Column("target", Text, nullable=False),
    Column("ext_id", Text, nullable=False),
    Column("ticket", Text, nullable=False, server_default=""),
    Column("revision", BigInteger, nullable=False, server_default="0"),
    Column("fields", Text, nullable=False, server_default="{}"),
    Column("state", Text, nullable=False, server_default=""),
    Column("objects", Text, nullable=False, server_default="[]"),
    Column("opened_at", Millis, nullable=False),
    Column("updated_at", Millis, nullable=False),
    UniqueConstraint("target", "ext_id"),
    Index("ix_tickets_query", "query_id"),
    Index("ix_tickets_ticket", "target", "ticket"),
    comment="objects: what we made at the far side, by which echoes are told",
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("destination", Text, nullable=False),
    Column("lane", BigInteger, nullable=False),
    Column("query_id", Id, nullable=False),
    Column("message_id", Id),
    Column("body", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("cause", Text),
    Column("trace", Text),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("due_at", Millis, nullable=False),
    Column("horizon_at", Millis, nullable=False),
    Column("lease_until", Millis),
    Column("fence", BigInteger, nullable=False, server_default="0"),
    Column("maybe_duplicate", Boolean, nullable=False, server_default=text("false")),
    Column("created_at", Millis, nullable=False),
    Column("settled_at", Millis),
    Index("ix_outbox_open", "lane", "id", **_only("state IN ('queued', 'leased', 'uncertain')")),
    Index("ix_outbox_due", "due_at", **_only("state IN ('queued', 'leased', 'uncertain')")),
    Index("ix_outbox_parked", "id", **_only("state = 'parked'")),
    Index("ix_outbox_query", "query_id"),
    comment="work that leaves the house; only the first open row of a lane may run; fence refuses a stale worker",
)

steps = Table(
    "steps",
    metadata,
    Column("outbox_id", Id, ForeignKey("outbox.id"), primary_key=True),
    Column("n", SmallInteger, primary_key=True, autoincrement=False),
    Column("key", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("harmless", Boolean, nullable=False),
    Column("key_life", BigInteger, nullable=False),
    Column("find_lag", BigInteger),
    Column("state", Text, nullable=False),
    Column("begun_at", Millis),
    Column("done", Text),
    Column("ref_hash", Hash),
    Index("ix_steps_ref", "ref_hash", **_only("ref_hash IS NOT NULL")),
    comment="one effect each, stored before the first try; key_life and find_lag in milliseconds",
)

# ---- time and trust ---------------------------------------------------------------------------------------

opinions = Table(
    "opinions",
    metadata,
    Column("decision_id", Id, ForeignKey("decisions.id"), primary_key=True, autoincrement=False),
    Column("source", Text, primary_key=True),
    Column("model", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("differs", Boolean, nullable=False),
    comment="what others would have decided of the same facts, without effect. source: shadow (model is the rule "
    "set's hash) or classifier",
)

holds = Table(
    "holds",
    metadata,
    Column("query_id", Id, ForeignKey("queries.id"), primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("reason", Text, nullable=False, server_default=""),
    Column("author", Text, nullable=False),
    Column("at", Millis, nullable=False),
    Column("ended_at", Millis),
    Column("ended_by", Text),
    Index("ix_holds_standing", "at", **_only("ended_at IS NULL")),
    comment="queries that a person must let go before they go on. kind: hold (acknowledged, needs validation), "
    "park (nothing goes out) or spam (closed as well)",
)

clocks = Table(
    "clocks",
    metadata,
    Column("query_id", Id, ForeignKey("queries.id"), primary_key=True, autoincrement=False),
    Column("promise", Text, primary_key=True),
    Column("begun_at", Millis, nullable=False),
    Column("promised", BigInteger, nullable=False),
    Column("calendar", Text, nullable=False, server_default=""),
    Column("pauses", Text, nullable=False, server_default="[]"),
    Column("warn_at", Millis),
    Column("due_at", Millis),
    Column("warned_at", Millis),
    Column("breached_at", Millis),
    Column("ended_at", Millis),
    Index("ix_clocks_open", "query_id", **_only("ended_at IS NULL")),
    Index("ix_clocks_late", "breached_at", **_only("ended_at IS NULL AND breached_at IS NOT NULL")),
    comment="first_response and resolution of a query: promised is milliseconds of its calendar's time; due_at is null "
    "while it is paused; pauses is JSON, [from, to or null] each",
)

announcements = Table(
    "announcements",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("text", Text, nullable=False),
    Column("services", Text, nullable=False, server_default="[]"),
    Column("major", Boolean, nullable=False, server_default=text("false")),
    Column("from_at", Millis, nullable=False),
    Column("until_at", Millis, nullable=False),
    Column("author", Text, nullable=False),
    Column("created_at", Millis, nullable=False),
    Index("ix_announcements_until", "until_at"),
    comment="what users are told of services; major: a major incident stands behind it. Ended ones stay",
)

timers = Table(
    "timers",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("subject_id", Id, nullable=False),
    Column("due_at", Millis, nullable=False),
    Column("state", Text, nullable=False),
    Column("body", Text, nullable=False, server_default="{}"),
    Index("ix_timers_due", "due_at", **_only("state = 'waiting'")),
    Index("ix_timers_subject", "subject_id"),
    comment="time-outs of the business kind (SLA, reminders, silence): they survive restarts",
)

events = Table(
    "events",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("seq", BigInteger),
    Column("kind", Text, nullable=False),
    Column("subject_id", Id, nullable=False),
    Column("message_id", Id),
    Column("actor", Text, nullable=False),
    Column("at", Millis, nullable=False),
    Column("body", Text),
    Column("salt", LargeBinary(16)),
    Column("commitment", Hash, nullable=False),
    Index("ix_events_seq", "seq", unique=True, **_only("seq IS NOT NULL")),
    Index("ix_events_unsealed", "id", **_only("seq IS NULL")),
    Index("ix_events_subject", "subject_id", "id"),
    comment="what happened to a query, user or setting; body and salt go at erasure, the commitment stays",
)

seals = Table(
    "seals",
    metadata,
    Column("n", BigInteger, primary_key=True, autoincrement=False),
    Column("first_seq", BigInteger, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("previous", Hash, nullable=False),
    Column("head", Hash, nullable=False),
    Column("sealed_at", Millis, nullable=False),
    comment="the audit chain: each block binds the commitments of its events to the block before",
)

# ---- agents -----------------------------------------------------------------------------------------------

agents = Table(
    "agents",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("login", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("password", Text),
    Column("active", Boolean, nullable=False, server_default=text("true")),
    Column("created_at", Millis, nullable=False),
)

teams = Table(
    "teams",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("slug", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
)

team_members = Table(
    "team_members",
    metadata,
    Column("team_id", Id, ForeignKey("teams.id"), primary_key=True),
    Column("agent_id", Id, ForeignKey("agents.id"), primary_key=True),
)

sessions = Table(
    "sessions",
    metadata,
    Column("token_hash", Hash, primary_key=True),
    Column("agent_id", Id, ForeignKey("agents.id"), nullable=False),
    Column("created_at", Millis, nullable=False),
    Column("seen_at", Millis, nullable=False),
    Column("expires_at", Millis, nullable=False),
    Index("ix_sessions_agent", "agent_id"),
    comment="server-side, so that logging out and disabling an agent take effect at once",
)

tokens = Table(
    "tokens",
    metadata,
    Column("token_hash", Hash, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("subject_id", Id, nullable=False),
    Column("identity_id", Id),
    Column("created_at", Millis, nullable=False),
    Column("expires_at", Millis, nullable=False),
    Column("tries_left", SmallInteger, nullable=False),
    Column("used_at", Millis),
    Index("ix_tokens_subject", "subject_id"),
    comment="what a person holds: password links, portal links, PINs; only the hash is here",
)

login_tries = Table(
    "login_tries",
    metadata,
    Column("key_hash", Hash, primary_key=True),
    Column("since_at", Millis, nullable=False),
    Column("n", Integer, nullable=False),
    comment="per account and per address; in the store, so that losing Redis opens no door",
)
