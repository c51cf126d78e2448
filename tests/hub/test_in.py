"""Receive: what is acknowledged is on disk, once; what is not may come again (R1-R5, R10)."""

import asyncio
import os
import threading
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest

from context_store import StoreAway
from context_store.journal import INLINE
from hub.port import Port
from plugins import Envelope, Media, Skipped, Ticket
from tests.hub.desk import NOW, Desk, edit, installed, message


async def test_message_becomes_a_query_a_ticket_and_an_acknowledgement(desk: Desk):
    await desk.say(message("m1", text="vpn is down"))
    assert await desk.rows("SELECT state, type, priority, team, target FROM queries") == [
        ("new", "incident", "P2", "desk", "tool")
    ]
    assert desk.far("tool").bodies() == [b"open vpn is down"]
    assert len(desk.far("chat").ledger) == 1


async def test_replayed_message_is_stored_once(desk: Desk):
    for _ in range(3):
        await desk.say(message("m1"), key="k1")
    assert await desk.rows("SELECT redelivered, collision FROM envelopes") == [(2, False)]
    assert await desk.number("SELECT count(*) FROM messages WHERE direction = 'in'") == 1
    assert len(desk.far("tool").ledger) == 1


async def test_another_body_under_the_same_key_is_kept_flagged_and_recorded(desk: Desk):
    await desk.say(message("m1", text="one"), key="k1")
    await desk.say(message("m1", text="two"), key="k1")
    assert await desk.column("SELECT collision FROM envelopes ORDER BY id") == [False, True]
    assert await desk.column("SELECT text FROM messages WHERE direction = 'in' ORDER BY id") == ["one", "two"]


async def test_key_that_a_program_used_twice_names_two_messages_and_their_repetition_none(desk: Desk):
    one, two = (message("1", text=text, sender=text, digest=text) for text in ("one", "two"))
    await desk.say(one, key="k1")
    await desk.say(two, one, key="k2")
    assert await desk.column("SELECT text FROM messages WHERE direction = 'in' ORDER BY id") == ["one", "two"]
    assert await desk.rows("SELECT outcome, reason FROM items ORDER BY id") == [
        ("recorded", ""),
        ("recorded", "another message came under the same key"),
        ("duplicate", "the same item was recorded before"),
    ]


async def test_items_that_are_batched_anew_are_recorded_once(desk: Desk):
    one, two, three = message("m1"), message("m2"), message("m3")
    await desk.say(one, two, key="k1")
    await desk.say(two, three, key="k2")
    await desk.say(three, one, key="k3")
    assert sorted(await desk.column("SELECT key FROM messages WHERE direction = 'in'")) == ["m1", "m2", "m3"]
    assert await desk.column("SELECT outcome FROM items ORDER BY id") == [
        "recorded", "recorded", "duplicate", "recorded", "duplicate", "duplicate",
    ]  # fmt: skip


async def test_full_hub_says_later_and_keeps_nothing(hub_under_test: Desk):
    desk = hub_under_test
    await desk.start(limits="pending = 1")
    await desk.hold_pipeline()
    assert await desk.post(message()) == 200
    refused = await desk.call("chat", b"[]", key="k2")
    assert (refused.status, "Retry-After" in refused.headers) == (503, True)
    assert await desk.number("SELECT count(*) FROM envelopes") == 1


async def test_webhooks_hear_later_while_the_disk_stands_still_and_are_stored_once(short_folder: Path):
    """On SQLite, whose one writer can be held."""
    begun, release = threading.Event(), threading.Event()

    def hold(_: Any) -> None:
        begun.set()
        release.wait(60)

    async with installed(short_folder, "") as desk:
        await desk.start()
        held = asyncio.create_task(desk.hub.store.write(hold))
        await asyncio.to_thread(begun.wait)
        assert await asyncio.gather(*(desk.post(message(f"m{n}"), key=f"k{n}") for n in (1, 2))) == [503, 503]
        release.set()
        await held
        await desk.say(message("m1"), key="k1")
        await desk.say(message("m2"), key="k2")
        assert await desk.rows("SELECT redelivered FROM envelopes") == [(1,), (1,)]
        assert sorted(await desk.column("SELECT key FROM messages WHERE direction = 'in'")) == ["m1", "m2"]


async def test_program_and_browser_hear_the_same_acknowledgement(desk: Desk):
    """One goes the short way, the other through the application."""
    said = []
    for accept in ("*/*", "text/html"):
        given = {"x-sign": "right", "x-key": accept, "Accept": accept}
        async with desk._web.post("/in/chat/", data=b"[]", headers=given) as answer:
            headers = {name: value for name, value in answer.headers.items() if name != "Date"}
            said.append((answer.status, headers, await answer.read()))
            assert answer.headers["Date"].endswith(" GMT")
    assert said[0] == said[1]
    assert "Content-Security-Policy" in said[0][1]


