"""What runs beside the rules: recorded, weighed against what became of it, never setting anything."""

import asyncio

import msgspec

from context_store import decided
from context_store.opinions import newest_model, opinions_of
from hub import replay
from hub.cli.shadow import weigh
from hub.offers import learn
from hub.rules import STILL
from routing import backtest
from tests.hub.desk import RULES, Desk, message

NONE = decided.before(0)


async def shadowed(hub_under_test: Desk, rules: str) -> Desk:
    (hub_under_test.folder / "shadow.toml").write_text(rules)
    await hub_under_test.start(more='[hub.triage]\nshadow = "shadow.toml"')
    return hub_under_test


async def test_differences_of_a_second_file_are_recorded_and_change_nothing(hub_under_test: Desk):
    desk = await shadowed(hub_under_test, RULES.replace('"incident"', '"request"'))
    await desk.say(message(text="vpn"), message(sender="bob", text="hello"))
    assert await desk.column("SELECT type FROM queries ORDER BY id") == ["incident", "unknown"]
    assert [bool(one) for one in await desk.column("SELECT differs FROM opinions ORDER BY decision_id")] == [
        True,
        False,
    ]

    def report(conn):
        made = backtest.Report()
        for past, other in replay.shadowed(conn, NONE, newest_model(conn, "shadow")):
            backtest.count(made, past, other)
        return made

    made = await desk.hub.store.read(report)
    assert (made.messages, made.changed, made.moves) == (2, 1, {"type": {"incident → request": 1}})


async def test_shadow_is_taken_anew_when_it_is_saved(hub_under_test: Desk):
    desk = await shadowed(hub_under_test, RULES)
    (desk.folder / "shadow.toml").write_text(RULES + "\n# new\n")

    async def there() -> bool:
        return desk.hub.rules.judging.shadow.source.endswith(b"# new\n")

    await desk.until(there)


async def test_rules_that_are_put_in_force_while_a_shadow_is_read_stay_in_force(hub_under_test: Desk):
    desk = await shadowed(hub_under_test, RULES)
    rules = desk.hub.rules
    (desk.folder / "shadow.toml").write_text(RULES + "\n# new\n")
    looking = asyncio.create_task(rules._look())
    await asyncio.sleep(STILL / 3)  # it is read, and waited for to stand still
    assert not looking.done()
    published = await rules.publish(RULES + "\n# newer\n", "agent:eve")
    await looking
    assert rules.current.hash == published.hash
    assert rules.judging.shadow.source.endswith(b"# new\n")


async def test_bad_shadow_stops_nothing_and_raises_an_alarm(hub_under_test: Desk):
    desk = await shadowed(hub_under_test, "nonsense")
    assert await desk.alarms() == ["rules.shadow"]
    await desk.say(message(text="vpn"))
    assert await desk.column("SELECT type FROM queries") == ["incident"]


async def test_classifier_offers_beside_the_rules_and_is_weighed(desk: Desk):
    assert await desk.hub.store.read(learn) is None, "there is nothing to learn from yet"
    lines = [message(sender=f"u{n}", text="vpn is down" if n % 2 else "please order a chair") for n in range(60)]
    await desk.say(*lines)
    offers = await desk.hub.store.read(learn)
    desk.hub.rules.suggest(offers)
    await desk.say(message(sender="new", text="a chair please"))
    (opinion,) = await desk.hub.store.read(opinions_of, await desk.column("SELECT id FROM decisions"))
    assert opinion.offers["type"].label == "unknown"
    assert 0 < opinion.offers["type"].confidence <= 1
    (reference,) = await desk.column("SELECT reference FROM queries ORDER BY id DESC LIMIT 1")
    await desk.operate("set_query", "eve", reference, {"type": "request"})
    (row,) = await desk.hub.store.read(lambda conn: weigh(replay.offered(conn, NONE)))
    assert (row.field, row.offers, row.right) == ("type", 1, 0)
    assert msgspec.json.encode(row)
