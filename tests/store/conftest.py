"""One store per test, on both databases."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from context_store import Store
from tests.prepared import put_sqlite


class Turned:
    """A clock that stands until a test turns it."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 11, 21, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment

    async def sleep(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Turned:
    return Turned()


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store with its schema, for tests that open it themselves."""
    if request.param == "postgresql":
        return request.getfixturevalue("prepared_url")
    put_sqlite(tmp_path / "store.db")
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
async def store(store_url: str, tmp_path: Path, clock: Turned) -> AsyncIterator[Store]:
    opened = await Store.open(store_url, tmp_path / "blobs", clock)
    yield opened
    await opened.close()


@pytest.fixture
async def both(tmp_path: Path, clock: Turned, prepared_url: str) -> AsyncIterator[tuple[Store, Store]]:
    """The same store twice, for differential tests."""
    put_sqlite(tmp_path / "store.db")
    sqlite = await Store.open(f"sqlite:///{tmp_path}/store.db", tmp_path / "blobs", clock)
    postgresql = await Store.open(prepared_url, tmp_path / "blobs2", clock)
    yield sqlite, postgresql
    await sqlite.close()
    await postgresql.close()
