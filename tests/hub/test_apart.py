"""Isolated connectors: parsed in worker processes, claimed apart from all others."""

from tests.hub.desk import Desk, message

SLOW = '[instance.slow]\nkind = "apart"\n'


async def test_what_is_parsed_in_a_worker_is_recorded(hub_under_test: Desk):
    await hub_under_test.start(more=SLOW)
    await hub_under_test.say(message(text="from a worker"), to="slow")
    assert await hub_under_test.column("SELECT text FROM messages WHERE direction = 'in'") == ["from a worker"]


async def test_parsers_that_hang_are_killed_and_their_envelopes_parked(hub_under_test: Desk):
    await hub_under_test.start(more=SLOW, parse=0.3)
    await hub_under_test.say(message(), to="slow", parse="hang")
    rows = await hub_under_test.rows("SELECT state, cause, workers_lost FROM envelopes")
    assert rows == [("parked", "parse_timeout", 2)]


async def test_a_backlog_of_slow_parsing_holds_up_no_webhook(hub_under_test: Desk):
    await hub_under_test.start(more=SLOW, parse=0.3)
    for _ in range(4):
        assert await hub_under_test.post(message(), to="slow", parse="hang") == 200
    assert await hub_under_test.post(message("quick"), to="chat") == 200

    async def recorded() -> bool:
        return bool(await hub_under_test.number("SELECT count(*) FROM messages WHERE key = 'quick'"))

    await hub_under_test.until(recorded)
    assert await hub_under_test.number("SELECT count(*) FROM envelopes WHERE state = 'pending' AND instance = 'slow'")
    await hub_under_test.until(hub_under_test.nothing_pending)


async def test_released_envelopes_go_to_their_own_pipeline(hub_under_test: Desk):
    await hub_under_test.start(more=SLOW)
    await hub_under_test.say(message(), to="slow", parse="raise")
    assert await hub_under_test.column("SELECT state FROM envelopes") == ["parked"]
    await hub_under_test.operate("release", "ada", None)
    await hub_under_test.settle()
    assert await hub_under_test.column("SELECT cause FROM envelopes") == ["parse_failed"]
