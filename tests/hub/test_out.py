"""Deliver: at least once, at most once where the far side allows it, in order, never silently (R6-R9)."""

import asyncio
from datetime import timedelta

import msgspec
import pytest

from context_store import outbox as rows
from context_store.crashpoints import without
from plugins import Media, Pause, Receipt, Refuse, Retry, Ticket, Touched
from tests.hub.desk import NOW, Desk, message

CLASSES = ["A", "B", "C", "harmless"]


async def state(desk: Desk) -> list[tuple]:
    return await desk.rows("SELECT state, cause, maybe_duplicate FROM outbox WHERE destination = 'tool' ORDER BY id")


@pytest.mark.parametrize("steps", CLASSES)
async def test_lost_answer_is_one_effect_where_the_target_allows_it_and_flagged_elsewhere(
    hub_under_test: Desk, steps: str
):
    desk = hub_under_test
    await desk.start(steps=steps)
    tool = desk.far("tool")
    tool.script = ["lost"]
    await desk.say(message(text="one"))
    assert tool.bodies() == [b"open one"] * (2 if steps == "C" else 1)
    assert await state(desk) == [("done", None, steps == "C")]
    assert tool.asked == (1 if steps == "B" else 0)


@pytest.mark.parametrize("steps", CLASSES)
@pytest.mark.parametrize("word", ["bug_after", "late", "garbage"])
async def test_bug_hang_and_nonsense_after_the_effect_count_as_lost_answers(
    hub_under_test: Desk, steps: str, word: str
):
    desk = hub_under_test
    await desk.start(steps=steps, lease=0.1 if word == "late" else 5.0)
    tool = desk.far("tool")
    tool.script = [word]
    await desk.say(message(text="one"))
    assert len(tool.ledger) == (2 if steps == "C" else 1)
    assert [row[0] for row in await state(desk)] == ["done"]


async def test_far_side_that_can_not_be_asked_is_asked_again_before_any_second_try(hub_under_test: Desk):
    desk = hub_under_test
    await desk.start(steps="B")
    tool = desk.far("tool")
    tool.script, tool.asks = ["lost"], ["bug", "bug"]
    await desk.say(message(text="one"))
    assert (len(tool.ledger), len(tool.tried), tool.asked) == (1, 1, 3)


async def test_refused_second_try_does_not_make_an_unknown_first_one_certain(hub_under_test: Desk):
    desk = hub_under_test
    await desk.start(steps="A")
    tool = desk.far("tool")
    tool.script = ["lost", "retry", "retry"]
    await desk.post(message(text="one"))

    async def tried_again() -> bool:
        return len(tool.tried) >= 2

    await desk.until(tried_again)
    await desk.settle()
    assert len(tool.ledger) == 1
    causes = await desk.column("SELECT DISTINCT state FROM outbox WHERE destination = 'tool'")
    assert causes == ["done"]


async def test_certain_failures_are_tried_again_with_the_same_key(desk: Desk):
    tool = desk.far("tool")
    tool.script = ["retry", "retry", "retry"]
    await desk.say(message(text="one"))
    assert [number for _, _, number in tool.tried] == [1, 2, 3, 4]
    assert len({key for key, _, _ in tool.tried}) == 1
    assert await state(desk) == [("done", None, False)]


@pytest.mark.parametrize("word", ["refuse", "bug", "exit"])
async def test_refused_work_is_parked_and_its_lane_goes_on(desk: Desk, word: str):
    tool = desk.far("tool")
    tool.script = [word]
    await desk.say(message(text="one", thread="t"))
    await desk.say(message(text="two", thread="t"))
    assert [row[0] for row in await state(desk)] == ["parked", "done"]
    assert tool.bodies() == [b"say two"]
    await desk.operate("release", "boss")
    await desk.settle()
    assert tool.bodies() == [b"say two", b"open one"]


@pytest.mark.parametrize("cause", ["bad_address", "recipient_refused", "recipient_unknown"])
async def test_acknowledgement_that_reaches_nobody_is_dropped_with_its_reason(desk: Desk, cause: str):
    desk.far("chat").script, desk.far("chat").error = ["raise"], Refuse(cause, "no such address")
    await desk.say(message("m1"))
    assert await desk.column("SELECT state FROM outbox WHERE kind = 'delivery'") == ["cancelled"]
    assert await desk.column("SELECT delivery FROM messages WHERE direction = 'out'") == ["failed"]
    (body,) = await desk.column("SELECT body FROM events WHERE kind = 'query.not_acknowledged'")
    assert cause in body


