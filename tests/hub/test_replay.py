"""What was decided, and corrected since, comes back from both databases as routing takes it."""

from context_store import decided
from hub import replay
from routing import load_rules
from routing.backtest import backtest
from tests.hub.desk import Desk, message

NONE = decided.before(0)


async def past(desk: Desk, after: int = NONE):
    return await desk.hub.store.read(lambda conn: list(replay.past(conn, after)))


async def judged(desk: Desk):
    return await desk.hub.store.read(lambda conn: list(replay.judged(conn, NONE)))


async def test_own_rules_would_decide_all_of_history_as_they_did(desk: Desk):
    for sender, text in (("ann", "vpn is down"), ("bob", "hello")):
        await desk.say(message(sender=sender, text=text))
    history = await past(desk)
    report = backtest(desk.hub.rules.current, history, lambda: 0.0)
    assert (report.messages, report.changed, report.hits_before) == (2, 0, {"vpn": 1})
    assert [one.key for one in history] == await desk.references()


async def test_another_file_shows_what_it_would_change(desk: Desk):
    await desk.say(message(text="vpn is down"))
    candidate = load_rules(desk.rules.replace('["vpn"]', '["modem"]'))
    report = backtest(candidate, await past(desk), lambda: 0.0)
    (sample,) = report.samples["newly_unmatched"]
    assert (report.newly_unmatched, sample.says) == (1, "vpn is down")


async def test_history_is_read_page_by_page_and_from_a_moment_on(desk: Desk):
    for number in range(5):
        await desk.say(message(sender=f"user{number}"))
    ids = await desk.column("SELECT id FROM decisions ORDER BY id")
    read = desk.hub.store.read
    assert await read(lambda conn: [row.id for row in decided.decided(conn, NONE, 2)]) == ids
    assert len(await past(desk, ids[2])) == await read(decided.how_many, ids[2]) == 2
    assert await read(decided.newest, NONE, 2) == ids[2]
    assert await read(decided.newest, NONE, 5) == NONE
    at = await desk.number("SELECT min(at) FROM decisions")
    assert decided.before(at - 1000) < ids[0] < decided.before(at + 60_000)


async def test_last_word_of_an_agent_is_a_correction(desk: Desk):
    await desk.say(message(text="the plotter is stuck"))
    (reference,) = await desk.references()
    await desk.operate("set_query", "eve", reference, {"type": "request", "state": "open"})
    await desk.operate("set_query", "eve", reference, {"type": "incident", "service": "printing"})
    (one,) = await judged(desk)
    assert one.corrected == {"type", "service"}
    assert (one.outcome["type"], one.outcome["service"], one.outcome["target"]) == ("incident", "printing", "tool")


async def test_priority_that_followed_by_the_matrix_is_no_correction(desk: Desk):
    await desk.say(message(text="the plotter is stuck"))
    (reference,) = await desk.references()
    await desk.operate("set_query", "eve", reference, {"impact": "organisation"})
    (one,) = await judged(desk)
    assert one.corrected == {"impact"}
    await desk.operate("set_query", "eve", reference, {"priority": "P1"})
    (one,) = await judged(desk)
    assert one.corrected == {"impact", "priority"}


async def test_what_came_back_to_the_rules_word_and_what_no_rule_can_set_are_no_corrections(desk: Desk):
    await desk.say(message(text="the plotter is stuck"))
    (reference,) = await desk.references()
    for changes in ({"type": "request"}, {"type": "unknown"}, {"service": "x" * 200}, {"team": ""}):
        await desk.operate("set_query", "eve", reference, changes)
    (one,) = await judged(desk)
    assert one.corrected == set()
