"""Attachments whose bytes came later than their message."""

from sqlalchemy import Connection, update

from context_store.tables import attachments


def attach(conn: Connection, message: int, n: int, sha: bytes, size: int) -> None:
    """The bytes of an attachment that only the provider had."""
    c = attachments.c
    conn.execute(update(attachments).where(c.message_id == message, c.n == n).values(sha256=sha, size=size))
