"""What came of which envelope: for traces, which must find back without anything stored."""

from sqlalchemy import Connection, select

from context_store import tables as t
from context_store.record import Batch

_columns = [column.name for column in t.messages.columns]
_ID, _ENVELOPE = _columns.index("id"), _columns.index("envelope_id")


def messages_of(batch: Batch) -> dict[int, list[int]]:
    """Envelope → the messages that a batch made of it."""
    found: dict[int, list[int]] = {}
    for row in batch.rows["messages"]:
        if row[_ENVELOPE] is not None:
            found.setdefault(row[_ENVELOPE], []).append(row[_ID])
    return found


def origin(conn: Connection, query_id: int, before: int) -> tuple[int, int] | None:
    """(envelope, message) of the newest message in the query up to that id, which the work of this id is about.

    Ids grow with time: `before` is a message's own id, or that of outbox work, made after what it is about.
    """
    m = t.messages.c
    came = select(m.envelope_id, m.id).where(m.query_id == query_id, m.envelope_id.is_not(None), m.id <= before)
    row = conn.execute(came.order_by(m.id.desc()).limit(1)).first()
    return None if row is None else (row.envelope_id, row.id)