@pytest.mark.parametrize("cause", ["no_way_back", "hub_error"])
async def test_acknowledgement_that_fails_by_our_own_fault_is_parked(desk: Desk, cause: str):
    desk.far("chat").script, desk.far("chat").error = ["raise"], Refuse(cause, "ours")
    await desk.say(message("m1"))
    assert await desk.column("SELECT state FROM outbox WHERE kind = 'delivery'") == ["parked"]


async def test_agent_s_reply_that_reaches_nobody_waits_for_a_person(desk: Desk):
    await desk.say(message("m1"))
    (reference,) = await desk.references()
    desk.far("chat").script, desk.far("chat").error = ["raise"], Refuse("bad_address", "no such address")
    await desk.operate("reply", "eve", reference, "we are on it")
    await desk.settle()
    assert await desk.column("SELECT state FROM outbox WHERE kind = 'delivery' ORDER BY id") == ["done", "parked"]


async def test_plugin_that_raises_cancelled_error_loses_neither_its_work_nor_its_slot(desk: Desk):
    tool = desk.far("tool")
    tool.script = ["cancelled"]
    await desk.say(message(text="one"))
    assert await state(desk) == [("done", None, False)]
    assert desk.hub.outbox._running == {}


@pytest.mark.parametrize("plan", [None, [], "no steps", [1], [None], {"a": 1}], ids=repr)
async def test_nonsense_from_plan_parks_that_work_alone(desk: Desk, plan: object):
    tool = desk.far("tool")
    tool.steps = lambda body: plan if b"odd" in body else [msgspec.structs.replace(step) for step in usual(body)]
    usual = type(tool).steps.__get__(tool)
    await desk.say(message(text="odd"), message(text="fine", sender="bob"))
    assert sorted(row[0] for row in await state(desk)) == ["done", "parked"]
    assert tool.bodies() == [b"open fine"]


@pytest.mark.parametrize(
    "after", ["soon", float("nan"), float("inf"), -5, object()], ids=["word", "nan", "inf", "negative", "object"]
)
@pytest.mark.parametrize("kind", [Retry, Pause])
async def test_nonsense_about_when_to_come_again_stops_nobody(desk: Desk, after: object, kind: type):
    tool = desk.far("tool")
    tool.script, tool.error = ["raise"], kind("why \x00 \ud800", after=after)
    await desk.post(message(text="one"))

    async def tried() -> bool:
        return bool(tool.tried) and not desk.hub.outbox._running

    await desk.until(tried)
    desk.clock.by += timedelta(days=2)
    await desk.settle()
    assert tool.bodies() == [b"open one"]


async def test_pause_holds_its_destination_raises_an_alarm_and_clears_it(desk: Desk):
    tool = desk.far("tool")
    tool.script = ["pause"]
    await desk.say(message(text="one"))
    await desk.until(desk.alarms)
    assert await desk.alarms() == ["paused:tool"]
    await desk.say(message(text="two", sender="bob"))
    assert tool.ledger == []
    assert len(tool.tried) == 1
    assert len(desk.far("chat").ledger) == 2
    desk.clock.by += timedelta(minutes=10)
    await desk.settle()
    assert sorted(tool.bodies()) == [b"open one", b"open two"]

    async def calm() -> bool:
        return not await desk.alarms()

    await desk.until(calm)


async def test_alarm_of_a_pause_is_cleared_after_a_restart_too(desk: Desk):
    desk.far("tool").script = ["pause"]
    await desk.say(message(text="one"))
    await desk.stop()
    desk.clock.by += timedelta(minutes=10)
    await desk.start()
    await desk.settle()

    async def calm() -> bool:
        return not await desk.alarms()

    await desk.until(calm)


