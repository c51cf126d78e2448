"""A hub under test on both databases; tests share nothing but the PostgreSQL cluster."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.hub.desk import Desk, installed
from tests.servers import room


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """Short, because a unix socket's path has 107 bytes."""
    with room("hub") as folder:
        yield folder


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest) -> str:
    """Nothing is the default: SQLite in the folder of the hub."""
    return "" if request.param == "sqlite" else request.getfixturevalue("prepared_url")


@pytest.fixture
async def hub_under_test(short_folder: Path, store_url: str) -> AsyncIterator[Desk]:
    """Not started yet: `await hub_under_test.start(limits=…)`."""
    async with installed(short_folder, store_url) as desk:
        yield desk


@pytest.fixture
async def desk(hub_under_test: Desk) -> Desk:
    """A hub that runs, with everything as usual."""
    await hub_under_test.start()
    return hub_under_test
