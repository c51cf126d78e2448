"""One contract over both fabrics; of Redis also what happens without it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from hub.fabric import PRESENCE, Fabric
from hub.fabric.local import MOST, LocalFabric
from hub.fabric.redis import RedisFabric
from tests.servers import Redis, room

Pair = tuple[Fabric, Fabric]


class Turned:
    """A clock that a test turns; sleeping is real."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 11, 21, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment

    def turn(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@pytest.fixture
def clock() -> Turned:
    return Turned()


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await true():  # noqa: ASYNC110  # what it asks is on another server
            await asyncio.sleep(0.01)


async def in_touch(*fabrics: Fabric) -> None:
    """A word of each has reached each."""
    for said, heard in ((a, b) for a in fabrics for b in fabrics):

        async def told(said: Fabric = said, heard: Fabric = heard) -> bool:
            with heard.following("touch") as following:
                said.tell("touch", "here")
                return bool(await following.news(0.1))

        await until(told)
    for fabric in fabrics:
        await until(lambda fabric=fabric: _no_trouble(fabric))


async def _no_trouble(fabric: Fabric) -> bool:
    return not fabric.trouble


async def _trouble(fabric: Fabric) -> bool:
    return bool(fabric.trouble)


@pytest.fixture(params=["local", "redis"])
async def pair(request: pytest.FixtureRequest, clock: Turned) -> AsyncIterator[Pair]:
    """Two nodes' fabrics; alone, a node is its own neighbour."""
    if request.param == "local":
        alone = LocalFabric(clock)
        yield alone, alone
        return
    server: Redis = request.getfixturevalue("redis_server")
    nodes = [RedisFabric(server.url, "", "one", clock) for _ in range(2)]
    for node in nodes:
        await node.start()
    await in_touch(*nodes)
    yield nodes[0], nodes[1]
    for node in nodes:
        await node.close()


async def test_turns_are_given_n_in_any_span_on_all_nodes(pair: Pair):
    here, there = pair
    waits = [(await node.turn([("one", 3, 600.0)]))[0] for node in (here, there, here, there, here)]
    assert waits[:3] == [0, 0, 0]
    assert all(590 < wait <= 600 for wait in waits[3:])
    assert await there.turn([("another", 3, 600.0)]) == [0]


async def test_turn_that_one_limit_denies_is_counted_by_none(pair: Pair):
    here, there = pair
    assert await here.turn([("whole", 2, 600.0), ("lane", 1, 600.0)]) == [0, 0]
    for _ in range(3):
        whole, lane = await there.turn([("whole", 2, 600.0), ("lane", 1, 600.0)])
        assert (whole, lane > 590) == (0, True)
    assert await here.turn([("whole", 2, 600.0), ("other lane", 1, 600.0)]) == [0, 0]


async def test_turn_counts_from_its_end(pair: Pair, clock: Turned):
    here, there = pair
    limits = [("one", 1, 600.0)]
    assert await here.turn(limits) == [0]
    await asyncio.sleep(0.05)  # Redis has a clock of its own
    clock.turn(0.05)
    (before,) = await there.turn(limits)
    await here.turned(limits)
    assert (await there.turn(limits))[0] > before


async def test_turn_comes_when_the_oldest_is_as_long_ago(clock: Turned):
    alone = LocalFabric(clock)
    for _ in range(2):
        assert await alone.turn([("one", 2, 10.0)]) == [0]
        clock.turn(4)
    assert await alone.turn([("one", 2, 10.0)]) == [2]
    clock.turn(2)
    assert await alone.turn([("one", 2, 10.0)]) == [0]


async def test_a_wake_up_reaches_whoever_waits(pair: Pair):
    here, there = pair
    waiting = asyncio.create_task(there.wait("work", 600))
    await asyncio.sleep(0)
    here.wake("work")
    async with asyncio.timeout(60):
        await waiting


async def test_a_wake_up_while_nobody_waits_is_kept(pair: Pair):
    here, _ = pair
    here.wake("work")
    async with asyncio.timeout(60):
        await here.wait("work", 600)


async def test_waiting_ends_by_itself(pair: Pair):
    _, there = pair
    async with asyncio.timeout(60):
        await there.wait("nothing", 0.01)


async def test_a_wake_up_is_for_its_topic_alone(pair: Pair):
    here, there = pair
    waiting = asyncio.create_task(there.wait("work", 600))
    with there.following("touch") as following:
        here.wake("other")
        here.tell("touch")
        assert await following.news(15) == [""]
    assert not waiting.done()
    waiting.cancel()


async def test_followers_hear_each_word_once_and_in_order(pair: Pair):
    here, there = pair
    with there.following("thread") as one, there.following("thread") as other, there.following("another") as apart:
        for word in ("typing", "", "typing"):
            here.tell("thread", word)
        for follower in (one, other):
            heard: list[str] = []
            while len(heard) < 2:
                heard += await follower.news(15)
            assert sorted(heard) == ["", "typing"]
        assert not await apart.news(0.01)


async def test_what_was_told_before_is_not_heard(pair: Pair):
    here, there = pair
    here.tell("thread", "early")
    await in_touch(here, there)
    with there.following("thread") as following:
        assert not await following.news(0.01)


async def test_news_of_events_comes_to_all_who_wait_for_more_than_they_have(pair: Pair):
    here, there = pair
    waiting = [asyncio.create_task(there.beyond(after, 600)) for after in (0, 3, 6)]
    here.announce(7)
    async with asyncio.timeout(60):
        await asyncio.gather(*waiting)
        await there.beyond(6, 600)
    await there.beyond(7, 0.01)


async def test_an_older_number_is_no_news(pair: Pair):
    here, there = pair
    here.announce(7)
    async with asyncio.timeout(60):
        await there.beyond(6, 600)
    waiting = asyncio.create_task(there.beyond(7, 600))
    here.announce(5)
    await in_touch(here, there)
    assert not waiting.done()
    waiting.cancel()


async def test_a_limit_holds_in_its_window_and_opens_with_the_next(pair: Pair, clock: Turned):
    here, _ = pair
    assert [here.allow("peer", 3, 60) for _ in range(5)] == [True, True, True, False, False]
    assert here.allow("another", 3, 60)
    clock.turn(60)
    assert here.allow("peer", 3, 60)


async def test_a_limit_is_shared(pair: Pair):
    here, there = pair
    assert [here.allow("peer", 4, 3600) for _ in range(3)] == [True, True, True]
    await in_touch(here, there)
    there.allow("peer", 4, 3600)  # the fourth; with its count the other's come back

    async def refused() -> bool:
        return not there.allow("peer", 4, 3600)

    await until(refused)
    assert [here.allow("else", 1, 3600), here.allow("else", 1, 3600)] == [True, False]


@pytest.mark.parametrize("seconds", [60, 3600])
async def test_a_limit_that_is_reached_holds_while_ten_thousand_others_are_counted(pair: Pair, seconds: float):
    one, _ = pair
    for _ in range(4):
        one.allow("pins", 3, 3600)
    for n in range(MOST + 10):
        one.allow(f"stranger{n}", 600, seconds)
    assert not one.allow("pins", 3, 3600)


async def test_turns_that_are_taken_stay_so_while_ten_thousand_others_are(clock: Turned):
    fabric = LocalFabric(clock)
    limit = ("ann@acme.test", 2, 3600.0)
    await fabric.turn([limit])
    await fabric.turn([limit])
    for n in range(MOST + 10):
        await fabric.turn([(f"stranger{n}", 2, 3600.0)])
    assert await fabric.turn([limit]) == [3600.0]


async def test_who_looks_is_seen_and_forgotten(pair: Pair, clock: Turned):
    here, there = pair
    here.look("query 1", "ada")
    there.look("query 1", "bob")
    there.look("query 2", "cy")
    for node in pair:
        await until(lambda node=node: _seen(node, ["ada", "bob"]))
    clock.turn(PRESENCE / 2)
    here.look("query 1", "ada")
    await in_touch(here, there)
    clock.turn(PRESENCE / 2 + 1)
    for node in pair:
        assert list(await node.lookers("query 1")) == ["ada"]
        assert not await node.lookers("query 2")


async def _seen(fabric: Fabric, who: list[str]) -> bool:
    return list(await fabric.lookers("query 1")) == who


async def test_strangers_can_not_fill_the_memory(clock: Turned):
    fabric = LocalFabric(clock)
    for number in range(30_000):
        fabric.wake(f"topic {number}")
        fabric.allow(f"key {number}", 1, 60)
        fabric.look(f"query {number}", "ada")
        clock.turn(0.1)
    assert len(fabric._topics) <= 10_000
    assert len(fabric._windows) <= 10_000
    assert len(fabric._looking) <= 10_000


# ---- Redis alone -----------------------------------------------------------------------------------------


async def test_installations_that_share_a_redis_hear_nothing_of_each_other(redis_server: Redis, clock: Turned):
    one, same, other = (RedisFabric(redis_server.url, "", name, clock) for name in ("one", "one", "other"))
    for node in (one, same, other):
        await node.start()
    await in_touch(one, same)
    await in_touch(other)
    with other.following("touch") as following:
        await in_touch(one, same)
        assert not await following.news(0.01)
    one.look("query 1", "ada")
    await until(lambda: _seen(same, ["ada"]))
    assert not await other.lookers("query 1")
    for node in (one, same, other):
        await node.close()


async def test_without_redis_a_node_goes_on_alone_and_finds_back(redis_server: Redis, clock: Turned):
    here, there = (RedisFabric(redis_server.url, "", "one", clock) for _ in range(2))
    for node in (here, there):
        await node.start()
    await in_touch(here, there)
    waiting = asyncio.create_task(there.wait("work", 60))
    redis_server.stop()
    for node in (here, there):
        await until(lambda node=node: _trouble(node))
        async with asyncio.timeout(1):
            node.wake("alone")
            await node.wait("alone", 60)
            assert [node.allow("key", 2, 3600) for _ in range(3)] == [True, True, False]
            node.look("query 1", "ada")
            assert list(await node.lookers("query 1")) == ["ada"]
            node.announce(1)
            await node.beyond(0, 60)
    redis_server.start()
    async with asyncio.timeout(30):
        await waiting  # whoever waits is woken: what was said meanwhile is gone
    await in_touch(here, there)
    for node in (here, there):
        await node.close()


async def test_a_flush_takes_counts_and_nothing_else(redis_server: Redis, clock: Turned):
    here, there = (RedisFabric(redis_server.url, "", "one", clock) for _ in range(2))
    for node in (here, there):
        await node.start()
    await in_touch(here, there)
    assert here.allow("key", 2, 3600)
    assert here.allow("key", 2, 3600)
    redis_server.flush()
    await in_touch(here, there)
    assert not here.allow("key", 2, 3600)
    for node in (here, there):
        assert not node.trouble
        await node.close()


async def test_a_redis_that_never_was_holds_nobody_up(clock: Turned):
    with room("away") as folder:
        fabric = RedisFabric(f"unix://{folder}/none", "", "one", clock)
        await fabric.start()
        await until(lambda: _trouble(fabric))
        fabric.wake("work")
        async with asyncio.timeout(1):
            await fabric.wait("work", 60)
        await fabric.close()


async def test_a_password_opens_redis_and_its_absence_is_trouble(redis_server: Redis, clock: Turned):
    redis_server.set_password("s3cret")
    with_it, without = (
        RedisFabric(redis_server.url, "s3cret", "one", clock),
        RedisFabric(redis_server.url, "", "one", clock),
    )
    for node in (with_it, without):
        await node.start()
    await in_touch(with_it)
    await until(lambda: _trouble(without))
    assert "s3cret" not in without.trouble
    for node in (with_it, without):
        await node.close()
