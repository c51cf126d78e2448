"""Edits by program: comments stay, and a bad one changes nothing."""

import pytest

from hub.rules_text import edited
from plugins import BadConfig
from tests.hub.desk import Desk, message

SOURCE = """# The desk's rules
[[rule]]
name = "vpn"           # asked for by network
when.text.any = ["vpn"]
set.type = "incident"  # always

# A remark that belongs to the rule before
[[rule]]
name = "printer"
when.text.any = ["printer"]
set.type = "request"

[default]
set.type = "unknown"
"""


def one(does: str, **more: object) -> str:
    return edited(SOURCE, [{"do": does, **more}])


def test_value_is_set_and_every_comment_stays():
    after = one("set", rule="vpn", key="set.type", value="request")
    assert after == SOURCE.replace('set.type = "incident"', 'set.type = "request"')
    assert 'set.team = "desk"' in one("set", rule="vpn", key="set.team", value="desk")
    assert "set.type" not in one("unset", rule="printer", key="set.type").partition('"printer"')[2].partition("[def")[0]


def test_rules_are_added_moved_and_removed():
    table = {"name": "new", "when": {"text": {"any": ["modem"]}}, "set": {"type": "incident"}}
    added = one("add", table=table, before="printer")
    assert added.index('"vpn"') < added.index('name = "new"\nwhen.text.any = ["modem"]') < added.index('"printer"')
    moved = one("move", rule="printer", before="vpn")
    assert moved.index('"printer"') < moved.index('"vpn"')
    assert "printer" not in one("remove", rule="printer")
    assert 'expect = {type = "request"}' in one(
        "example", table={"message": {"text": "vpn"}, "expect": {"type": "request"}}
    )


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        ({"do": "burn"}, "there are: add, set"),
        ({"do": "set", "rule": "lost", "key": "note", "value": "x"}, "there is no rule 'lost'"),
        ({"do": "set", "rule": "vpn", "key": "a..b", "value": 1}, "is no key"),
        ({"do": "set", "rule": "vpn", "key": "name.x", "value": 1}, "name is no table"),
        ({"do": "remove", "rule": "vpn", "why": "x"}, "unknown why"),
        ({"do": "add"}, "table is missing"),
    ],
)
def test_edit_that_makes_no_sense_says_why(edit: dict[str, object], said: str):
    with pytest.raises(ValueError, match="edit 1") as caught:
        edited(SOURCE, [edit])
    assert said in str(caught.value)


async def test_edit_is_in_the_file_and_in_force(desk: Desk):
    edit = {"do": "set", "rule": "vpn", "key": "set.type", "value": "request"}
    done = await desk.operate("rules_edit", "eve", [edit], desk.hub.rules.current.hash)
    assert done["rule_set"] == desk.hub.rules.current.hash
    assert 'set.type = "request"' in (desk.folder / "rules.toml").read_text()
    await desk.say(message(text="vpn"))
    assert await desk.column("SELECT type FROM queries") == ["request"]
    assert await desk.events("rules.edited") == ["rules.edited"]


async def test_edit_that_the_file_would_be_refused_for_changes_nothing(desk: Desk):
    before, text = desk.hub.rules.current, (desk.folder / "rules.toml").read_bytes()
    edit = {"do": "set", "rule": "vpn", "key": "set.type", "value": "incidence"}
    with pytest.raises(BadConfig, match="incidence"):
        await desk.operate("rules_edit", "eve", [edit])
    with pytest.raises(ValueError, match="changed meanwhile"):
        await desk.operate("rules_edit", "eve", [edit], "another")
    assert desk.hub.rules.current is before
    assert (desk.folder / "rules.toml").read_bytes() == text
    assert list(desk.folder.glob(".rules*")) == []


async def test_edit_of_a_linked_file_changes_the_file_and_keeps_link_and_mode(desk: Desk):
    link = desk.folder / "rules.toml"
    file = desk.folder / "elsewhere" / "of-ours.toml"
    file.parent.mkdir()
    link.rename(file)
    file.chmod(0o640)
    link.symlink_to("elsewhere/of-ours.toml")
    await desk.operate("rules_edit", "eve", [{"do": "set", "rule": "vpn", "key": "set.type", "value": "request"}])
    assert link.is_symlink()
    assert 'set.type = "request"' in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o640
    assert list(file.parent.iterdir()) == [file]


async def test_edit_that_can_not_be_written_says_what_to_do(desk: Desk):
    before, text = desk.hub.rules.current, (desk.folder / "rules.toml").read_bytes()
    (desk.folder / ".rules.toml.new").mkdir()  # in the way, also of root, whom no mode stops
    edit = {"do": "set", "rule": "vpn", "key": "set.type", "value": "request"}
    with pytest.raises(ValueError, match="can't be written: ") as caught:
        await desk.operate("rules_edit", "eve", [edit])
    assert f"let the hub write in {desk.folder} (ReadWritePaths= in its unit)" in str(caught.value)
    assert desk.hub.rules.current is before
    assert (desk.folder / "rules.toml").read_bytes() == text
