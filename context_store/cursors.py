"""Where runners go on. They move with the batch that they passed: see `journal`."""

from sqlalchemy import Connection, select

from context_store.tables import cursors


def read_cursor(conn: Connection, instance: str, name: str = "") -> bytes | None:
    """None: the runner starts anew."""
    value = conn.scalar(select(cursors.c.value).where(cursors.c.instance == instance, cursors.c.name == name))
    return None if value is None else bytes(value)


def cursors_of(conn: Connection, instance: str) -> dict[str, bytes]:
    """Name → value, all of an instance's."""
    rows = conn.execute(select(cursors.c.name, cursors.c.value).where(cursors.c.instance == instance))
    return {row.name: bytes(row.value) for row in rows}
