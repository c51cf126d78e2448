"""A file that is loaded after another one: what stands in both is not read again, and nobody can tell."""

import os

import pytest
import tomli
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from plugins import BadConfig
from routing import Facts, Person, RuleSet, Sender, decide, load_rules
from routing.pieces import taken_apart
from tests.routing.make import DEFAULT, rule, rules

SEQUENCES = int(os.environ.get("TRUNKLINE_RULE_PAIRS", "2000")) // 20
KNOWN = {"team": frozenset({"desk"})}
MEMBERS = st.sampled_from(['["vpn"]', '["vpn", "fax"]', '["b"]', "[]", "3"])
WHENS = st.sampled_from([
    'text.any = ["vpn", "fax"]', 'text.any = ["vpn"]', 'text.in = ["words"]', 'subject.matches = "(?i)^vpn"',
    'text.matches = "^x|er$"', 'text.matches = "("', 'channel = ["email"]', 'channel = ["email", "chat"]',
    'user.organisation = "acme"', "hours.office = true", 'not.text.any = ["fax"]', 'direction = "out"',
    'any = [{ text.any = ["fax"] }, { channel = "chat" }]', "assurance.min = 1", "assurance = { min = 2, max = 1 }",
    'chanel = "email"', 'text.all = ["a"]\ntext.none = ["a"]',
])  # fmt: skip
SETS = st.sampled_from(['set.type = "incident"', 'set.team = "desk"', 'set.team = "moon"', 'set.tags = ["x"]', ""])
MORES = st.sampled_from(["", "", "", "stop = true", 'group = "g"', 'group = "lost"', "note = 3"])
ODD = st.sampled_from([
    '[[rule]]\nname = "open"\nnote = """\n[[rule]]\nname = "inner"\n"""\nwhen.channel = "phone"\nset.team = "desk"\n',
    '[[rule]]\nname = "tables"\n[rule.when]\nchannel = "phone"\n[rule.set]\nteam = "desk"\n',
    '[[rule]]\nname = "two"\nwhen.channel = "phone"\nset.team = "desk"\n  [[rule]]\nname = "third"\n',
    '[list]\nother = """\n', '[x]\n"""\n', "[rule.set]\n", "[ [rule]]\n", '[["rule"]]\nname = "quoted"\n', "\r", "[",
    '[[example]]\nmessage = { text = "vpn" }\nexpect = { type = "incident" }\n',
    '[[example]]\nmessage = { text = "vpn" }\nexpect = { type = "unknown" }\n',
    '[[example]]\nmessage = { txt = "vpn" }\nexpect = { rule = "r0" }\n',
])  # fmt: skip
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "Nowhere"])
PIECES = st.one_of(
    st.builds(lambda when, n, sets, more: rule(when, f"r{n}", sets, more), WHENS, st.integers(0, 9), SETS, MORES),
    st.builds(lambda when, n: rule(when, f"r{n}"), WHENS, st.integers(0, 30)),
    st.builds(lambda members: f"[list]\nwords = {members}\n", MEMBERS),
    st.builds(lambda when: f"[group.g]\nwhen.{when}\n", WHENS),
    st.builds(lambda zone: f'[calendar.office]\nzone = "{zone}"\nhours.mon = "09:00-17:00"\n', ZONES),
    ODD,
)  # fmt: skip
BASE = [
    '[list]\nwords = ["fax", "vpn"]\n',
    '[group.g]\nwhen.channel = "email"\n',
    '[calendar.office]\nzone = "UTC"\nhours.mon = "09:00-17:00"\n',
    rule('text.in = ["words"]', "listed"),
    rule('user.organisation = "acme"', "guarded", 'set.team = "desk"', 'group = "g"'),
    rule("hours.office = true", "timed", 'set.tags = ["office"]'),
]
EDITS = st.lists(
    st.tuples(
        st.sampled_from(["put", "take", "move", "change", "double"]), st.integers(0, 40), st.integers(0, 40), PIECES
    ),
    min_size=1,
    max_size=3,
)
FACTS = [
    Facts(channel=channel, subject=subject, body="a fax for her", direction=direction, assurance=1,
          user=Person(organisation="acme"), sender=Sender(address="a@b.test"))
    for channel in ("email", "chat") for subject in ("VPN", None) for direction in ("in", "out")
]  # fmt: skip


