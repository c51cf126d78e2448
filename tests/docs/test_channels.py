"""Configurations that the pages of the channels show are ones that the hub takes."""

import re
from pathlib import Path

import pytest

from hub.config import load_config
from hub.rules import read_rules

ROOT = Path(__file__).resolve().parents[2]
SNIPPETS = [
    pytest.param(block, id=f"{page.stem}-{number}")
    for page in sorted(ROOT.glob("docs/channels/*.md"))
    for number, block in enumerate(re.findall(r"^```toml\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL))
]


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_configuration_in_a_page_is_taken_and_the_rules_of_init_fit_it(snippet: str, tmp_path: Path):
    """As it stands, beside what `trunkline init` wrote."""
    file = tmp_path / "plugins.toml"
    file.write_text(snippet)
    config = load_config(file, {}, reveal=False)
    assert config.instances
    assert read_rules(ROOT / "hub" / "cli" / "templates" / "rules.toml", config).rules


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_what_a_page_leaves_commented_out_is_taken_too(snippet: str, tmp_path: Path):
    file = tmp_path / "plugins.toml"
    file.write_text(re.sub(r"(?m)^# (?=[a-z_]+ = )", "", snippet))
    assert load_config(file, {}, reveal=False).instances
