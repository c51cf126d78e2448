"""Rules while the hub runs: edits are live at once, a bad file changes nothing, nodes agree."""

from hub.rules import TOPIC, Rules
from tests.hub.desk import RULES, Desk, message

BAD = RULES.replace('set.type = "incident"', 'set.type = "incidence"\nset.colour = "red"')


async def in_force(desk: Desk, word: str) -> None:
    async def there() -> bool:
        return word.encode() in desk.hub.rules.current.source

    await desk.until(there)


async def test_saved_edit_is_in_force_without_a_word(desk: Desk):
    before = desk.hub.rules.current.hash
    (desk.folder / "rules.toml").write_text(RULES.replace('["vpn"]', '["modem"]'))
    await in_force(desk, "modem")
    assert desk.hub.rules.current.hash != before
    await desk.say(message(text="my modem"))
    assert await desk.column("SELECT type FROM queries") == ["incident"]
    assert await desk.column("SELECT rule_set FROM decisions") == [desk.hub.rules.current.hash]


async def test_bad_file_changes_nothing_and_its_alarm_has_every_mistake(desk: Desk):
    before = desk.hub.rules.current
    (desk.folder / "rules.toml").write_text(BAD)
    await desk.until(desk.alarms)
    (what,) = await desk.column("SELECT what FROM alarms WHERE key = 'rules'")
    assert "incidence" in what
    assert "set.colour" in what
    assert desk.hub.rules.current is before
    (desk.folder / "rules.toml").write_text(RULES + "\n# better\n")
    await in_force(desk, "better")
    assert await desk.alarms() == []


async def test_file_that_is_gone_for_a_while_is_waited_for(desk: Desk):
    (desk.folder / "rules.toml").unlink()
    await desk.until(desk.alarms)
    assert desk.hub.rules.current.rules
    (desk.folder / "rules.toml").write_text(RULES)
    await desk.until(lambda: _no_alarm(desk))


async def _no_alarm(desk: Desk) -> bool:
    return not await desk.alarms()


async def test_what_another_node_publishes_is_adopted_and_a_differing_file_raises_an_alarm(desk: Desk):
    other = Rules(desk.hub.store, desk.hub.config, desk.clock, desk.hub.fabric)
    await other.start()
    await desk.hub.rules.publish(RULES.replace('["vpn"]', '["modem"]'), "agent:eve")
    assert await other.follow()
    assert other.current.hash == desk.hub.rules.current.hash
    assert not await other.follow()
    assert [key for key in await desk.alarms() if key.startswith("rules.")]
    (desk.folder / "rules.toml").write_bytes(other.current.source + b"# copied")
    assert await other.reload()
    assert await desk.alarms() == []


async def test_file_that_was_put_right_while_its_node_was_down_ends_the_alarm(desk: Desk):
    other = Rules(desk.hub.store, desk.hub.config, desk.clock, desk.hub.fabric)
    await other.start()
    right = RULES.replace('["vpn"]', '["modem"]')
    await desk.hub.rules.publish(right, "agent:eve")
    assert await other.follow()
    assert [key for key in await desk.alarms() if key.startswith("rules.")]
    await desk.stop()
    desk.rules = right
    await desk.start()
    assert await desk.alarms() == []


async def test_old_copy_of_the_file_does_not_come_back_with_a_node_that_starts(desk: Desk):
    if desk.hub.store.dialect == "sqlite":
        return
    await desk.hub.rules.publish(RULES.replace('["vpn"]', '["modem"]'), "agent:eve")
    late = Rules(desk.hub.store, desk.hub.config, desk.clock, desk.hub.fabric)
    await late.start()
    assert b"modem" in late.current.source


async def test_published_rules_wake_those_who_follow(desk: Desk):
    await desk.hub.rules.publish(RULES + "\n# more\n", "agent:eve")
    await desk.hub.fabric.wait(TOPIC, 5)
    assert desk.hub.rules.current.source.endswith(b"# more\n")
