"""Schema revisions: expand in one release, contract in a later one, so that two releases run side by side.

Every upgrade runs in one transaction, on the connection that the store opens with: killed anywhere it leaves the old
schema. Revisions are explicit operations, numbered as their files are; `python -m context_store.migrations "what for"`
writes the next one from the difference between `tables.py` and a store at the last one. One that old code can't live
with raises `min_reader` in `meta`.
"""

from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, select

from context_store.crashpoints import crashpoint
from context_store.errors import StoreRefused
from context_store.tables import meta

if TYPE_CHECKING:  # loaded where the schema changes: nearly every start finds it as it must be
    from alembic.config import Config

VERSIONS = Path(__file__).with_name("versions")


def config_for(conn: Connection) -> "Config":
    """Alembic's settings without a file; env.py takes the connection."""
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = conn
    return config


def revision_of(conn: Connection) -> int:
    """The schema's number; 0 for an empty database."""
    if not inspect(conn).has_table("alembic_version"):
        return 0
    return int(conn.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() or 0)


def head() -> int:
    """The newest schema that this release knows."""
    return max(int(file.name.partition("_")[0]) for file in VERSIONS.glob("[0-9]*_*.py"))


def why_too_new(conn: Connection) -> str:
    """Why this release can't use the store, and what to do; "" if it can."""
    found, known = revision_of(conn), head()
    if found <= known:
        return ""
    oldest = int(conn.scalar(select(meta.c.value).where(meta.c.key == "min_reader")) or found)
    if oldest <= known:
        return ""
    return (
        f"this store was written by a newer release (schema {found}, readable from {oldest} on; this release knows "
        f"{known}): install that release, or restore a backup made before the upgrade"
    )


def migrate(conn: Connection) -> None:
    """Bring the schema to `head()` inside the caller's transaction; a newer one is used as it is if it allows that.

    Raises:
        StoreRefused: a newer release wrote the store and this one can't read it any more.
    """
    if why := why_too_new(conn):
        raise StoreRefused(why)
    found, known = revision_of(conn), head()
    if found < known:
        from alembic import command  # noqa: PLC0415

        command.upgrade(config_for(conn), "head")
        crashpoint("migrate.before_commit")
    if found == 0:
        conn.execute(meta.insert().values(key="installation", value=token_hex(16)))