async def test_work_that_never_succeeds_is_parked_at_its_horizon(hub_under_test: Desk):
    desk = hub_under_test
    await desk.start(horizon=0.2)
    tool = desk.far("tool")
    tool.script = ["retry"] * 1000
    await desk.post(message(text="one"))

    async def parked() -> bool:
        return (await state(desk))[:1] == [("parked", "horizon", False)]

    await desk.until(parked)
    tool.script = []
    desk.clock.by += timedelta(minutes=10)  # it rests after so many failures
    await desk.operate("release", "boss")
    await desk.settle()
    assert tool.bodies() == [b"open one"]


async def test_work_parked_with_an_unknown_outcome_asks_before_it_tries_again(hub_under_test: Desk):
    desk = hub_under_test
    await desk.start(horizon=0.2, steps="B")
    tool = desk.far("tool")
    tool.script, tool.asks = ["lost"], ["bug"] * 1000
    await desk.post(message(text="one"))

    async def parked() -> bool:
        return (await state(desk))[:1] == [("parked", "uncertain", False)]

    await desk.until(parked)
    tool.asks = []
    desk.clock.by += timedelta(minutes=10)
    await desk.operate("release", "boss")
    await desk.settle()
    assert tool.bodies() == [b"open one"]
    assert [row[0] for row in await state(desk)] == ["done"]


async def taken_over(desk: Desk) -> tuple[str, bool]:
    """A worker is overtaken while it works and ends then: the work's state, and whether the heir still holds it."""
    tool = desk.far("tool")
    tool.gate = asyncio.Event()
    await desk.post(message(text="one"))

    async def trying() -> bool:
        return bool(tool.tried)

    await desk.until(trying)
    number = await desk.number("SELECT id FROM outbox WHERE destination = 'tool'")
    later = desk.hub.store.now() + 3_600_000
    (taken,) = [w for w in await desk.hub.store.write(rows.claim, later, later + 60_000, 10) if w.id == number]
    tool.gate.set()

    async def over() -> bool:
        return not desk.hub.outbox._running

    await desk.until(over)
    ((found, fence),) = await desk.rows("SELECT state, fence FROM outbox WHERE id = :id", id=number)
    return found, fence == taken.fence


async def test_stale_worker_changes_nothing(desk: Desk):
    assert await taken_over(desk) == ("leased", True)
    assert await desk.number("SELECT count(*) FROM tickets") == 0
    desk.clock.by += timedelta(hours=2)
    await desk.settle()
    assert desk.far("tool").bodies() == [b"open one"]


async def test_without_its_fence_a_stale_worker_ends_what_another_one_does(desk: Desk):
    with without("fence"):
        assert (await taken_over(desk))[0] == "done"


async def test_step_that_was_done_is_not_done_again(hub_under_test: Desk):
    desk = hub_under_test
    await desk.start(steps="C")
    tool = desk.far("tool")
    tool.script = ["ok", "retry", "ok", "retry", "ok"]
    await desk.say(message(text="a|b|c"))
    assert tool.bodies() == [b"open a", b"b", b"c"]
    assert await state(desk) == [("done", None, False)]


async def test_store_that_is_away_between_two_steps_repeats_no_step(hub_under_test: Desk, monkeypatch):
    from context_store import StoreAway

    desk = hub_under_test
    await desk.start(steps="C")
    real, away = desk.hub.store.write, [2]

    async def write(fn, *args, **kwargs):
        if fn.__name__ == "_step_done" and away[0]:
            away[0] -= 1
            raise StoreAway("gone for a while")
        return await real(fn, *args, **kwargs)

    monkeypatch.setattr(desk.hub.store, "write", write)
    await desk.say(message(text="a|b"))
    assert desk.far("tool").bodies() == [b"open a", b"b"]


async def test_order_of_a_lane_is_kept_whatever_fails(desk: Desk):
    tool = desk.far("tool")
    tool.script = ["retry", "ok", "retry", "lost", "retry"]
    for n in range(6):
        assert await desk.post(message(text=f"n{n}", thread="t")) == 200
    await desk.settle()
    assert tool.bodies() == [b"open n0"] + [b"say n%d" % n for n in range(1, 6)]


async def test_broken_destination_leaves_others_their_work(desk: Desk):
    desk.far("tool").script = ["retry"] * 1000
    await desk.post(message(text="one"))

    async def acknowledged() -> bool:
        return len(desk.far("chat").ledger) == 1

    await desk.until(acknowledged)
    desk.far("tool").script = []
    await desk.settle()


