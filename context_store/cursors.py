"""Where runners go on. They move with the batch that they passed: see `journal`."""

from sqlalchemy import Connection, select

from context_store.tables import cursors


def read_cursor(conn: Connection, instance: str, name: str = "") -> bytes | None:
    """None: the runner starts anew."""
    value = conn.scalar(select(cursors.c.value).where(cursors.c.instance == instance, cursors.c.name == name))
    return None if value is None else bytes(value)
