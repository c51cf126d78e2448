"""A real hub: what an ack means, who sees which conversation, live answers and marks."""

import asyncio
import json

import aiohttp
import pytest
from joserfc import jwk, jwt

from hub.web.plugged import POLLS, ROOM
from plugins.testing.window import SITE
from tests.connectors.webchat.configured import JWT_KEY
from tests.connectors.webchat.conftest import until

TEXTS = "SELECT text FROM messages WHERE direction = 'in' ORDER BY id"


def token(sub="7", exp=4_000_000_000, **more):
    claims = {"sub": sub, "aud": "chat", "iss": "acme", "exp": exp, **more}
    return jwt.encode({"alg": "HS256"}, claims, jwk.import_key(JWT_KEY, "oct"), algorithms=["HS256"])


async def acked(window, cid):
    await until(lambda: cid in window.acks)


async def reference(desk):
    await desk.settle()
    return (await desk.references())[-1]


async def test_ack_means_on_disk(desk, window):
    await desk.hold_pipeline()
    async with window() as ann:
        await acked(ann, await ann.say("VPN down"))
        assert await desk.number("SELECT count(*) FROM envelopes WHERE state = 'pending'") == 1
        assert ann.lines == []
        await desk.resume_pipeline()
        assert (await ann.texts(1))[0] == "VPN down"


async def test_line_without_disk_gets_no_ack(desk, window):
    """The positive control of the ack: while nothing is written, nothing is acknowledged."""
    async with window() as ann:
        desk.hub.intake._commit = lambda _: asyncio.Event().wait()
        cid = await ann.say("VPN down")
        await asyncio.sleep(0.3)
        assert cid not in ann.acks
    desk.hub.intake._task.cancel()
    desk.running = False
    await desk._web.close()
    await desk.hub.stop()


async def test_answer_of_an_agent_appears_and_its_marks_come_back(desk, window):
    async with window() as ann:
        await ann.say("VPN down")
        await ann.texts(2)  # with our acknowledgement
        await desk.operate("reply", "bob", await reference(desk), "Try again now")
        assert (await ann.texts(3))[-1] == "Try again now"
        line = ann.lines[-1]
        assert line["from"] == "desk"
        for state in ("delivered", "read"):
            await ann.send({"t": "seen", "state": state, "seq": line["seq"], "at": line["at"]})
        await desk.until(
            lambda: desk.column("SELECT 1 FROM messages WHERE text = 'Try again now' AND delivery = 'read'")
        )
        assert [frame["t"] for frame in ann.passing] == ["seen", "seen"]


async def test_marks_of_lines_that_were_not_brought_are_not_kept(desk, window):
    async with window() as ann:
        await ann.say("VPN down")
        await ann.texts(2)
        at = ann.lines[-1]["at"]
        for seq in (2, 2, 3, 1_000_000):
            await ann.send({"t": "seen", "state": "read", "seq": seq, "at": at})
        await until(lambda: len(ann.passing) == 4)
    await desk.settle()
    assert await desk.number("SELECT count(*) FROM items WHERE kind = 'receipt'") == 1


async def test_history_comes_back_in_order_without_gaps(desk, window):
    async with window() as ann:
        for n in range(5):
            await ann.say(f"line {n}")
        await ann.texts(6)
        async with window(session=ann.who["session"]) as again:
            assert await again.texts(6) == await ann.texts(6)
            assert [line["seq"] for line in again.lines] == [1, 2, 3, 4, 5, 6]


async def test_stranger_sees_nothing_of_it(desk, window):
    async with window() as ann, window() as eve:
        await ann.say("my secret")
        await ann.texts(2)
        await eve.say("hello")
        assert "my secret" not in await eve.texts(2)


@pytest.mark.parametrize("who", [{"session": "0" * 32 + ".1.ab"}, {"jwt": "a.b.c"}, {"jwt": token(exp=1)}], ids=str)
async def test_false_proof_ends_the_connection(desk, http, who):
    async with http.ws_connect(f"http://127.0.0.1:{desk.hub.port}/ws/help", headers={"Origin": SITE}) as socket:
        await socket.send_str(json.dumps({"t": "hello", **who}))
        await socket.receive()
        assert socket.close_code == 4401


