"""`trunkline explain`: why, and why not, recomputed from the stored facts by the rules that decided."""

from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from context_store import decided, views
from context_store.references import canonical_reference
from context_store.shapes import DecisionView
from hub.cli import lists
from hub.cli.access import place, reading
from hub.cli.common import DEFAULT, WELL, Absent, CommandError, Common
from hub.cli.output import as_json, complain, nearest, say, visible, when
from hub.plain import read_plain
from hub.rules import read_rules
from hub.stored import facts_of_stored, otherwise
from plugins import BadConfig, Problem
from routing import Explanation, Facts, RuleSet, decide, explain, in_words, load_rules
from routing.examples import read_example

SAMPLE_LIMIT = 16 << 20


def explain_(
    what: Annotated[
        str, Parameter(help="A query's reference, a message's id, or a JSON file with `message` and `user`.")
    ],
    *,
    rule: Annotated[str, Parameter(help="Only this rule: why it matched, or why not.")] = "",
    rules: Annotated[Path | None, Parameter(help="Judge by this file, not by the rules that decided.")] = None,
    common: Common = DEFAULT,
) -> int:
    """Why a query was triaged as it was, and why not otherwise.

    trunkline explain TL-4F7K2Q
    trunkline explain TL-4F7K2Q --rule vpn-outage
    trunkline explain 117821602355220480
    trunkline explain sample.json --rules candidate.toml

    A sample is written like the examples in rules.toml:
    {"message": {"channel": "email", "subject": "VPN down"}, "user": {"organisation": "acme"}}
    """
    file = Path(what)
    if file.suffix == ".json" or file.is_file():
        by = rules or place(common).rules
        facts, chosen, told = _sample(file), read_rules(by), f"by {by}"
    elif what.isdecimal() and canonical_reference(what) is None:
        facts, chosen, told = _message(common, int(what), rules)
    else:
        facts, chosen, told = _decided(common, what, rules)
    if rule and rule not in {each.name for each in chosen.rules}:
        raise Absent(f"there is no rule {visible(rule)}; {nearest(rule, [each.name for each in chosen.rules])}")
    _print(common, explain(chosen, facts, rule), told)
    return WELL


def _print(common: Common, explanation: Explanation, told: str) -> None:
    if common.json:
        as_json(explanation)
        return
    say(visible(told, lines=True), style="dim")
    say(visible(in_words(explanation), lines=True).rstrip("\n"))


def _decided(common: Common, reference: str, rules: Path | None) -> tuple[Facts, RuleSet, str]:
    name = canonical_reference(reference)
    with reading(common) as conn:
        root = views.find_query(conn, name) if name else None
        view = views.show_query(conn, root, limit=1) if root is not None else None
        if view is None:
            raise Absent(f"there is no query {visible(reference)}, and no such file")
        newest = _newest(view.decisions, reference)
        found = views.get_decision(conn, newest)
    if found is None or (found[1] is None and rules is None):
        raise Absent(f"the rules that decided {visible(reference)} are not kept any more: --rules names others")
    facts, chosen, told = _again(*found, rules)
    beside = lists.offers(each for each in view.opinions if each.decision_id == newest)
    return facts, chosen, "\n".join((told, *beside))


def _message(common: Common, number: int, rules: Path | None) -> tuple[Facts, RuleSet, str]:
    """A message that opened a query as it was judged; any other as the rules of now would judge it."""
    with reading(common) as conn:
        stored = decided.stored_message(conn, number) if number < 1 << 63 else None
        if stored is None:
            raise Absent(f"there is no message {number}")
        found = views.get_decision(conn, stored.decision_id) if stored.decision_id else None
    if found is not None and (found[1] is not None or rules):
        return _again(*found, rules)
    chosen = read_rules(rules or place(common).rules)
    told = f"not judged: it belongs to {stored.reference}. By {rules or place(common).rules} it would be:"
    return facts_of_stored(stored, chosen), chosen, told


def _again(decision: DecisionView, source: bytes | None, rules: Path | None) -> tuple[Facts, RuleSet, str]:
    """By the rules that decided, or by others."""
    facts = msgspec.json.decode(decision.facts, type=Facts)
    told = f"decided {when(decision.at)} by rules {decision.rule_set[:12]}"
    if rules:
        return facts, read_rules(rules), f"{told}; by {rules} it would be:"
    chosen = load_rules(source or b"", f"rules {decision.rule_set[:12]}", accepted=True)
    if doubt := otherwise(decision.outcome, decide(chosen, facts)):
        complain(doubt)
    return facts, chosen, told


def _newest(decisions: tuple[DecisionView, ...], reference: str) -> int:
    """The newest that rules made: an agent's correction has no conditions."""
    for each in decisions:
        if each.author == "rules":
            return each.id
    raise Absent(f"no rules have judged {visible(reference)}")


def _sample(file: Path) -> Facts:
    try:
        given = msgspec.json.decode(read_plain(file, SAMPLE_LIMIT), type=dict[str, Any])
    except OSError as error:
        raise CommandError(f"{file} can't be read: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CommandError(f"{file} is not JSON with a message: {error}") from error
    problems: list[Problem] = []
    # An example must expect something; a sample asks instead.
    example = read_example(
        {"expect": {"rule": "?"}, **given},
        lambda key, text, fix: problems.append(Problem(file=file.name, key=key, what=text, fix=fix)),
    )
    if example is None:
        raise BadConfig(problems)
    return example.facts
