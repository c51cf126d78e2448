"""Mistakes of the configuration and of the rules are told together, before anything is started."""

import pytest

from hub.cli.common import CONFIG
from tests.cli.conftest import Desk

RULES = """
[[rule]]
name = "a"
when.chanel = "email"
set.team = "moon"
set.target = "querylog"
[default]
set.type = "unknown"
set.impact = "person"
set.urgency = "medium"
set.target = "nowhere"
"""


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    desk = Desk(tmp_path_factory.mktemp("desk"))
    with (desk.folder / "plugins.toml").open("a") as more:
        more.write('\n[team.red]\ncolour = "red"\n[instance.new]\nkind = "nothing"\n')
    (desk.folder / "rules.toml").write_text(RULES)
    return desk


@pytest.mark.parametrize("command", ["serve", "check", "rules check"])
def test_mistakes_of_both_files_are_listed_at_once(wrong: Desk, command: str):
    done = wrong.run(*command.split())
    assert done.returncode == CONFIG
    told = [line.partition(" (")[0] for line in done.stderr.splitlines()]
    assert told == [
        "plugins.toml: instance.new.kind: no plugin offers this kind",
        "plugins.toml: team.red.colour: unknown key",
        "plugins.toml: team.red.name: is missing",
        "rules.toml:4: rule a: when.chanel: unknown field",
        "rules.toml:5: rule a: set.team: there is no team 'moon'",
        "rules.toml:11: default: set.target: there is no target 'nowhere'",
    ]
    assert not (wrong.folder / "var" / "trunkline.db").exists()


def test_rules_beside_a_configuration_that_is_no_toml_are_tested_too(wrong: Desk):
    (wrong.folder / "half.toml").write_text("[hub")
    done = wrong.run("check", "--config", "half.toml")
    assert done.returncode == CONFIG
    assert "half.toml: is not TOML" in done.stderr
    assert "rules.toml:4: rule a: when.chanel" in done.stderr


def test_check_tests_the_rules_in_the_shadow(desk: Desk):
    with (desk.folder / "plugins.toml").open("a") as more:
        more.write('\n[hub.triage]\nshadow = "later.toml"\n')
    (desk.folder / "later.toml").write_text(RULES)
    done = desk.run("check", "--offline")
    assert "later.toml:4: rule a: when.chanel: unknown field" in "".join(done.stdout.split("\n")).replace("  ", "")
    assert done.returncode == 1
