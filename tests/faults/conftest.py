"""A place for one campaign; its seed is printed with a failure."""

import random
from collections.abc import Iterator

import pytest

from bench.faults.campaign import placed
from bench.faults.place import Place
from tests.servers import PostgreSQL


@pytest.fixture
def seed() -> int:
    chosen = random.randrange(1 << 32)
    print(f"seed {chosen}")
    return chosen


@pytest.fixture
def place(seed: int) -> Iterator[Place]:
    """Over SQLite."""
    with placed("", seed) as made:
        yield made


@pytest.fixture
def place_on_postgresql(seed: int, postgresql: PostgreSQL) -> Iterator[Place]:
    url = postgresql.database()
    with placed(url, seed) as made:
        yield made
    postgresql.drop(url)
