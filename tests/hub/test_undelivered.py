"""A rule that the hub could not act on is refused, not taken and never done."""

from pathlib import Path

import pytest

from hub.config import load_config
from hub.rules import read_rules
from plugins import BadConfig

BASE = Path(__file__).parents[2]
END = """
[default]
set.type = "unknown"
set.impact = "person"
set.urgency = "low"
set.target = "querylog"
"""


def problems(tmp_path: Path, rule: str) -> list[str]:
    (tmp_path / "plugins.toml").write_text('[instance.querylog]\nkind = "querylog"\n')
    (tmp_path / "rules.toml").write_text(rule + END)
    config = load_config(tmp_path / "plugins.toml", {})
    try:
        read_rules(tmp_path / "rules.toml", config)
    except BadConfig as error:
        return [str(problem) for problem in error.problems]
    return []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('set.park = "later"', "noisy: set.park: this hub does not act on it yet"),
        ("set.spam = true", "noisy: set.spam: this hub does not act on it yet"),
        ('when.recipients.any = ["a@b.test"]\nset.type = "incident"', "when.recipients: this hub does not capture it"),
    ],
)
def test_what_the_hub_does_not_deliver_is_refused_by_name(tmp_path: Path, line: str, said: str):
    found = problems(tmp_path, f'[[rule]]\nname = "noisy"\nwhen.channel = "email"\n{line}\n')
    assert any(said in one for one in found), found


def test_what_it_delivers_is_taken(tmp_path: Path):
    assert problems(tmp_path, '[[rule]]\nname = "vpn"\nwhen.text.any = ["vpn"]\nset.type = "incident"\n') == []