@pytest.mark.parametrize("first", ["", "{}", '{"t":"msg","cid":"abcdefgh","text":"x"}', "[" * 10_000, "\x00"])
async def test_whatever_is_no_hello_ends_the_connection(desk, http, first):
    async with http.ws_connect(f"http://127.0.0.1:{desk.hub.port}/ws/help", headers={"Origin": SITE}) as socket:
        await socket.send_str(first)
        await socket.receive()
        assert socket.close_code == 4401


@pytest.mark.parametrize("headers", [{}, {"Origin": "https://evil.test"}, {"Origin": "null"}], ids=str)
async def test_other_sites_are_refused(desk, http, headers):
    async with http.ws_connect(f"http://127.0.0.1:{desk.hub.port}/ws/help", headers=headers) as socket:
        await socket.receive()
        assert socket.close_code == 4403


async def test_signed_in_user_has_one_conversation_everywhere(desk, window):
    async with (
        window(jwt=token(name="Ann")) as phone,
        window(jwt=token()) as laptop,
        window(jwt=token(sub="8")) as other,
    ):
        await phone.say("from the phone")
        await laptop.say("from the laptop")
        assert set(await laptop.texts(3)) >= {"from the phone", "from the laptop"}
        assert other.lines == []
    assert await desk.column("SELECT name FROM identities WHERE value = 'help:acme:7'") == ["Ann"]


async def test_odd_frames_are_refused_by_name_and_harm_nothing(desk, window):
    async with window() as ann:
        odd = [
            {"t": "msg", "cid": "abcdefgh", "text": "x" * 8001},
            {"t": "msg", "cid": "abcdefgi", "text": "  "},
            {"t": "nonsense", "cid": "abcdefgj"},
            {"t": "file", "cid": "abcdefgk", "name": "a", "size": 10**9},
        ]
        for frame in odd:
            await ann.send(frame)
        await acked(ann, await ann.say("still here"))
        assert [(frame["cid"], frame["why"]) for frame in ann.passing] == [
            ("abcdefgh", "too_long"), ("abcdefgi", "empty"), ("abcdefgj", "unreadable"), ("abcdefgk", "too_large"),
        ]  # fmt: skip
    await desk.settle()
    assert await desk.column(TEXTS) == ["still here"]


async def test_frame_that_is_too_big_ends_the_connection(desk, window):
    async with window() as ann:
        await ann.send({"t": "typing", "x": "x" * 70_000})
        await until(lambda: ann.codes)
        assert ann.codes[0] == 1009


async def test_file_arrives_once_with_its_bytes(desk, window, http):
    async with window() as ann:
        await ann.send({"t": "file", "cid": "the-file-1", "name": "log.txt", "type": "text/plain", "size": 7})
        await until(lambda: ann.passing)
        headers = {"X-Ticket": ann.passing[0]["ticket"], "Origin": SITE}
        url = f"http://127.0.0.1:{desk.hub.port}/in/help/upload"
        for _ in range(2):
            async with http.post(url, data=b"the log", headers=headers) as answer:
                assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (200, "*")
        await ann.texts(1)
        assert ann.lines[0]["files"] == [{"name": "log.txt", "type": "text/plain", "size": 7}]
        assert ann.lines[0]["cid"] == "the-file-1"
    await desk.settle()
    assert await desk.number("SELECT count(*) FROM attachments") == 1


async def test_file_brings_a_form_of_any_length_along(desk, window, http):
    form = {"email": "ann@acme.test", **{f"field{n}": "ü" * 1000 for n in range(9)}}
    async with window() as ann:
        await ann.send({"t": "file", "cid": "the-file-1", "name": "log.txt", "type": "text/plain", "size": 7})
        await until(lambda: ann.passing)
        headers = {"X-Ticket": ann.passing[0]["ticket"], "Origin": SITE}
        url = f"http://127.0.0.1:{desk.hub.port}/in/help/upload"
        async with http.post(url, data=b"the log" + json.dumps(form).encode(), headers=headers) as answer:
            assert answer.status == 200
        await ann.texts(1)
    await desk.settle()
    assert await desk.column("SELECT size FROM attachments") == [7]
    assert "email:ann@acme.test" in (await desk.column("SELECT fields FROM messages WHERE direction = 'in'"))[0]


