"""`trunkline rules edit`: what it writes, what it refuses, what it says."""

import pytest

from hub.cli.common import Usage
from hub.cli.rules_edit import _change, _edits
from tests.cli.conftest import Desk


def test_edit_is_in_the_file_and_in_force_and_shown(served: Desk):
    file = served.folder / "rules.toml"
    before = file.read_text()
    assert "# the running rules stay" in before
    done = served.json("rules", "edit", "modem", "when.text.any=modem", "set.type=incident", "--add")
    assert '+name = "modem"' in done["diff"]
    assert not [line for line in done["diff"] if line.startswith("-")]
    shown = served.run("rules", "edit", "modem", 'when.text.any=["modem", "dsl"]', "stop=true")
    assert '+when.text.any = ["modem", "dsl"]' in shown.stdout.splitlines()
    assert "+stop = true" in shown.stdout.splitlines()
    assert served.json("rules", "edit", "modem", "--remove")["rule_set"]
    assert file.read_text() == before


def test_edit_with_a_bad_result_names_all_that_is_wrong_and_changes_nothing(served: Desk):
    file = served.folder / "rules.toml"
    before = file.read_bytes()
    refused = served.run("rules", "edit", "vpn-outage", "set.urgency=soon", "set.nope=1")
    assert refused.returncode == 1
    assert "rule vpn-outage: set.urgency: unknown value 'soon' (allowed: low, " in refused.stderr
    assert "rule vpn-outage: set.nope: unknown field" in refused.stderr
    assert file.read_bytes() == before


def test_edit_of_a_rule_that_there_is_not_says_so(served: Desk):
    assert "there is no rule 'lost'" in served.run("rules", "edit", "lost", "stop=true").stderr


def test_values_are_toml_or_else_strings():
    assert _change("a.b=3") == ("a.b", 3)
    assert _change('a=["x"]') == ("a", ["x"])
    assert _change("a=high") == ("a", "high")
    assert _change('a="3"') == ("a", "3")
    assert _change("a=1\nb = 2") == ("a", "1\nb = 2"), "one value, and no second key"
    assert _change("a=") == ("a", None)


@pytest.mark.parametrize("text", ["", "a", "=3"])
def test_change_without_key_or_value_is_wrong_usage(text: str):
    with pytest.raises(Usage):
        _change(text)


def test_words_that_contradict_each_other_are_wrong_usage():
    with pytest.raises(Usage, match="alone"):
        _edits("r", {"stop": True}, None, add=False, remove=True)
    with pytest.raises(Usage, match="nothing to change"):
        _edits("r", {}, None, add=False, remove=False)
    with pytest.raises(Usage, match="has a value already"):
        _edits("r", {"set": 1, "set.type": "incident"}, None, add=True, remove=False)