def edited(pieces: list[str], edits: list[tuple[str, int, int, str]]) -> list[str]:
    made = pieces.copy()
    for what, drawn, other, piece in edits:
        at, to = drawn % (len(made) + 1), other % (len(made) + 1)
        if what == "put" or at == len(made):
            made.insert(at, piece)
        elif what == "take":
            del made[at]
        elif what == "move":
            made.insert(to, made.pop(at))
        elif what == "double":
            made.insert(to, made[at])
        else:
            made[at] = piece
    return made


def outcome(text: str, before: RuleSet | None) -> RuleSet | list[str]:
    try:
        return load_rules(text, known=KNOWN, before=before)
    except BadConfig as refused:
        return sorted(map(str, refused.problems))  # of unknown keys Python does not keep an order


def told(rule_set: RuleSet) -> list[object]:
    lexicon = rule_set.index.lexicon
    judged = [decide(rule_set, facts) for facts in FACTS]
    return [rule_set.hash, rule_set.rules, rule_set.default, rule_set.matrix, rule_set.catalogue, judged,
            list(rule_set.mentions()), rule_set.named("team"), lexicon.terms.terms, lexicon.patterns.keys(),
            {field: found.patterns for field, found in lexicon.sets.items()}]  # fmt: skip


@settings(max_examples=SEQUENCES, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(EDITS, min_size=6, max_size=12), st.sampled_from(["\n", "\r\n"]))
def test_edited_file_is_taken_or_refused_as_if_there_had_been_none_before(steps, ends):
    pieces, before = BASE, None
    for edits in ([], *steps):
        changed = edited(pieces, edits)
        text = ("".join(changed) + DEFAULT).replace("\n", ends)
        scratch, after = outcome(text, None), outcome(text, before)
        event(f"{'taken' if isinstance(scratch, RuleSet) else 'refused'} after {'one' if before else 'none'}")
        if not isinstance(scratch, RuleSet) or not isinstance(after, RuleSet):
            assert scratch == after
            continue
        assert told(scratch) == told(after)
        pieces, before = changed, after


@settings(max_examples=SEQUENCES * 5, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(PIECES, max_size=6), st.integers(0, 400), st.integers(0, 60), st.sampled_from(["", "[[rule]]\n", '"""\n'])
)
def test_file_that_was_taken_apart_says_what_it_says_as_one(pieces, at, cut, put):
    text = "".join(pieces)
    text = text[:at] + put + text[at + cut :]
    parts = taken_apart(text, ())
    event("as one" if parts is None else "apart")
    if parts:
        together = {
            "rule": [piece.table for piece in parts.rules],
            "example": [piece.table for piece in parts.examples],
        }
        assert tomli.loads(text) == parts.document | {kind: tables for kind, tables in together.items() if tables}
        lines = text.split("\n")
        assert all(lines[piece.line - 1].startswith("[[") for piece in (*parts.rules, *parts.examples))


@pytest.mark.parametrize(
    "text",
    [
        '[list]\nx = """\n[[rule]]\nname = "a"\n[x]\n"""\n',
        '[[rule]]\nname = "a"\n  [[rule]]\nname = "b"\n',
        '[[rule]]\nname = "a"\n[list]\nx = [1]\n[rule.set]\nteam = "t"\n',
        'rule = [{ name = "a" }]\n',
        '[[rule]]\nname = "a"\n  [list]\nx = [1]\n',
        "[[rule]]\nx = [\n[1],\n]\n",
    ],
)
def test_file_whose_tables_do_not_stand_alone_is_parsed_as_one(text):
    assert tomli.loads(text)
    assert taken_apart(text, ()) is None


def test_rules_that_stand_in_both_files_are_not_read_again():
    first, second = rule('text.any = ["vpn"]', "a"), rule('text.in = ["words"]', "b")
    one = rules(first, second, '[list]\nwords = ["fax"]')
    edited_one = load_rules(one.source.decode().replace('"vpn"', '"modem"'), before=one)
    assert edited_one.rules[1] is one.rules[1]
    other_list = load_rules(one.source.decode().replace('"fax"', '"telex"'), before=one)
    assert other_list.rules[0] is one.rules[0]
    assert decide(other_list, Facts(body="telex")).rules == ("b",)


def test_set_that_nobody_checked_spares_no_check():
    text = rule('text.all = ["a"]\ntext.none = ["a"]') + DEFAULT
    unchecked = load_rules(text, accepted=True)
    assert isinstance(outcome(text, unchecked), list)
