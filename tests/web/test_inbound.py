"""/in/: what reaches a connector, and what is refused before (R10, S15, S46)."""

import asyncio
import threading

import msgspec

from context_store import ids
from context_store.sqlite import READERS
from hub.web.ops import make_ops_app


async def test_the_connector_sees_public_url_tail_headers_and_exact_bytes(desk, client):
    desk.config = msgspec.structs.replace(desk.config, public_url="https://desk.acme.test/trunk")
    browser = await client()
    await browser.post("/in/hooks/a%2Fb/c?x=1&x=%20", data=b"\x00raw", headers={"X-One": "1", "Host": "evil.test"})
    request = desk.intake.seen[0]
    assert request.method == "POST"
    assert request.url == "https://desk.acme.test/trunk/in/hooks/a%2Fb/c?x=1&x=%20"
    assert request.tail == "a/b/c"
    assert request.body == b"\x00raw"
    assert request.header("X-One") == "1"
    assert request.at.tzinfo is not None
    assert desk.intake.peers == ["127.0.0.1"]


async def test_repeated_headers_are_joined(desk):
    raw = (
        b"POST /in/hooks HTTP/1.1\r\nHost: x\r\nX-Sig: a\r\nX-Sig: b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
    await talk(desk, raw)
    assert desk.intake.seen[0].headers["x-sig"] == "a, b"


async def test_unknown_instance_and_bad_signature_look_alike(client):
    browser = await client()
    unknown, forged = await browser.post("/in/nothing/"), await browser.post("/in/hooks/", data=b"{}")
    assert unknown.status == forged.status == 401
    assert await unknown.read() == await forged.read()


async def test_a_body_that_says_it_is_too_large_is_refused_unread(desk):
    answer = await talk(desk, b"POST /in/hooks/ HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\nabc")
    assert answer.startswith(b"HTTP/1.1 413")
    assert desk.intake.seen == []


async def test_a_chunked_body_is_counted_too(desk):
    limit = desk.instances["hooks"].connector.capabilities.max_body
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    head = b"POST /in/hooks/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = await talk(desk, head, *([chunk] * (limit // 0x10000 + 2)))
    assert answer.startswith(b"HTTP/1.1 413")
    assert desk.intake.seen == []


async def test_packed_bodies_are_refused_and_not_unpacked(desk, client):
    browser = await client()
    answer = await browser.post("/in/hooks/", data=b"\x1f\x8b\x08junk", headers={"Content-Encoding": "gzip"})
    assert answer.status == 415
    assert desk.intake.seen == []


async def test_broken_http_is_400(desk):
    for raw in (
        b"POST /in/hooks/ HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /in/hooks/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST /in/hooks/ HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GARBAGE\r\n\r\n",
    ):
        assert (await talk(desk, raw))[8:].startswith(b" 400")
    assert desk.intake.seen == []


async def test_a_full_hub_says_when_to_come_again(desk, client):
    desk.intake.full = True
    answer = await (await client()).post("/in/hooks/", data=b"x")
    assert answer.status == 503
    assert int(answer.headers["Retry-After"]) > 0


async def test_a_plugin_sets_neither_cookies_nor_policies(desk, client):
    browser = await client()
    answer = await browser.post("/in/portal/", data={"submission": "x" * 20, "message": "hello"})
    assert answer.status == 202
    assert answer.headers["X-Own"] == "1"
    assert "Set-Cookie" not in answer.headers


async def test_figures_of_health_are_not_for_strangers(desk, client):
    near = await (await (await client("viewer")).get("/healthz")).json()
    assert near["ok"]
    assert near["outbox"] == {"parked": 1, "queued": 1}
    assert {"support-mail", "portal", "hooks"} <= {each["id"] for each in near["instances"]}
    assert near["backlog"]["oldest_parked_age"] >= 1200
    stranger = await (await client()).get("/healthz")  # from this machine, as a proxy's requests are
    assert await stranger.json() == {"ok": True}


async def test_health_fails_when_the_books_do_not_balance(desk, client):
    from sqlalchemy import update

    from context_store import tables as t

    await desk.store.write(lambda conn: conn.execute(update(t.tallies).values(n=7)) and None)
    answer = await (await client("viewer")).get("/healthz")
    assert answer.status == 503
    assert not (await answer.json())["balanced"]


async def test_health_does_not_wait_for_a_store_that_stands_still(desk, client):
    browser, moves = await client("viewer"), threading.Event()
    try:
        held = [asyncio.create_task(desk.store.read(lambda _conn: moves.wait(60))) for _ in range(READERS)]
        async with asyncio.timeout(30):
            for path in ("/healthz", "/readyz"):
                assert (await browser.get(path)).status == 503
    finally:
        moves.set()
    await asyncio.gather(*held)
    assert (await browser.get("/healthz")).status == 200


async def test_ready_says_whether_new_messages_are_taken(desk, client):
    browser = await client()
    assert (await browser.get("/readyz")).status == 200
    desk.intake.full = True
    assert (await browser.get("/readyz")).status == 503


async def test_a_hub_without_ids_is_not_ready(desk, client, monkeypatch):
    browser = await client()
    monkeypatch.setattr(ids, "LEASE_MS", -1)
    desk.store.ids = ids.Ids(desk.store.now, desk.store.node, desk.store.ids.next(), leased=True)
    assert (await browser.get("/readyz")).status == 503
    monkeypatch.undo()
    desk.store.ids.renewed(desk.store.node)
    assert (await browser.get("/readyz")).status == 200


async def test_the_local_socket_runs_operations_and_answers_problems_as_json(desk, aiohttp_client):
    local = await aiohttp_client(make_ops_app(desk, desk.operations))
    done = await local.post("/ops/release", json={"actor": "cli:root", "ids": [1, 2]})
    assert await done.json() == {"result": {"released": 2}}
    assert desk.operations.calls == [("release", "cli:root", [1, 2])]
    for name, body, status, kind in (
        ("nothing", b"{}", 404, "unknown"),
        ("__class__", b"{}", 404, "unknown"),
        ("release", b"{", 400, "malformed"),
        ("release", b'{"ids": []}', 400, "malformed"),
        ("release", b'{"actor": "x", "wrong": 1}', 400, "malformed"),
        ("recipient", b'{"actor": "x", "reference": "r"}', 409, "refused"),
        ("note", b'{"actor": "x", "reference": "r", "text": 1}', 200, ""),
    ):
        desk.operations.refuse = "nobody"
        answer = await local.post(f"/ops/{name}", data=body)
        assert answer.status == status
        assert (await answer.json()).get("problem", {}).get("kind", "") == kind


async def talk(desk, *pieces: bytes) -> bytes:
    """What the server says to raw bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(desk.url.rsplit(":", 1)[1]))
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
    except ConnectionError:
        pass
    answer = await reader.read(100_000)
    writer.close()
    return answer