async def test_receipts_move_forward_only(desk: Desk):
    await desk.say(message("m1"))
    ref = desk.far("chat").ledger[0].ref
    seen = []
    for word in ("delivered", "sent", "read", "delivered"):
        await desk.say(Receipt(key=f"r-{word}-{len(seen)}", of=ref, state=word, at=NOW))
        seen += await desk.column("SELECT delivery FROM messages WHERE direction = 'out'")
    assert seen == ["delivered", "delivered", "read", "read"]


@pytest.mark.parametrize("by", ["our key", "the step's key", "the channel's id"])
async def test_receipt_before_the_answer_waits_and_then_applies(desk: Desk, by: str):
    chat = desk.far("chat")
    chat.gate = asyncio.Event()
    assert await desk.post(message("m1")) == 200

    async def trying() -> bool:
        return bool(chat.tried)

    await desk.until(trying)
    key = chat.tried[0][0]
    names = {"our key": (await desk.sent())[0]["key"], "the step's key": key, "the channel's id": "far-1"}
    await desk.post(Receipt(key="r", of=names[by], state="delivered", at=NOW))

    async def read() -> bool:
        return bool(await desk.number("SELECT count(*) FROM items WHERE kind = 'receipt'"))

    await desk.until(read)
    chat.gate.set()
    await desk.settle()
    assert await desk.column("SELECT delivery FROM messages WHERE direction = 'out'") == ["delivered"]
    assert await desk.column("SELECT outcome FROM items WHERE kind = 'receipt'") == ["recorded"]
    assert "message.delivered" in await desk.events()


async def test_watermark_speaks_of_all_that_was_sent_in_its_thread(desk: Desk):
    await desk.say(message("m1", thread="t"))
    (reference,) = await desk.references()
    await desk.operate("reply", "eve", reference, "first")
    await desk.settle()
    await desk.say(Receipt(key="r", thread="t", state="read", at=desk.clock.now() + timedelta(seconds=5)))
    assert await desk.column("SELECT delivery FROM messages WHERE direction = 'out'") == ["read", "read"]


async def test_media_that_only_the_provider_has_is_fetched_by_a_job(desk: Desk):
    chat = desk.hub.instances["chat"].connector
    assert await desk.post(message("m1", media=[Media(name="a", ref="file-1"), Media(name="b", data=b"b")])) == 200

    async def asked() -> bool:
        return bool(chat.fetched)

    await desk.until(asked)
    chat.media["file-1"] = b"x" * 300_000
    await desk.settle()
    found = await desk.rows("SELECT sha256, size FROM attachments ORDER BY n")
    assert [row[1] for row in found] == [300_000, 1]
    assert await desk.hub.store.read(desk.hub.blobs.get, found[0][0]) == b"x" * 300_000


async def test_ticket_that_was_touched_is_read_in_its_lane_and_recorded(desk: Desk):
    await desk.say(message("m1"))
    (reference,) = await desk.references()
    changed = Ticket(key="t", ticket="far-1", ext_id=reference, revision=7, fields={"state": "open"})
    desk.hub.instances["tool"].connector.tickets["far-1"] = msgspec.json.encode([changed])
    await desk.say(Touched(key="hook-1", ticket="far-1"), to="tool")
    assert await desk.column("SELECT state FROM envelopes") == ["done"] * 3
    assert await desk.rows("SELECT ticket, revision, fields FROM tickets") == [("far-1", 7, '{"state":"open"}')]
    lanes = await desk.column("SELECT DISTINCT lane FROM outbox WHERE destination = 'tool'")
    assert len(lanes) == 1


async def test_nothing_is_left_half_done_by_a_stop_and_the_next_start_goes_on(desk: Desk):
    tool = desk.far("tool")
    tool.script = ["retry"] * 1000
    for n in range(5):
        await desk.post(message(f"m{n}", text=f"n{n}", sender=f"u{n}"))
    await desk.hold_pipeline()
    await desk.post(message("late", text="late"))
    await desk.stop()
    await desk.start()
    assert await desk.number("SELECT count(*) FROM outbox WHERE state = 'leased'") <= 16
    await desk.settle()
    found = desk.far("tool").bodies()
    assert sorted(tool.bodies() + found) == sorted([*(b"open n%d" % n for n in range(5)), b"open late"])
