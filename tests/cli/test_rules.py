"""`trunkline rules …` beside a hub that a real `trunkline serve` runs."""

from typing import get_args

import pytest

from hub.cli.backtest import ROWS, Gate, changes, moment, to_read
from hub.cli.common import CommandError
from routing.backtest import COMPARED, VALIDATION, Report, Sample
from tests.cli.conftest import Desk


def candidate(served: Desk, *replaced: tuple[str, str]) -> str:
    """A copy of the rules in force with something else in it."""
    text = (served.folder / "rules.toml").read_text()
    for old, new in replaced:
        assert old in text
        text = text.replace(old, new)
    (served.folder / "candidate.toml").write_text(text)
    return "candidate.toml"


def fewer(served: Desk) -> str:
    """No rule matches anything but automatic mail."""
    text = (served.folder / "rules.toml").read_text()
    first = text.index("\n[[rule]]") + 1
    default = text[text.index("\n[default]") :].partition("[[example]]")[0]
    kept = text[first : text.index("[[rule]]", first + 1)]
    (served.folder / "less.toml").write_text(kept + default)
    return "less.toml"


def test_rules_in_force_are_good_and_counted(served: Desk):
    checked = served.json("rules", "check")
    text = (served.folder / "rules.toml").read_text()
    assert checked["ok"]
    assert checked["counts"]["rules"] == text.count("[[rule]]")
    assert checked["counts"]["examples"] == text.count("[[example]]")
    assert "all examples hold" in served.run("rules", "check").stdout


def test_what_nothing_lists_is_named_as_not_checked(served: Desk):
    assert "remote-access" in served.json("rules", "check")["unchecked"]["service"]
    assert "remote-access" in served.run("rules", "check").stdout


def test_every_problem_of_a_file_is_shown_with_its_line(served: Desk):
    file = candidate(served)
    with (served.folder / file).open("a") as more:
        more.write('\n[[rule]]\nname = "x"\nfrob = 1\nwhen.chanel = "email"\nset.urgency = "huge"\n')
    done = served.run("rules", "check", file)
    assert done.returncode == 1
    for key in ("frob", "chanel", "huge"):
        assert any(f"{file}:" in line and key in line for line in done.stdout.splitlines()), done.stdout
    assert "allowed: low, medium, high, critical" in done.stdout
    told = served.run("rules", "check", file, "--json")
    assert (told.returncode, '"ok": false' in told.stdout) == (1, True)


def test_a_team_that_the_configuration_has_not_is_a_problem(served: Desk):
    text = (served.folder / "rules.toml").read_text()
    added = '[[rule]]\nname = "moon"\nwhen.text.any = ["moonbase"]\nset.team = "moon"\n\n'
    (served.folder / "team.toml").write_text(text.replace("[[rule]]", added + "[[rule]]", 1))
    done = served.run("rules", "check", "team.toml")
    assert done.returncode == 1
    assert "there is no team 'moon'" in done.stdout


def test_the_rules_in_force_would_change_nothing_and_pass_every_gate(served: Desk):
    gates = [word for gate in ("unmatched", "moved", "changed", "unknown", "priority") for word in ("--fail-on", gate)]
    report = served.json("rules", "backtest", "rules.toml", *gates)
    assert report["messages"] == len(served.sample)
    assert (report["changed"], report["failed"]) == (0, [])


def test_a_candidate_that_drops_rules_is_told_and_fails_its_gate(served: Desk):
    file = fewer(served)
    report = served.run("rules", "backtest", file, "--fail-on", "unmatched", "--samples", "9")
    assert report.returncode == 1
    assert "--fail-on unmatched: " in report.stderr
    assert "VPN down" in report.stdout
    assert served.run("rules", "backtest", file, "--fail-on", "unknown").returncode == 0, "the control"


def test_samples_are_as_many_as_asked_for(served: Desk):
    file = fewer(served)
    for count in (0, 1):
        found = served.json("rules", "backtest", file, "--samples", str(count))["samples"]
        assert {len(kept) for kept in found.values()} <= {count}


def test_a_gate_on_no_history_does_not_hold(served: Desk):
    words = ("rules", "backtest", "rules.toml", "--since", "2090-01-01")
    assert served.run(*words).returncode == 0
    done = served.run(*words, "--fail-on", "priority")
    assert done.returncode == 1
    assert "nothing was replayed" in done.stderr


def test_a_candidate_that_is_no_rules_file_is_refused(served: Desk):
    assert served.run("rules", "backtest", "plugins.toml").returncode == 3


def test_a_gate_that_there_is_not_is_wrong_usage(served: Desk):
    assert served.run("rules", "backtest", "rules.toml", "--fail-on", "frob").returncode == 2


def test_every_field_of_the_outcome_is_a_gate():
    assert {*COMPARED, "tags", VALIDATION} <= set(get_args(Gate))


def test_rare_changes_are_added_up_in_one_row():
    moves = {f"none → {number}": number for number in range(1, ROWS + 3)}
    shown = changes(Report(moves={"service": moves}))
    assert len(shown) == ROWS + 1
    assert shown[0] == ("service", f"none → {ROWS + 2}", ROWS + 2)
    assert shown[-1] == ("service", "2 other changes", 1 + 2)


def test_a_message_that_changes_in_two_ways_is_to_be_read_once():
    sample = Sample(
        key="TL-1", says="VPN", was={"team": "a", "type": "b"}, would_be={"team": None, "type": "c"},
        rules_before=("x",), rules_after=(),
    )  # fmt: skip
    rows = to_read(Report(samples={"team": [sample], "type": [sample]}))
    assert rows == [("TL-1", "VPN", ("team a", "type b"), ("team none", "type c"), ())]


@pytest.mark.parametrize("since", ["", "30", "d", "3 days", "999999w", "0001-01-01", "yesterday"])
def test_a_span_that_is_none_is_refused_in_words(since: str):
    with pytest.raises(CommandError, match="12h, 30d"):
        moment(since)


def test_too_few_corrections_are_said_in_words(desk: Desk):
    desk.serve()
    assert "nothing to learn from" in desk.run("rules", "suggest").stdout
    desk.json("sample")
    assert "Agents corrected 0 of" in desk.run("rules", "suggest").stdout


def test_corrections_become_rules_that_can_be_pasted_and_pass_the_check(desk: Desk):
    desk.serve()
    references = []
    for _ in range(3):
        references += [each["reference"] for each in desk.json("sample") if each["subject"] == "VPN down"]
    for reference in references:
        assert desk.run("query", "set", reference, "--type", "complaint", "--service", "network").returncode == 0
    (suggestion,) = desk.json("rules", "suggest")["suggestions"]
    assert suggestion["corrections"] == 3
    proposed = desk.run("rules", "suggest").stdout
    assert "# 3 corrections would have been needless" in proposed
    rules = (desk.folder / "rules.toml").read_text().partition("[[example]]")[0]
    (desk.folder / "candidate.toml").write_text(proposed + rules)
    assert desk.run("rules", "check", "candidate.toml").returncode == 0, desk.run("rules", "check", "candidate.toml")
    report = desk.json("rules", "backtest", "candidate.toml")
    assert report["moves"]["type"] == {"incident → complaint": 3}
