"""What `call` answers and raises: by status, and by what became of the connection (F33-F37)."""

import asyncio
import gzip
import socket
from datetime import UTC, datetime

import pytest
from aiohttp import web

from hub.egress import MAX_RETRY_AFTER, retry_after
from plugins import Call, Pause, Refuse, Retry, Secret, Uncertain
from tests.faultproxy import Fault, FaultProxy
from tests.hub.far_side import LOCAL, FarSide, answer, client, get, post, raw, silence

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


async def test_call_arrives_whole_at_a_real_server_and_so_does_its_answer(aiohttp_server):
    seen = {}

    async def take(request: web.Request) -> web.Response:
        seen.update(method=request.method, path=request.raw_path, body=await request.read())
        seen["headers"] = {name.lower(): value for name, value in request.headers.items()}
        return web.Response(status=201, body=b"\x00made", headers={"X-Id": "7", "Set-Cookie": "a=b"})

    app = web.Application(client_max_size=1 << 24)
    app.router.add_route("*", "/{tail:.*}", take)
    server = await aiohttp_server(app)
    body = bytes(range(256)) * (3 << 12)  # 3 MiB
    headers = {"Authorization": Secret("t0ken").wrap("Bearer {}"), "X-Tag": "a,b"}
    async with client(LOCAL) as egress:
        made = await egress.request(
            Call(method="PUT", url=f"http://127.0.0.1:{server.port}/x%2Fy?q=%2B+", headers=headers, body=body)
        )
        again = await egress.request(Call(method="GET", url=f"http://127.0.0.1:{server.port}/"))
    assert (made.status, made.body, made.headers["x-id"]) == (201, b"\x00made", "7")
    assert again.status == 201
    assert "cookie" not in seen["headers"]
    assert seen["headers"]["user-agent"] == "Trunkline"
    assert "content-type" not in seen["headers"]


async def test_secret_header_is_revealed_to_the_far_side_alone():
    async with FarSide(answer()) as far, client(LOCAL) as egress:
        await egress.request(post(far, headers={"Authorization": Secret("t0ken").wrap("Bearer {}")}))
        assert b"authorization: bearer t0ken\r\n" in far.requests[0].lower()


@pytest.mark.parametrize(
    ("status", "error", "effect_error"),
    [
        (301, Refuse, Refuse),
        (302, Refuse, Refuse),
        (304, Refuse, Refuse),
        (307, Refuse, Refuse),
        (400, Refuse, Refuse),
        (401, Pause, Pause),
        (403, Pause, Pause),
        (404, Refuse, Refuse),
        (410, Refuse, Refuse),
        (413, Refuse, Refuse),
        (422, Refuse, Refuse),
        (429, Retry, Retry),
        (500, Retry, Uncertain),
        (502, Retry, Uncertain),
        (503, Retry, Uncertain),
        (504, Retry, Uncertain),
        (599, Retry, Uncertain),
        (999, Retry, Uncertain),
    ],
)
async def test_status_says_what_the_outbox_does_next(status: int, error: type, effect_error: type):
    async with FarSide(answer(status, b"", "Location: /elsewhere")) as far:
        async with client(LOCAL) as egress:
            for call, expected in ((get(far), error), (post(far), effect_error), (post(far, effect=False), error)):
                with pytest.raises(expected) as raised:
                    await egress.request(call)
                assert expected is not Refuse or raised.value.code == f"http_{status}"
                assert (await egress.request(call, expect={status})).status == status
        assert len(far.requests) == 6  # a redirect that is followed would be a seventh
        assert not [request for request in far.requests if b"/elsewhere" in request]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 120 ", 120.0),
        ("1.5", 1.5),
        ("1000000000", MAX_RETRY_AFTER),
        ("9" * 8000, MAX_RETRY_AFTER),
        ("Sat, 21 Nov 2026 12:02:00 GMT", 120.0),
        ("Sat, 21 Nov 2026 14:02:00 +0200", 120.0),
        ("Saturday, 21-Nov-26 12:02:00 GMT", 120.0),
        ("Sat Nov 21 12:02:00 2026", 120.0),
        ("Sat, 21 Nov 2026 11:00:00 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", MAX_RETRY_AFTER),
        ("Mon, 01 Jan 0001 00:00:00 GMT", 0.0),
        ("", None),
        ("-5", None),
        ("+5", None),
        ("1e9", None),
        ("inf", None),
        ("nan", None),
        ("soon", None),
        ("\u0661\u0662", None),
        ("Sat, 99 Nov 2026 99:99:99 GMT", None),
        ("1 2 3 4 5", None),
        ("(" * 5000, None),
    ],
)
def test_retry_after_in_every_form(text: str, seconds: float | None):
    assert retry_after(text, NOW) == seconds


