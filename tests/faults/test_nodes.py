"""Two nodes on one PostgreSQL and one Redis, while one of these four is harmed: the quick tier (R9, R12)."""

from collections.abc import Iterator

import pytest

from bench.faults.campaign import placed
from bench.faults.nodes import (
    BACK,
    HARMS,
    MOST_MB,
    NODE_CONTROLS,
    NodeControl,
    harmed,
    node_control,
    overloaded,
    reply_lost,
)
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


@pytest.mark.parametrize("one", NODE_CONTROLS, ids=lambda one: one.off)
async def test_nodes_without_their_protection_turn_the_checker_red(two_nodes: Place, one: NodeControl):
    verdict = await node_control(two_nodes, one, off=one.off)
    assert getattr(verdict, one.red) > 0, verdict.line()


@pytest.mark.parametrize("one", NODE_CONTROLS, ids=lambda one: one.off)
async def test_a_node_that_stood_still_leaves_the_work_to_the_other(two_nodes: Place, one: NodeControl):
    verdict = await node_control(two_nodes, one, off="")
    assert verdict.good, (verdict.line(), verdict.problems)


async def test_a_commit_whose_answer_is_lost_loses_and_doubles_nothing(seed: int):
    with room("pg") as folder:
        server = PostgreSQL(folder, tcp=True)
        try:
            with placed(server.database(), seed) as place:
                verdict, lost = await reply_lost(place, server, seconds=2, chance=0.05, least=4)
        finally:
            server.stop()
    assert lost > 3
    assert verdict.good, (verdict.line(), verdict.problems)


async def test_overload_is_refused_with_words_and_over_soon(place: Place):
    verdict, strain = await overloaded(place, 4, lanes=80)
    assert verdict.good, (verdict.line(), verdict.problems)
    assert strain.refused > 20
    assert strain.peak_mb < MOST_MB
    assert strain.back_s < BACK
