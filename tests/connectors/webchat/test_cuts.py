"""Two tabs of one visitor, cut again and again, over a restart: nothing lost, nothing doubled, order kept."""

import asyncio
import random
from contextlib import suppress

from plugins.testing.window import Window
from tests.connectors.webchat.conftest import until

CUTS = 10
LINES = 40
ANSWERS = 10


class Forgetful(Window):
    """The positive control of loss: what was not sent at once is never sent."""

    async def say(self, text, **more):
        cid = await super().say(text, **more)
        self.pending.pop(cid, None)
        return cid


class Renaming(Window):
    """The positive control of doubles: a line that is sent again gets a name of its own, and acks are not heard."""

    async def took(self, frame):
        if frame["t"] == "ready":
            self.pending = {f"{cid}x": {**one, "cid": f"{cid}x"} for cid, one in self.pending.items()}
        if frame["t"] != "ack":
            await super().took(frame)


async def speak(window, name, n=LINES):
    """Lines at odd moments, whether there is a connection or not."""
    for number in range(n):
        await window.say(f"{name} {number}")
        await asyncio.sleep(random.uniform(0, 0.02))


async def cut(window, times=CUTS):
    """At odd moments, each time another connection, if it has not gone by itself."""
    for _ in range(times):
        stood = window.connections
        await window.ready.wait()
        await asyncio.sleep(random.uniform(0, 0.05))
        window.cut()
        await until(lambda: window.connections > stood, 60)  # noqa: B023  # awaited here


async def all_acked(*windows):
    await until(lambda: not any(window.pending for window in windows), 60)


async def answers(desk, texts):
    await desk.until(desk.references)
    reference = (await desk.references())[0]
    for text in texts:
        await desk.operate("reply", "bob", reference, text)
        await asyncio.sleep(random.uniform(0, 0.05))


def said(window, name):
    return [line["text"] for line in window.lines if line["text"].startswith(name)]


async def test_two_tabs_cut_ten_times_lose_and_double_nothing(desk, window):
    async with window() as one:
        await one.say("first")
        await one.texts(2)
        async with window(session=one.who["session"]) as other:
            told = [f"bob {n}" for n in range(ANSWERS)]
            await asyncio.gather(speak(one, "one"), speak(other, "other"), cut(one), cut(other), answers(desk, told))
            await all_acked(one, other)
            total = 2 + 2 * LINES + ANSWERS
            assert await one.texts(total) == await other.texts(total)
            for tab in (one, other):
                assert said(tab, "one") == [f"one {n}" for n in range(LINES)]
                assert said(tab, "other") == [f"other {n}" for n in range(LINES)]
                assert said(tab, "bob") == told
                assert [line["seq"] for line in tab.lines] == list(range(1, total + 1))
                assert tab.connections > CUTS
    await desk.settle()
    assert await desk.number("SELECT count(*) FROM messages") == total


async def test_the_check_finds_lines_that_a_widget_loses(desk, window, http):
    forgetful = Forgetful(http, lambda: f"http://127.0.0.1:{desk.hub.port}/ws/help")
    async with forgetful:
        await asyncio.gather(speak(forgetful, "one"), cut(forgetful))
    await desk.settle()
    assert 0 < await desk.number("SELECT count(*) FROM messages WHERE text LIKE 'one %'") < LINES


async def test_the_check_finds_lines_that_a_widget_doubles(desk, window, http):
    renaming = Renaming(http, lambda: f"http://127.0.0.1:{desk.hub.port}/ws/help")
    async with renaming:
        await asyncio.gather(speak(renaming, "one", 5), cut(renaming, 2))
        await renaming.texts(7)
    await desk.settle()
    assert await desk.number("SELECT count(*) FROM messages WHERE text LIKE 'one %'") > 5


async def test_lines_survive_a_restart_of_the_hub(desk, window):
    async with window() as one:
        speaking = asyncio.create_task(speak(one, "one", 100))
        await one.texts(20)
        await desk.stop()
        await desk.start()
        await speaking
        await all_acked(one)
        await one.texts(101)
        assert said(one, "one") == [f"one {n}" for n in range(100)]
        assert one.gaps == 0
        assert {1012, 1013} & set(one.codes)


async def test_lines_survive_the_death_of_the_hub(desk, window):
    """Nothing is drained: tasks end where they are, as after kill -9 (bench webchat kills a real process)."""
    async with window() as one:
        speaking = asyncio.create_task(speak(one, "one", 100))
        await one.texts(20)
        hub = desk.hub
        await desk._web.close()
        for web_runner in hub._runners:
            with suppress(Exception):
                await web_runner.cleanup()
        await hub.stop()
        await desk.start()
        await speaking
        await all_acked(one)
        await one.texts(101)
        assert said(one, "one") == [f"one {n}" for n in range(100)]