@pytest.mark.parametrize(("status", "error"), [(429, Retry), (503, Retry), (403, Pause)])
async def test_wait_that_the_far_side_names_reaches_the_outbox(status: int, error: type):
    async with FarSide(answer(status, b"", "Retry-After: 77")) as far, client(LOCAL) as egress:
        with pytest.raises(error) as raised:
            await egress.request(get(far))
        assert raised.value.after == 77


LOST = {
    "hangs up": raw(b""),
    "half a head": raw(b"HTTP/1.1 200 OK\r\nContent-Le"),
    "no http": raw(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "body too short": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"),
    "length is no number": raw(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"),
    "two lengths": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
    "chunks break off": raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhal"),
    "chunks are garbage": raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
    "gzip is garbage": answer(200, b"no gzip", "Content-Encoding: gzip"),
    "a header without end": raw(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n"),
    "a thousand headers": raw(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000 + b"\r\n"),
    "odd bytes in the head": raw(b"HTTP/1.1 200 OK\r\nX\x00: \xff\r\n\r\n"),
}


@pytest.mark.parametrize("fault", LOST)
async def test_lost_answer_is_uncertain_after_an_effect_and_retry_otherwise(fault: str):
    async with FarSide(LOST[fault]) as far, client(LOCAL) as egress:
        with pytest.raises(Uncertain):
            await egress.request(post(far))
        for call in (get(far), post(far, effect=False)):
            with pytest.raises(Retry):
                await egress.request(call)
        assert len(far.requests) == 3


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST", "PATCH", "OPTIONS"])
async def test_effect_whose_answer_is_lost_went_out_once(method: str):
    """aiohttp would send PUT, DELETE and OPTIONS a second time by itself."""
    async with FarSide(raw(b""), answer()) as far, client(LOCAL) as egress:
        with pytest.raises(Uncertain):
            await egress.request(Call(method=method, url=far.url, effect=True))
        assert len(far.requests) == 1


@pytest.mark.parametrize(
    "fault", [Fault(trigger=b"POST", reset=True), Fault(trigger=b"POST", mute=True), Fault(reset_after=20)]
)
async def test_effect_over_a_broken_network_is_uncertain(fault: Fault):
    async with FarSide(answer(200, b"done")) as far, FaultProxy("127.0.0.1", far.port, fault) as proxy:
        async with client(LOCAL) as egress:
            with pytest.raises(Uncertain):
                await egress.request(Call(method="POST", url=f"http://127.0.0.1:{proxy.port}/", body=b"effect"))
        assert proxy.began == 1


async def test_effect_over_an_honest_proxy_is_answered():
    async with (
        FarSide(answer(200, b"done")) as far,
        FaultProxy("127.0.0.1", far.port) as proxy,
        client(LOCAL) as egress,
    ):
        call = Call(method="POST", url=f"http://127.0.0.1:{proxy.port}/", body=b"effect")
        assert (await egress.request(call)).body == b"done"


async def drip(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.01)


async def drip_head(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("script", [silence, drip, drip_head])
async def test_answer_without_end_is_cut_by_the_time_out(script):
    async with FarSide(script) as far, client(LOCAL, timeout=0.3) as egress:
        with pytest.raises(Uncertain, match="no whole answer in time"):
            await egress.request(post(far))
        with pytest.raises(Retry, match="no whole answer in time"):
            await egress.request(get(far))


async def flood(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        await writer.drain()


BOMB = gzip.compress(bytes(64 << 20))

HUGE = {
    "declared": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"),
    "flood": flood,
    "bomb": answer(200, BOMB, "Content-Encoding: gzip"),
    "one byte more": answer(200, b"x" * 1001),
}


@pytest.mark.parametrize("fault", HUGE)
async def test_huge_answer_is_refused_and_uncertain_after_an_effect(fault: str):
    async with FarSide(HUGE[fault]) as far, client(LOCAL, max_answer=1000) as egress:
        with pytest.raises(Refuse) as refused:
            await egress.request(get(far))
        assert refused.value.code == "answer_too_large"
        with pytest.raises(Uncertain, match="too large"):
            await egress.request(post(far))


async def test_largest_answer_is_read_whole():
    async with FarSide(answer(200, b"x" * 1000)) as far, client(LOCAL, max_answer=1000) as egress:
        assert len((await egress.request(get(far))).body) == 1000


async def test_file_may_be_as_long_as_its_vendor_says_up_to_the_hubs_own_cap():
    for length, longest, read in ((1500, 1500, True), (1501, 1500, False), (2000, 9999, True), (2001, 9999, False)):
        script = answer(200, b"x" * length)
        async with FarSide(script) as far, client(LOCAL, max_answer=1000, max_file=2000) as egress:
            call = Call(method="GET", url=far.url, longest=longest)
            if read:
                assert len((await egress.request(call)).body) == length
                continue
            with pytest.raises(Refuse) as refused:
                await egress.request(call)
            assert refused.value.code == "answer_too_large"


async def test_answer_to_head_may_name_a_length_beyond_the_cap():
    script = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")
    async with FarSide(script) as far, client(LOCAL, max_answer=1000) as egress:
        head = await egress.request(Call(method="HEAD", url=far.url))
        assert (head.status, head.body, head.headers["content-length"]) == (200, b"", "99999999999")


async def test_refused_connection_is_retry_even_for_an_effect():
    async with FarSide(answer()) as far:
        call = post(far)
    async with client(LOCAL) as egress:
        with pytest.raises(Retry):
            await egress.request(call)


async def test_connection_that_never_stands_is_retry_even_for_an_effect():
    """A full backlog: the kernel answers no SYN any more."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf:
        port = deaf.getsockname()[1]
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        async with client(LOCAL, connect_timeout=0.2) as egress:
            with pytest.raises(Retry, match="no whole answer in time"):
                await egress.request(Call(method="POST", url=f"http://127.0.0.1:{port}/"))
        for filler in fillers:
            filler.close()


async def test_closed_client_sends_nothing_and_says_retry():
    async with FarSide(answer()) as far:
        async with client(LOCAL) as egress:
            await egress.request(get(far))
        with pytest.raises(Retry):
            await egress.request(post(far))
        assert far.connections == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"X": "a\r\nY: b"},
        {"X": "a\nb"},
        {"X": "a\x00b"},
        {"X": "\u00e4"},
        {"X": "\ud800"},
        {"X": b"bytes"},
        {"X": 7},
        {"X": Secret("a\r\nY: b")},
        {"X\r\nY": "b"},
        {"X Y": "b"},
        {"X:": "b"},
        {"": "b"},
        {"X": "a", "x": "b"},
        {"Host": "evil.test"},
        {"content-length": "0"},
        {"Transfer-Encoding": "chunked"},
        {"Connection": "keep-alive, Authorization"},
        {"Expect": "100-continue"},
        {"Upgrade": "h2c"},
        {"Proxy-Authorization": "x"},
    ],
)
async def test_header_that_would_inject_or_frame_is_refused(headers: dict):
    async with FarSide(answer()) as far, client(LOCAL) as egress:
        with pytest.raises(Refuse, match=r"^egress_refused"):
            await egress.request(post(far, headers=headers))
        assert far.connections == 0


@pytest.mark.parametrize(
    "method", ["", "get", "CONNECT", "TRACE", "POST /x HTTP/1.1\r\nX:", "G T", "\u0396\u0396\u0396"]
)
async def test_method_that_is_none_is_refused(method: str):
    async with FarSide(answer()) as far, client(LOCAL) as egress:
        with pytest.raises(Refuse, match=r"^egress_refused"):
            await egress.request(Call(method=method, url=far.url))
        assert far.connections == 0


async def test_environment_names_no_proxy_and_no_credentials(monkeypatch, tmp_path):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login ann password netrc-canary\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    async with FarSide(answer()) as far, FarSide(answer()) as proxy, client(LOCAL) as egress:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        await egress.request(get(far))
        assert (far.connections, proxy.connections) == (1, 0)
        assert b"authorization" not in far.requests[0].lower()


async def test_no_more_connections_to_one_place_than_its_share():
    async with FarSide(silence) as far, client(LOCAL, connect_timeout=0.2, timeout=1.0, per_host=2) as egress:
        calls = [asyncio.create_task(egress.request(post(far))) for _ in range(5)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert far.connections == 2
        assert sorted(type(result).__name__ for result in results) == ["Retry"] * 3 + ["Uncertain"] * 2
