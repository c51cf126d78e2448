"""Two nodes of one installation: one PostgreSQL, one Redis, two hubs in this process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager

import aiohttp
import pytest

from context_store import agents
from hub import supervisor
from hub.fabric.live import live
from hub.rules import checked
from hub.web import auth
from hub.web.health import state_of
from routing import Facts, RuleSet, decide
from tests.hub.desk import RULES, Desk, installed, message
from tests.servers import Redis, room
from tests.web.listening import listening, until_told

Two = tuple[Desk, Desk]


@pytest.fixture
async def nodes(prepared_url: str, redis_server: Redis) -> AsyncIterator[Two]:
    """Both run."""
    async with _two(prepared_url, redis_server) as both:
        yield both


@asynccontextmanager
async def _two(prepared_url: str, redis_server: Redis, does: str = "listen") -> AsyncIterator[Two]:
    """`does`: what the runner `radio` does."""
    async with AsyncExitStack() as stack:
        desks = []
        for _ in range(2):
            desk = await stack.enter_async_context(installed(stack.enter_context(room("hub")), prepared_url))
            store = f'store = "{prepared_url}"\nfabric = "{redis_server.url}"'
            await desk.start(store=store, lease=1.0, more=f'[instance.radio]\nkind = "radio"\ndoes = "{does}"')
            desks.append(desk)
        yield desks[0], desks[1]


async def test_what_one_node_takes_another_one_works_on(nodes: Two):
    here, there = nodes
    await here.hold_pipeline()
    await here.say(message(text="vpn"))
    assert await there.column("SELECT type FROM queries") == ["incident"]
    await here.resume_pipeline()


async def test_events_of_all_nodes_are_live_on_each_and_go_on_where_one_left_off(nodes: Two):
    here, there = nodes
    await here.say(message())
    await there.say(message())
    await there.until(there._sealed)
    seqs = await there.column("SELECT seq FROM events ORDER BY seq")
    seen = [event.seq async for event in _some(there, 0, len(seqs))]
    assert seen == seqs == list(range(1, len(seqs) + 1))
    assert [event.seq async for event in _some(here, seqs[2], 2)] == seqs[3:5]
    following = live(there.hub.store, there.hub.fabric, seqs[-1])
    assert await here.post(message()) == 200
    assert (await anext(following)).seq == seqs[-1] + 1
    await following.aclose()
    await here.settle()


async def _some(desk: Desk, after: int, most: int):
    async with aclosing(live(desk.hub.store, desk.hub.fabric, after)) as events:
        async for event in events:
            yield event
            most -= 1
            if not most:
                return


async def test_page_on_one_node_hears_what_goes_on_at_another(nodes: Two):
    here, _ = nodes
    await here.say(message(thread="t"))
    (reference,) = await here.references()
    path = f"/console/queries/{reference}"
    async with AsyncExitStack() as stack:
        amir, mona = [
            await stack.enter_async_context(_agent(desk, name)) for desk, name in zip(nodes, "am", strict=True)
        ]
        his = await stack.enter_async_context(listening(amir, f"{path}/now"))
        hers = await stack.enter_async_context(listening(mona, f"{path}/now"))
        await until_told(his, "present", ["m"])
        await until_told(hers, "present", ["a"])
        assert (await mona.post(f"{path}/typing", data={"to_message": ""})).status == 204
        await until_told(his, "writes", "m")
        here.hub.ports["chat"].signal("t", "user-typing")
        await until_told(hers, "user-writes")
        await here.operate("set_query", "a", reference, {"state": "pending"})
        await until_told(hers, "changed")


@asynccontextmanager
async def _agent(desk: Desk, login: str) -> AsyncIterator[aiohttp.ClientSession]:
    await desk.operate("add_agent", "root", login, "agent")
    (known,) = [each for each in await desk.hub.store.read(agents.list_agents) if each.login == login]
    cookies = {"trunkline": (await auth.open_session(desk.hub, known.id)).decode()}
    where = f"http://127.0.0.1:{desk.hub.port}"
    jar, own = aiohttp.CookieJar(unsafe=True), {"Sec-Fetch-Site": "same-origin"}
    async with aiohttp.ClientSession(where, cookies=cookies, cookie_jar=jar, headers=own) as session:
        yield session


async def test_a_runner_that_must_be_the_only_one_is_taken_over(nodes: Two):
    here, there = nodes

    async def one_runs() -> bool:
        return [desk.hub.instances["radio"].running for desk in nodes].count(True) == 1

    await here.until(one_runs)
    holder, heir = (here, there) if here.hub.instances["radio"].running else (there, here)
    await holder.hub.supervisor.stop()

    async def taken_over() -> bool:
        return heir.hub.instances["radio"].running

    await heir.until(taken_over)
    assert await heir.number("SELECT fence FROM leases WHERE name = 'radio'") == 2


async def test_a_runner_whose_lease_is_another_ones_stops(nodes: Two):
    here, there = nodes

    async def one_runs() -> bool:
        return [desk.hub.instances["radio"].running for desk in nodes].count(True) == 1

    await here.until(one_runs)
    holder = here if here.hub.instances["radio"].running else there
    await holder.hub.store.write(_steal)

    async def stopped() -> bool:
        return not holder.hub.instances["radio"].running

    await holder.until(stopped)


async def test_how_a_runner_fared_on_the_node_that_lost_it_is_no_alarm(prepared_url: str, redis_server: Redis):
    async with _two(prepared_url, redis_server, "raise") as nodes:
        await nodes[0].until(nodes[0].alarms)
        (radio,) = [one for desk in nodes if (one := desk.hub.instances["radio"]).crashed_at is not None]
        assert state_of(radio) == "failing"
        await nodes[0].hub.store.write(_steal)

        async def calm() -> bool:
            return state_of(radio) == "ready" and not await nodes[0].alarms()

        await nodes[0].until(calm, 15)
        assert radio.last_error == ""


async def test_a_runner_that_raises_when_its_lease_is_lost_does_not_begin_again(prepared_url: str, redis_server: Redis):
    async with _two(prepared_url, redis_server, "sore") as nodes:

        async def runs() -> bool:
            return bool(_leased())

        await nodes[0].until(runs)
        await nodes[0].hub.store.write(_steal)

        async def ended() -> bool:
            return not _leased()

        await nodes[0].until(ended, 15)
        assert {state_of(desk.hub.instances["radio"]) for desk in nodes} == {"ready"}


def _leased() -> list[asyncio.Task[None]]:
    return [task for task in asyncio.all_tasks() if task.get_name() == "leased-radio"]


def _steal(conn):
    from sqlalchemy import text

    conn.execute(text("UPDATE leases SET holder = 'stranger', fence = fence + 1, until = 9999999999999"))


async def test_without_redis_all_goes_on_and_one_alarm_stands_until_it_is_back(
    nodes: Two, redis_server: Redis, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(supervisor, "LOOK", 0.05)
    here, _ = nodes
    redis_server.stop()

    async def alarmed() -> bool:
        for desk in nodes:
            desk.hub.supervisor._look.set()
        return await here.alarms() == ["fabric"]

    await here.until(alarmed)
    for desk, sender in zip(nodes, ("ann", "bob"), strict=True):
        await desk.say(message(sender=sender))
    assert len(await here.references()) == 2
    redis_server.start()

    async def calm() -> bool:
        return not await here.alarms()

    await here.until(calm)


async def test_rules_saved_on_one_node_are_in_force_on_the_other_and_stay(nodes: Two):
    here, there = nodes
    (here.folder / "rules.toml").write_text(RULES.replace('["vpn"]', '["modem"]'))

    async def adopted() -> bool:
        return b"modem" in there.hub.rules.current.source

    await there.until(adopted)
    await there.say(message(text="my modem"))
    assert await there.column("SELECT type FROM queries") == ["incident"]
    assert here.hub.rules.current.hash == there.hub.rules.current.hash  # the other file says something else, and waits


async def test_what_is_pending_is_counted_over_all_nodes(nodes: Two):
    here, there = nodes
    await here.hold_pipeline()
    await there.hold_pipeline()
    assert await here.post(message()) == 200

    async def counted() -> bool:
        return here.hub.intake.pending == there.hub.intake.pending == 1

    await here.until(counted)
    await there.resume_pipeline()
    await here.settle()

    async def none_left() -> bool:
        return here.hub.intake.pending == there.hub.intake.pending == 0

    await here.until(none_left)
    await here.resume_pipeline()


LARGE = "".join(
    f'[[rule]]\nname = "r{n}"\nwhen.text.any = ["word{n}"]\nset.type = "request"\nset.tags = ["t{n}"]\n'
    for n in range(600)
)


async def test_edits_of_a_large_file_go_live_on_both_nodes_and_judge_as_from_scratch(nodes: Two):
    here, there = nodes
    text = LARGE + RULES
    fresh = '[[rule]]\nname = "fresh"\nwhen.text.any = ["word7"]\nset.type = "complaint"\nstop = true\n'
    for was, new in [("", ""), ('word7"', 'modem"'), ('[[rule]]\nname = "r8"', f'{fresh}[[rule]]\nname = "r8"')]:
        text = text.replace(was, new, 1)
        scratch = await _saved(nodes, text)
        for desk in nodes:
            rules = desk.hub.rules.current
            assert (rules.hash, rules.rules) == (scratch.hash, scratch.rules)
            for words in ("word7", "a modem", "word8 word599", "vpn"):
                facts = Facts(channel="email", body=words)
                assert decide(rules, facts) == decide(scratch, facts)
    assert here.hub.rules.current.rules[0] is not there.hub.rules.current.rules[0], "each has its own"


async def _saved(nodes: Two, text: str) -> RuleSet:
    """On the first node, and in force on both; what it is from scratch."""

    async def in_force() -> bool:
        return all(desk.hub.rules.current.source == text.encode() for desk in nodes)

    (nodes[0].folder / "rules.toml").write_text(text)
    await nodes[0].until(in_force)
    return checked(text.encode(), "rules.toml", nodes[0].hub.config)
