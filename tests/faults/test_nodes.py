"""Two nodes on one PostgreSQL and one Redis, while one of these four is harmed: the quick tier (R9, R12)."""

from collections.abc import Iterator

import pytest

from bench.faults.campaign import placed
from bench.faults.nodes import HARMS, harmed
from bench.faults.place import Place
from tests.servers import PostgreSQL, Redis, room

pytestmark = pytest.mark.timeout(300)
STOP = 8.0
"""Seconds: beyond every lease and time-out of the place."""


@pytest.fixture
def own_postgresql() -> Iterator[PostgreSQL]:
    """Not that of the session: it is crashed."""
    with room("pg") as folder:
        server = PostgreSQL(folder)
        yield server
        server.stop()


@pytest.fixture
def two_nodes(seed: int, own_postgresql: PostgreSQL, redis_server: Redis) -> Iterator[Place]:
    with placed(own_postgresql.database(), seed, nodes=2, fabric=redis_server.url) as made:
        yield made


@pytest.mark.parametrize("name", HARMS)
async def test_two_nodes_lose_double_and_misorder_nothing(
    two_nodes: Place, own_postgresql: PostgreSQL, redis_server: Redis, name: str
):
    rounds = 1 if name == "node stopped" else 2
    verdict = await harmed(two_nodes, HARMS[name], own_postgresql, redis_server, rounds=rounds, stop=STOP)
    print(name, verdict.line())
    assert verdict.good, (verdict.line(), verdict.problems)
    assert verdict.acked > 20
