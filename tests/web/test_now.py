"""What goes on at a query just now: who looks, who writes, that there is news."""

import asyncio

import pytest

from context_store.audit import NewEvent, add_events, last_seq, seal
from hub.lines import thread_topic
from hub.web.now import NEWSROOM
from tests.web.listening import listening, until_told


@pytest.fixture
def path(desk):
    return f"/console/queries/{desk.ids['vpn']['reference']}"


async def happened(desk, query):
    """An event of the query, sealed as the hub does it."""
    subject = desk.ids[query]["id"]
    event = NewEvent(
        id=desk.store.ids.next(), kind="query.set", subject_id=subject, message_id=None, actor="agent:eve",
        at=desk.store.now(), body={},
    )  # fmt: skip
    await desk.store.write(lambda conn: add_events(conn, [event]))
    await desk.store.write(seal, desk.store.now())
    desk.fabric.announce(await desk.store.read(last_seq))


async def test_agents_see_who_else_looks_at_a_query(desk, client, path):
    amir, mona = await client("agent"), await client("manager")
    other = f"/console/queries/{desk.ids['chat']['reference']}"
    async with listening(amir, f"{path}/now") as seen, listening(await client("viewer"), f"{other}/now") as elsewhere:
        assert seen == [("present", [])]
        async with listening(mona, f"{path}/now") as hers:
            await until_told(seen, "present", ["Mona"])
            await until_told(hers, "present", ["Amir"])
        async with listening(amir, f"{path}/now") as again:
            assert again[0][1] in (["Mona"], [])  # not oneself
        assert elsewhere == [("present", [])]


async def test_words_of_a_user_who_writes_and_of_new_lines_reach_the_page(desk, client, path):
    from sqlalchemy import select

    from context_store import tables as t

    (key,) = await desk.store.read(
        lambda conn: conn.scalars(select(t.threads.c.key_hash).where(t.threads.c.id == desk.ids["vpn"]["thread"])).all()
    )
    async with listening(await client("agent"), f"{path}/now") as told:
        desk.fabric.tell(thread_topic(key), "user-typing")
        await until_told(told, "user-writes")
        assert ("changed", None) not in told
        desk.fabric.tell(thread_topic(key))
        await until_told(told, "changed")


async def test_colleague_who_writes_is_shown_to_the_others_and_to_the_user(desk, client, path):
    amir, mona = await client("agent"), await client("manager")
    async with listening(amir, f"{path}/now") as his, listening(mona, f"{path}/now") as hers:
        answer = await mona.post(f"{path}/typing", data={"to_message": ""})
        assert answer.status == 204
        await until_told(his, "writes", "Mona")
        assert "writes" not in {event for event, _ in hers}
    assert desk.operations.calls == [("typing", "manager", desk.ids["vpn"]["reference"], None)]


async def test_typing_where_nobody_can_be_answered_is_no_error(desk, client, path):
    desk.operations.refuse = "nobody to answer"
    assert (await (await client("agent")).post(f"{path}/typing", data={"to_message": "7"})).status == 204


async def test_news_of_a_query_reach_its_pages_alone_and_nothing_reads_without_a_page(desk, client, path):
    newsroom = desk.app[NEWSROOM]
    await desk.store.write(seal, desk.store.now())  # what the sample left is no news
    other = f"/console/queries/{desk.ids['chat']['reference']}"
    async with (
        listening(await client("agent"), f"{path}/now") as told,
        listening(await client("agent"), f"{other}/now"),
    ):
        await happened(desk, "chat")
        await happened(desk, "vpn")
        await until_told(told, "changed")
        assert told.count(("changed", None)) == 1
        assert newsroom._reading is not None
    async with asyncio.timeout(60):
        while newsroom._reading is not None:  # the server notes that the pages have gone
            for one in ("vpn", "chat"):  # it notes it when it has something to say to them
                desk.fabric.tell(f"query:{desk.ids[one]['id']}", "user-typing")
            await asyncio.sleep(0.01)
    assert newsroom._pages == {}


async def test_stream_keeps_no_session_alive_and_a_stranger_gets_none(client, path, desk):
    from datetime import timedelta

    browser = await client("agent")
    desk.clock.ahead += timedelta(minutes=119)
    async with listening(browser, f"{path}/now"):
        pass
    desk.clock.ahead += timedelta(minutes=2)
    answer = await browser.get(f"{path}/now", headers={"Accept": "text/event-stream"}, allow_redirects=False)
    assert answer.status == 401


async def test_stop_of_the_hub_ends_the_streams(desk, client, path):
    async with (await client("agent")).get(f"{path}/now") as answer:
        assert await answer.content.readline() == b"event: present\n"
        desk.app[NEWSROOM].closing.set()
        async with asyncio.timeout(60):
            await answer.read()