async def test_peer_that_sends_too_much_is_told_so(hub_under_test: Desk):
    desk = hub_under_test
    await desk.start(limits="peer_per_minute = 2")
    answers = [await desk.call("chat", b"[]", key=f"k{n}") for n in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert "Retry-After" in answers[2].headers
    assert await desk.number("SELECT count(*) FROM envelopes") == 2
    await desk.settle()


@pytest.mark.parametrize("trouble", ["bug", "exit"])
async def test_failing_verify_says_later_so_that_nothing_is_lost(desk: Desk, trouble: str):
    answer = await desk.call("chat", msgspec.json.encode([message("m1")]), key="k1", do=trouble)
    assert (answer.status, "Retry-After" in answer.headers) == (503, True)
    assert await desk.number("SELECT count(*) FROM envelopes") == 0
    await desk.say(message("m1"), key="k1")
    assert await desk.column("SELECT key FROM messages WHERE direction = 'in'") == ["m1"]


async def test_forgery_broken_http_challenge_and_stranger_leave_nothing(desk: Desk):
    assert (await desk.call("chat", b"[]", key="k", sign="wrong")).status == 401
    assert (await desk.call("nobody", b"[]", key="k")).status == 401
    assert (await desk.call("chat", b"[]", key="k", do="malformed")).status == 400
    assert (await desk.call("chat", b"[]", key="k", sign="unknown")).status == 503
    assert (await desk.call("chat", b"echo", do="challenge")).said == b"echo"
    assert await desk.number("SELECT count(*) FROM envelopes") == 0


async def test_unreadable_envelope_is_accepted_parked_and_recorded_once_its_parser_is_mended(desk: Desk):
    assert await desk.post(message("m1"), parse="raise") == 200
    await desk.settle()
    ((state, cause, trace),) = await desk.rows("SELECT state, cause, trace FROM envelopes")
    assert (state, cause) == ("parked", "parse_failed")
    assert "can't read" in trace
    desk.hub.instances["chat"].connector.mended = True
    assert await desk.operate("release", "boss") == {"envelopes": "1", "outbox": "0"}
    await desk.settle()
    assert await desk.column("SELECT state FROM envelopes") == ["done"]
    assert await desk.column("SELECT key FROM messages WHERE direction = 'in'") == ["m1"]


async def test_part_that_needs_a_person_parks_its_envelope_and_releasing_retries_that_part_only(desk: Desk):
    wire = [Skipped(reason="in passing"), message("m1"), Skipped(reason="odd \x00", park=True), message("m2")]
    await desk.say(*wire)
    assert await desk.column("SELECT cause FROM envelopes") == ["parse_refused"]
    assert await desk.number("SELECT count(*) FROM messages WHERE direction = 'in'") == 2
    await desk.operate("release", "boss")  # still odd
    await desk.settle()
    assert await desk.column("SELECT state FROM envelopes") == ["parked"]
    raw = msgspec.json.encode([wire[0], wire[1], message("m3"), wire[3]])
    desk.hub.instances["chat"].connector.readings = {(await desk.column("SELECT raw FROM envelopes"))[0]: raw}
    await desk.operate("release", "boss")
    await desk.settle()
    assert await desk.column("SELECT state FROM envelopes") == ["done"]
    assert sorted(await desk.column("SELECT key FROM messages WHERE direction = 'in'")) == ["m1", "m2", "m3"]
    assert sorted(await desk.column("SELECT outcome FROM items")) == ["recorded", "recorded", "recorded", "skipped"]


@pytest.mark.parametrize("trouble", ["raise", "exit", "hang"])
async def test_poison_does_not_block_the_others(hub_under_test: Desk, trouble: str):
    desk = hub_under_test
    await desk.start(parse=0.3)
    await desk.hold_pipeline()
    await asyncio.gather(*(
        desk.post(message(f"m{n}"), parse=trouble if n in (2, 5) else "", lane="one") for n in range(8)
    ))  # fmt: skip
    await desk.resume_pipeline()
    await desk.settle()
    assert sorted(await desk.column("SELECT state FROM envelopes")) == ["done"] * 6 + ["parked"] * 2
    assert await desk.number("SELECT count(*) FROM messages WHERE direction = 'in'") == 6


async def test_what_can_not_be_recorded_is_found_among_its_neighbours_and_parked(desk: Desk):
    await desk.hold_pipeline()
    poison = Ticket(key="t", ticket="1", revision=1 << 63, ext_id="x")
    await desk.post(message("opens"))
    await desk.resume_pipeline()
    await desk.settle()
    await desk.hold_pipeline()
    reference = (await desk.references())[0]
    await asyncio.gather(*(desk.post(message(f"m{n}")) for n in range(4)))
    await desk.post(msgspec.structs.replace(poison, ext_id=reference), to="tool")
    await asyncio.gather(*(desk.post(message(f"n{n}")) for n in range(4)))
    await desk.resume_pipeline()
    await desk.settle()
    assert await desk.rows("SELECT instance, cause FROM envelopes WHERE state = 'parked'") == [
        ("tool", "record_failed")
    ]
    assert await desk.number("SELECT count(*) FROM messages WHERE direction = 'in'") == 9


async def test_one_message_that_names_a_hundred_thousand_others_stops_nobody(desk: Desk):
    many = [f"<{n}@elsewhere>" for n in range(100_000)]
    await desk.say(message("m1", replies_to=many, tokens=many), *(message(f"n{n}") for n in range(3)))
    assert await desk.column("SELECT state FROM envelopes") == ["done"]


async def test_more_items_in_a_batch_than_a_statement_takes_stop_nobody(desk: Desk):
    await desk.hold_pipeline()
    for e in range(5):
        await desk.post(*(edit(f"{e}-{n}", "never") for n in range(7000)))
    await desk.post(message("m1"))
    await desk.resume_pipeline()
    await desk.until(lambda: desk.number("SELECT count(*) FROM envelopes WHERE state <> 'pending'"))
    assert await desk.column("SELECT DISTINCT state FROM envelopes") == ["done"]
    assert len(await desk.references()) == 1


async def test_order_in_a_lane_is_kept_over_batches(hub_under_test: Desk):
    desk = hub_under_test
    await desk.start(limits="batch = 7")

    async def lane(name: str) -> None:
        for n in range(25):
            assert await desk.post(message(f"{name}-{n}", sender=name, thread=name), lane=name) == 200

    await asyncio.gather(*(lane(name) for name in ("ann", "bob", "cid")))
    await desk.settle()
    for name in ("ann", "bob", "cid"):
        found = await desk.column(
            "SELECT m.key FROM messages m JOIN threads t ON t.id = m.thread_id "
            "WHERE m.direction = 'in' AND t.key = :name ORDER BY m.thread_seq", name=name,
        )  # fmt: skip
        assert found == [f"{name}-{n}" for n in range(25)]


async def test_large_bodies_and_attachments_lie_in_files(desk: Desk):
    data = os.urandom(300_000)
    await desk.say(message("m1", media=[Media(name="big.bin", data=data), Media(name="small", data=b"small")]))
    assert await desk.rows("SELECT raw IS NULL, raw_sha IS NOT NULL FROM envelopes") == [(True, True)]
    rows = await desk.rows(
        "SELECT a.sha256, b.data IS NULL, b.refs FROM attachments a JOIN blobs b USING (sha256) ORDER BY n"
    )
    assert [(row[1], row[2]) for row in rows] == [(True, 1), (False, 1)]
    assert await desk.hub.store.read(desk.hub.blobs.get, rows[0][0]) == data
    assert await desk.hub.store.read(desk.hub.blobs.get, rows[1][0]) == b"small"


NASTY = ["NUL \x00 in it", "lone \ud800 half", "k" * 100_000, "\u202e<b>'\"--;", "é" * 3000, "\x7f\x01"]


@pytest.mark.parametrize("bad", NASTY, ids=range(len(NASTY)))
async def test_hostile_keys_and_text_are_accepted_alike_and_once(desk: Desk, bad: str):
    port: Port = desk.hub.ports["chat"]
    envelope = Envelope(
        key=bad, raw=b"[]", at=NOW, lane=bad, facts={bad: bad}, fingerprint=bad.encode("utf-8", "replace")
    )
    (first,) = await port.receive(envelope, cursor=b"c")
    (again,) = await port.receive(envelope)
    assert (first.fresh, again.fresh, again.id) == (True, False, first.id)
    await desk.settle()
    assert await desk.column("SELECT state FROM envelopes") == ["done"]


@pytest.mark.parametrize("bad", [bad for bad in NASTY if "\ud800" not in bad], ids=range(len(NASTY) - 1))
async def test_hostile_words_in_every_field_are_recorded_alike(desk: Desk, bad: str):
    short = bad[:1000]
    item = message(
        bad, sender=short, name=short, thread=bad, text=bad, subject=bad, html=bad, language=bad, tokens=[bad],
        fields={bad: bad}, replies_to=[bad], media=[Media(name=short, type=short, data=b"x", content_id=short)],
    )  # fmt: skip
    await desk.say(item)
    assert await desk.rows("SELECT state, trace FROM envelopes") == [("done", None)]
    assert await desk.number("SELECT count(*) FROM messages WHERE direction = 'in'") == 1


async def test_order_is_kept_when_the_folder_of_large_files_takes_none_for_a_while(desk: Desk):
    await desk.hold_pipeline()
    data = bytes(INLINE + 1)
    large = Media(name="large.bin", type="application/octet-stream", data=data)
    assert await desk.post(message("m1", text="one", thread="t", media=(large,)), lane="t") == 200
    assert await desk.post(message("m2", text="two", thread="t"), lane="t") == 200
    folder = desk.hub.blobs.path(sha256(data).digest()).parent
    aside = folder.rename(folder.with_name("aside"))
    folder.touch()
    with pytest.raises(StoreAway):
        await desk.hub.pipeline.batch()
    folder.unlink()
    aside.rename(folder)
    await desk.resume_pipeline()
    await desk.settle()
    assert await desk.column("SELECT text FROM messages WHERE direction = 'in' ORDER BY thread_seq") == ["one", "two"]
