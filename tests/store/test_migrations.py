import asyncio
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import create_engine, inspect, select, text, update

from context_store import Store, StoreRefused
from context_store.migrations import config_for, head, migrate, revision_of
from context_store.tables import meta, metadata
from tests.store.conftest import Turned


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Without a schema."""
    if request.param == "postgresql":
        return request.getfixturevalue("postgresql_url")
    return f"sqlite:///{tmp_path}/store.db"


async def test_migrated_schema_is_what_tables_py_says(store: Store):
    await store.write(lambda conn: command.check(config_for(conn)))


async def test_check_notices_a_difference(store: Store):
    def differ(conn):
        conn.execute(text("ALTER TABLE users ADD COLUMN shoe_size INTEGER"))
        command.check(config_for(conn))

    with pytest.raises(Exception, match="shoe_size"):
        await store.write(differ)


async def test_store_knows_its_installation_and_schema(store: Store):
    found = await store.read(lambda conn: (dict(conn.execute(select(meta)).all()), revision_of(conn)))
    assert found[0].keys() == {"installation", "min_reader"}
    assert found[1] == head()


async def test_opening_again_keeps_the_installation(store: Store, store_url: str, clock: Turned):
    query = select(meta.c.value).where(meta.c.key == "installation")
    first = await store.read(lambda conn: conn.scalar(query))
    await store.close()
    again = await Store.open(store_url, store.folder, clock)
    assert await again.read(lambda conn: conn.scalar(query)) == first
    await again.close()


async def test_newer_schema_is_refused_with_words(store: Store, store_url: str, clock: Turned):
    def newer(conn):
        conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        conn.execute(update(meta).where(meta.c.key == "min_reader").values(value="9999"))

    await store.write(newer)
    await store.close()
    with pytest.raises(StoreRefused, match="newer release"):
        await Store.open(store_url, store.folder, clock)


async def test_newer_schema_that_still_allows_us_is_used(store: Store, store_url: str, clock: Turned):
    await store.write(lambda conn: conn.execute(text("UPDATE alembic_version SET version_num = '9999'")) and None)
    await store.close()
    again = await Store.open(store_url, store.folder, clock)
    assert await again.read(revision_of) == 9999
    await again.close()


def test_interrupted_migration_leaves_nothing(store_url: str):
    engine = create_engine(store_url)
    with engine.connect() as conn:
        if conn.dialect.name == "sqlite":  # as the store begins its transactions
            conn.connection.driver_connection.isolation_level = None
            conn.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            conn.begin()
        migrate(conn)
        found = {name for name in inspect(conn).get_table_names() if not name.startswith("search_index")}
        assert found == {*metadata.tables, "alembic_version"}
        conn.connection.driver_connection.rollback()
        conn.invalidate() if conn.dialect.name == "postgresql" else None
    with engine.connect() as conn:
        assert inspect(conn).get_table_names() == []
    engine.dispose()


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
async def test_nodes_that_start_at_once_migrate_once(store_url: str, tmp_path, clock: Turned):
    stores = await asyncio.gather(*(Store.open(store_url, tmp_path / "blobs", clock) for _ in range(3)))
    assert {store.node for store in stores} == {1, 2, 3}
    await asyncio.gather(*(store.close() for store in stores))
