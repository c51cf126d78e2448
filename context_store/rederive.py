"""For `reprocess`: envelopes by page, and the derived columns of messages that exist."""

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, delete, select

from context_store import bulk
from context_store import tables as t
from context_store.pending import PendingEnvelope

DERIVED = ("id", "subject", "text", "folds", "html", "language", "automatic", "fields")
ATTACHED = ("message_id", "n", "sha256", "name", "type", "size", "content_id", "ref")


def settled_envelopes(
    conn: Connection, ids: Collection[int], since: int | None, after: int, limit: int
) -> list[PendingEnvelope]:
    """Done envelopes, by page: those of `ids`, or those received since a moment (UTC milliseconds)."""
    e = t.envelopes.c
    columns = [e[name] for name in PendingEnvelope.__struct_fields__]
    wanted = select(*columns).where(e.state == "done", e.id > after).order_by(e.id).limit(limit)
    if ids:
        wanted = wanted.where(e.id.in_(ids))
    if since is not None:
        wanted = wanted.where(e.received_at >= since)
    return [PendingEnvelope(**row._mapping) for row in conn.execute(wanted)]


def settled_ids(conn: Connection, since: int) -> list[int]:
    """Done envelopes received since a moment (UTC milliseconds), the oldest first."""
    e = t.envelopes.c
    return list(conn.scalars(select(e.id).where(e.state == "done", e.received_at >= since).order_by(e.id)))


def messages_of_items(conn: Connection, keys: Collection[bytes]) -> dict[bytes, int]:
    """Item key → the message that it became."""
    i = t.items.c
    rows = conn.execute(select(i.key_hash, i.message_id).where(i.key_hash.in_(keys), i.message_id.is_not(None)))
    return {row.key_hash: row.message_id for row in rows}


def edited_messages(conn: Connection, ids: Collection[int]) -> set[int]:
    """Messages whose source changed them later: their text is the edit's, not the envelope's."""
    m = t.messages.c
    return set(conn.scalars(select(m.id).where(m.id.in_(ids), m.edited_at.is_not(None))))


def rewrite(conn: Connection, messages: bulk.Rows) -> None:
    """`DERIVED` columns of messages, ids first."""
    bulk.update(conn, t.messages, DERIVED, messages)


def attachments_of(conn: Connection, ids: Collection[int]) -> dict[int, list[tuple[int, bytes | None]]]:
    """Message → (n, hash) of what it carries."""
    a = t.attachments.c
    found: dict[int, list[tuple[int, bytes | None]]] = {}
    for row in conn.execute(select(a.message_id, a.n, a.sha256).where(a.message_id.in_(ids)).order_by(a.n)):
        found.setdefault(row.message_id, []).append((row.n, row.sha256))
    return found


def replace_attachments(conn: Connection, messages: Collection[int], rows: Sequence[Sequence[object]]) -> None:
    """All attachments of these messages; references to blobs are counted by the caller."""
    conn.execute(delete(t.attachments).where(t.attachments.c.message_id.in_(messages)))
    bulk.insert(conn, t.attachments, ATTACHED, rows)