async def test_window_that_was_further_than_the_conversation_gets_its_lines(desk, window):
    """It stood open while an older copy of the store was put in."""
    async with window() as ann:
        ann.last = 1_000_000
        ann.cut()
        await until(lambda: ann.connections == 2 and ann.ready.is_set())
        await ann.say("VPN down")
        assert (await ann.texts(1))[0] == "VPN down"
        assert (ann.lines[0]["seq"], ann.gaps) == (1, 0)


async def test_typing_is_told_and_not_stored(desk, window):
    async with window() as ann:
        await ann.say("VPN down")
        await ann.texts(2)
        await desk.operate("typing", "bob", await reference(desk))
        await until(lambda: {"t": "typing"} in ann.passing)
        await ann.send({"t": "typing"})
        await acked(ann, await ann.say("and mail"))
    await desk.settle()
    assert await desk.number("SELECT count(*) FROM envelopes") == 2


async def test_plain_http_carries_the_same_frames(desk, http):
    url = f"http://127.0.0.1:{desk.hub.port}/ws/help"

    async def ask(*frames):
        async with http.post(url, json=[json.dumps(frame) for frame in frames], headers={"Origin": SITE}) as answer:
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
            said = await answer.json()
            return [json.loads(each) for each in said["frames"]], said["code"]

    frames, _ = await ask({"t": "hello"}, {"t": "msg", "cid": "abcdefgh", "text": "VPN down"})
    kinds = [frame["t"] for frame in frames]
    assert kinds[:2] == ["ready", "ack"]
    hello = {"t": "hello", "session": frames[0]["session"], "poll": True, "after": 0}
    lines = []
    while len(lines) < 2:
        got, _ = await ask(hello | {"after": len(lines)})
        lines += [frame for frame in got if frame["t"] == "line"]
    assert [line["seq"] for line in lines] == [1, 2]
    again, _ = await ask(hello | {"after": 2}, {"t": "msg", "cid": "abcdefgh", "text": "VPN down"})
    assert [frame["t"] for frame in again] == ["ack"]
    assert (await ask({"t": "hello", "session": "x"}))[1] == 4401
    await desk.settle()
    assert await desk.column(TEXTS) == ["VPN down"]


async def test_a_poll_that_waits_hears_that_the_hub_restarts(desk, http):
    url = f"http://127.0.0.1:{desk.hub.port}/ws/help"

    async def ask(**more):
        async with http.post(url, json=[json.dumps({"t": "hello", **more})], headers={"Origin": SITE}) as answer:
            return await answer.json()

    session = json.loads((await ask())["frames"][0])["session"]
    waits = asyncio.create_task(ask(session=session, poll=True, after=0))
    await until(lambda: desk.hub._runners[0].app[POLLS])
    await desk.stop()
    assert (await waits)["code"] == 1012


async def test_plain_http_that_is_no_list_of_frames_is_400(desk, http):
    for body in (b"", b"{}", b"[1]", b"[" * 10_000, b"\xff"):
        async with http.post(f"http://127.0.0.1:{desk.hub.port}/ws/help", data=body) as answer:
            assert answer.status == 400


async def test_one_address_does_not_take_all_connections(desk, window, http):
    room = desk.hub._runners[0].app[ROOM]
    room.most = 4
    url, headers = f"http://127.0.0.1:{desk.hub.port}/ws/help", {"Origin": SITE}
    async with window(), window():
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(url, headers=headers)
        assert refused.value.status == 429
        room.most = 2
        async with http.post(url, json=[], headers=headers) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (429, "5")
    room.most = 4
    async with window(), window():  # who goes makes room
        pass


async def test_who_guesses_names_is_told_the_same_of_all(desk, http):
    async def answer(method, path):
        async with http.request(method, f"http://127.0.0.1:{desk.hub.port}/in/{path}") as said:
            headers = {name: value for name, value in said.headers.items() if name != "Date"}
            return said.status, headers, await said.read()

    nobody = await answer("GET", "nobody/")
    assert nobody[0] == 401
    assert [await answer("GET", "help/"), await answer("POST", "help/elsewhere")] == [nobody, nobody]
    assert (await answer("OPTIONS", "help/upload"))[0] == 204  # what a widget asks is answered
