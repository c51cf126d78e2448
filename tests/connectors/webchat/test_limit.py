"""What one address may ask in a minute, over sockets and plain HTTP alike (`limits.peer_per_minute`)."""

import asyncio
import json
from datetime import timedelta

import aiohttp
import pytest

from plugins.testing.window import SITE
from tests.connectors.webchat.configured import CHAT, JWT_KEY
from tests.connectors.webchat.conftest import until
from tests.connectors.webchat.pages import begun, say
from tests.hub.desk import installed
from tests.servers import room

TEXTS = "SELECT text FROM messages WHERE direction = 'in' ORDER BY id"
MOST = 4
HELLO = {"t": "hello"}


def next_minute(desk) -> None:
    """To its first second: limits are by the minute."""
    desk.clock.by += timedelta(seconds=60 - desk.clock.now().timestamp() % 60)


@pytest.fixture
async def desk():
    """A hub where the limit is small."""
    with room("limit") as folder:
        for name, text in {"chat.secret": "s" * 40, "jwt.key": JWT_KEY}.items():
            (folder / name).write_text(text)
            (folder / name).chmod(0o600)
        async with installed(folder, "") as desk:
            await desk.start(more=CHAT, limits=f"peer_per_minute = {MOST}")
            next_minute(desk)
            yield desk


def said(cid):
    return {"t": "msg", "cid": cid, "text": cid}


@pytest.fixture
def poll(desk, http):
    async def ask(*frames):
        url, given = f"http://127.0.0.1:{desk.hub.port}/ws/help", [json.dumps(frame) for frame in frames]
        async with http.post(url, json=given, headers={"Origin": SITE}) as answer:
            kinds = [json.loads(each)["t"] for each in (await answer.json())["frames"]] if answer.ok else []
            return answer.status, kinds, answer.headers

    return ask


async def test_handshakes_beyond_the_limit_are_told_when_to_come_again(desk, http):
    url, headers = f"http://127.0.0.1:{desk.hub.port}/ws/help", {"Origin": SITE}
    for _ in range(MOST):
        await (await http.ws_connect(url, headers=headers)).close()
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await http.ws_connect(url, headers=headers)
    assert (refused.value.status, refused.value.headers["Retry-After"]) == (429, "60")
    next_minute(desk)
    await (await http.ws_connect(url, headers=headers)).close()


async def test_lines_beyond_the_limit_wait_and_none_is_lost(desk, window):
    async with window() as ann:
        cids = [await ann.say(f"line {n}") for n in range(MOST + 2)]
        await until(lambda: len(ann.acks) == MOST - 1)  # the handshake counts too
        assert await desk.number("SELECT count(*) FROM envelopes") == MOST - 1
        next_minute(desk)
        await until(lambda: list(ann.acks) == cids)
        assert ann.connections == 1
    await desk.settle()
    assert await desk.column(TEXTS) == [f"line {n}" for n in range(MOST + 2)]


async def test_hub_that_stops_does_not_wait_for_lines_beyond_the_limit(desk, window):
    async with window() as ann:
        for n in range(MOST):
            await ann.say(f"line {n}")
        await until(lambda: len(ann.acks) == MOST - 1)
        await desk.stop()
        assert len(ann.acks) == MOST - 1  # what was not taken is not acknowledged: it stays with the widget


async def test_polls_that_bring_lines_are_refused_beyond_the_limit_in_words_for_scripts(desk, poll):
    for cid in ("line-001", "line-002"):  # each counts as a poll that brings something, and as a line
        assert (await poll(HELLO, said(cid)))[1][:2] == ["ready", "ack"]
    status, _, headers = await poll(HELLO, said("line-003"))
    assert (status, headers["Retry-After"]) == (429, "60")
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert headers["Access-Control-Expose-Headers"] == "Retry-After"
    await desk.settle()
    assert await desk.column(TEXTS) == ["line-001", "line-002"]


async def test_polls_that_only_wait_leave_the_limit_to_lines_and_have_their_own(desk, poll):
    for _ in range(MOST - 1):
        assert (await poll(HELLO))[1] == ["ready"]
    assert (await poll(HELLO, said("line-001")))[1][:2] == ["ready", "ack"]
    assert (await poll(HELLO))[0] == 429


async def test_where_too_much_comes_from_one_address_the_widget_waits_as_long_as_it_is_told(chromium, site):
    await begun(site)
    context = await chromium.new_context(reduced_motion="reduce")
    page = await context.new_page()
    asked = []
    told = {"Retry-After": "60", "Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "Retry-After"}

    async def limit(route):
        asked.append(route.request.post_data)
        await route.fulfill(status=429, headers=told)

    async def times(n):
        async with asyncio.timeout(20):
            while len(asked) < n:
                await page.wait_for_timeout(20)

    await page.clock.install()
    await page.route_web_socket("**/ws/**", lambda socket: socket.close())
    await page.route("**/ws/**", limit)
    await page.goto(site.url)
    await page.get_by_role("button", name="Acme help").click()
    await say(page, "patience")
    await times(1)
    await page.clock.fast_forward(20_000)  # its own pause would be over
    await page.evaluate(
        "hub => fetch(hub + '/p/help/widget.js', {mode: 'no-cors'})", site.hub
    )  # a request takes so long
    assert len(asked) == 1
    await page.clock.fast_forward(60_000)
    await times(2)
    assert "patience" in asked[-1]
