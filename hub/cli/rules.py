"""`trunkline rules check` and `trunkline rules suggest`: is this file good, and what would agents have it say?"""

import tomllib
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from context_store import decided
from hub import replay
from hub.cli.access import path_of, reading
from hub.cli.backtest import Since, moment
from hub.cli.common import DEFAULT, UNWELL, WELL, Common
from hub.cli.output import as_json, err, say, visible
from hub.rules import load_with_rules, read_rules, unheld
from plugins import BadConfig, Problem
from routing import RuleSet
from routing.suggest import FEWEST, Judged, Suggestion
from routing.suggest import suggest as routed

MOST = 20_000
"""Messages that suggestions are made from, the newest: their words are held in memory."""


def check(
    file: Annotated[Path | None, Parameter(help="Rules; else those that the configuration names.")] = None,
    *,
    common: Common = DEFAULT,
) -> int:
    """Test a file of rules, with the examples in it.

    trunkline rules check
    trunkline rules check candidate.toml --json

    All problems are shown, each with its line. Names of targets, teams and instances are held against the
    configuration; no secret is read.
    """
    config = load_with_rules(path_of(common), reveal=False)
    path = file or config.rules
    try:
        rules = read_rules(path, config)
    except BadConfig as error:
        _refused(common, path, error.problems)
        return UNWELL
    counts, loose = _counts(rules), defaultdict[str, set[str]](set)
    for mention in unheld(rules):
        loose[mention.kind].add(mention.name)
    unchecked = {kind: sorted(names) for kind, names in loose.items()}
    if common.json:
        as_json({"file": str(path), "ok": True, "rule_set": rules.hash, "counts": counts, "problems": [],
                 "unchecked": unchecked})  # fmt: skip
        return WELL
    told = ", ".join(f"{count} {name}" for name, count in counts.items())
    say(visible(f"{path.name} is good: {told}; all examples hold."), style="green")
    for kind, names in unchecked.items():
        say(visible(f"Nothing lists what there is of {kind}, so nobody knows whether these are right: "
                    f"{', '.join(names)}"), style="dim")  # fmt: skip
    return WELL


def _refused(common: Common, path: Path, problems: Sequence[Problem]) -> None:
    if common.json:
        as_json({"file": str(path), "ok": False, "problems": problems})
        return
    for problem in problems:
        say(visible(str(problem)), style="red")
    say(f"{len(problems)} problem{'s' * (len(problems) != 1)}: the hub would refuse this file.", style="bold")


def _counts(rules: RuleSet) -> dict[str, int]:
    """A rule set keeps neither its lists nor its examples, which are done with once it is made."""
    document = tomllib.loads(rules.source.decode())
    counted = {"rules": "rule", "examples": "example", "lists": "list", "calendars": "calendar", "services": "service"}
    return {word: len(document.get(key, ())) for word, key in counted.items()}


def suggest(*, since: Since = "90d", common: Common = DEFAULT) -> int:
    """Propose rules and examples from agents' corrections, for a person to read and paste.

    trunkline rules suggest --since 90d
    trunkline rules suggest > proposed.toml

    Nothing takes a proposal by itself: put what is right into a candidate, then `trunkline rules check` and
    `trunkline rules backtest` it.
    """
    after = decided.before(moment(since))
    with reading(common) as conn, err.status("Reading what agents corrected"):
        history = list(replay.judged(conn, decided.newest(conn, after, MOST)))
        proposals = routed(history)
    corrected = sum(1 for each in history if each.corrected)
    if common.json:
        as_json({"messages": len(history), "corrected": corrected, "suggestions": proposals})
        return WELL
    if not proposals:
        say(_why_none(history, corrected, visible(since)))
    for each in proposals:
        say(visible(_evidence(each) + each.rule, lines=True))
    return WELL


def _why_none(history: list[Judged], corrected: int, since: str) -> str:
    if not history:
        return f"# No rules have judged anything since {since}: there is nothing to learn from."
    if corrected < FEWEST:
        return (f"# Agents corrected {corrected} of {len(history)} messages since {since}; a proposal needs "
                f"{FEWEST} corrections that agree.")  # fmt: skip
    return (f"# Agents corrected {corrected} of {len(history)} messages since {since}, but no word or pair of words is "
            f"in {FEWEST} that agree and in hardly any other.")  # fmt: skip


def _evidence(one: Suggestion) -> str:
    others = f"{one.others} other message{'s' * (one.others != 1)} would match as well"
    return f"# {one.corrections} corrections would have been needless; {others}.\n"
