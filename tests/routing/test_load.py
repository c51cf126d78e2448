from pathlib import Path

import pytest

from plugins import BadConfig
from routing import Facts, decide, load_rules
from tests.routing.make import DEFAULT, problems, rule, rules

EXAMPLE = """
[[example]]
message = { channel = "email", subject = "VPN down" }
expect = { rule = "vpn", type = "incident" }
"""


def test_rules_of_the_repository_are_accepted_with_their_examples():
    file = Path(__file__).parents[2] / "rules.toml"
    rule_set = load_rules(file.read_bytes())
    assert rule_set.default.sets["target"] == "querylog"
    assert rule_set.rules


def test_all_problems_of_a_file_are_named_at_once_with_line_key_and_what_is_allowed():
    text = """
[[rule]]
name = "a"
when.txt.any = ["x"]
when.subject.contains = "x"
when.channel = ["emial"]
set.type = "incidence"
set.tagret = "q"
stpo = true

[[rule]]
name = "a"
when.assurance = 1
when.user.vip = "yes"
when.text.any = []
set.team = ""

[default]
set.type = "unknown"
set.impact = "persons"
set.priority = "P1"

[matrix]
person = { low = "P9" }

[[example]]
message = { chanel = "email" }
expect = { type = "incidence" }

[extra]
"""
    found = problems(text)
    for expected in (
        "rules.toml:4: rule a: when.txt: unknown field (did you mean text? allowed: channel, ",
        "rules.toml:5: rule a: when.subject.contains: unknown operator for a text field (allowed: any, all, none, ",
        "rules.toml:6: rule a: when.channel: unknown value 'emial' (allowed: email, chat, phone, social, ",
        "rules.toml:7: rule a: set.type: unknown value 'incidence' (allowed: incident, ",
        "rules.toml:8: rule a: set.tagret: unknown field (allowed: type, ",
        "rules.toml:9: rule a: stpo: unknown key (allowed: name, note, group, when, set, stop)",
        "rules.toml:12: rule a: name: line 2 has a rule of this name",
        "rules.toml:13: rule a: when.assurance: needs an operator (allowed: assurance.min, assurance.max)",
        "rules.toml:14: rule a: when.user.vip: expected true or false, not a string",
        "rules.toml:15: rule a: when.text.any: can never match: the list is empty",
        "rules.toml:16: rule a: set.team: expected a string of 1 to 100",
        "rules.toml:20: default: set.impact: unknown value 'persons' (allowed: person, team, department, organisation)",
        "rules.toml:21: default: set.priority: would make the matrix useless",
        "rules.toml:19: default: set.target: is needed",
        "rules.toml:24: matrix: person.low: 'P9' is no priority (allowed: P1, P2, P3, P4, P5)",
        "rules.toml:23: matrix: team: missing",
        "rules.toml:27: example 1: message.chanel: unknown key (allowed: channel, ",
        'rules.toml:28: example 1: expect.type: expected one of "incident", "request"',
        "rules.toml:30: extra: unknown table (allowed: rule, example, default, matrix, group,",
    ):
        assert any(line.startswith(expected) for line in found), (expected, found)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "default: missing"),
        ("rule = 5" + DEFAULT, "rule: expected a list of tables (write [[rule]])"),
        ("rule = [1]" + DEFAULT, "rule 1: expected a table"),
        ("example = [3]" + DEFAULT, "example 1: expected a table"),
        ("matrix = 3" + DEFAULT, "matrix: expected a table"),
        ("default = []", "default: expected a table"),
        (rule('channel = "email"', "default") + DEFAULT, "'default' is taken"),
        (rule('channel = "email"', sets="") + DEFAULT, "the rule does nothing"),
        ('[[rule]]\nname = "a"\nset.team = "x"' + DEFAULT, "when: missing"),
        ('[[rule]]\nname = "a"\nwhen = {}\nset.team = "x"' + DEFAULT, "has no condition"),
        (rule("not = {}") + DEFAULT, "has no condition"),
        (rule('any = ["vpn"]') + DEFAULT, "expected a table of conditions, not a string"),
        (rule('any = "vpn"') + DEFAULT, "expected a list of tables, not a string"),
        (
            rule('text = "vpn"') + DEFAULT,
            "needs an operator (allowed: text.any, text.all, text.none, text.in, text.matches)",
        ),
        (rule('user = "ann"') + DEFAULT, "expected one of its fields"),
        (rule('text.any = ["\\u00ad"]') + DEFAULT, "is empty and would match everything"),
        (rule("text.any = [1]") + DEFAULT, "expected a string or a list of strings, not a list"),
        (rule("assurance.min = 4") + DEFAULT, "4 is too large (at most 3)"),
        (rule("assurance.min = true") + DEFAULT, "expected a whole number from 0"),
        (rule('missing = ["sender"]') + DEFAULT, "unknown field 'sender'"),
        (rule('text.matches = "vpn|"') + DEFAULT, "matches every text"),
        (rule('text.matches = "\uff56pn"') + DEFAULT, "write 'vpn'"),
        (rule('channel = "email"', sets='set.language = "English"') + DEFAULT, "is no language tag"),
    ],
)
def test_mistake_is_named(text, what):
    assert any(what in problem for problem in problems(text)), problems(text)


@pytest.mark.parametrize(
    "when",
    [
        'text.all = ["vpn"]\ntext.none = ["VPN"]',
        'text.any = ["a", "b"]\ntext.none = ["a", "b", "c"]',
        'channel = "email"\nnot.channel = "email"',
        'channel = "email"\nall = [{ channel = "chat" }]',
        'user.organisation = "a"\nmissing = ["user.organisation"]',
        "user.vip = true\nall = [{ user.vip = false }]",
        "assurance = { min = 2, max = 1 }",
        'channel = "email"\nany = [{ all = [{ text.all = ["a"], text.none = ["a"] }] }]',
    ],
)
def test_rule_that_can_never_match_is_refused(when):
    assert any("can never match" in problem for problem in problems(rule(when) + DEFAULT))


def test_rule_that_is_always_stopped_before_is_refused():
    above = rule('text.any = ["vpn", "tunnel"]', "above", more="stop = true")
    below = rule('channel = "email"\ntext.any = ["TUNNEL", "vpn"]', "below")
    (problem,) = problems(above + below + DEFAULT)
    assert problem.startswith("rules.toml:6: rule below: never runs: above (line 1)")
    assert rules(below, above).rules


@pytest.mark.parametrize(
    ("above", "below"),
    [
        ('channel = ["email", "chat"]', 'channel = "email"\ntext.any = ["vpn"]'),
        ('text.any = ["vpn", "tunnel", "anyconnect"]', 'text.any = ["tunnel"]'),
        ("assurance.min = 1", "assurance.min = 2"),
    ],
)
def test_rule_that_asks_for_less_takes_all_from_one_below(above, below):
    (stopped,) = problems(rule(above, "above", more="stop = true") + rule(below, "below") + DEFAULT)
    assert "never runs: above (line 1)" in stopped
    (idle,) = problems(rule(above, "above") + rule(below, "below", 'set.type = "request"') + DEFAULT)
    assert "never has an effect: above (line 1) asks for no more and sets the same fields" in idle
    assert rules(rule(below, "above"), rule(above, "below"))
    assert rules(rule(above, "above"), rule(below, "below", 'set.team = "net"'))


def test_failing_example_refuses_the_file_and_says_why():
    (rule_problem, type_problem) = problems(rule('channel = "chat"', "vpn") + DEFAULT + EXAMPLE)
    assert rule_problem == (
        "rules.toml:15: example 1: expect.rule: expected 'vpn', got 'default' "
        "(no channel is chat: the message has 'email')"
    )
    assert "expected 'incident', got 'unknown' (set by default)" in type_problem


def test_file_that_was_accepted_once_is_taken_without_its_examples():
    file = rule('channel = "chat"', "vpn") + DEFAULT + EXAMPLE
    assert load_rules(file, accepted=True).rules[0].name == "vpn"
    with pytest.raises(BadConfig, match="unknown field"):
        load_rules(rule('no = "chat"', "vpn") + DEFAULT, accepted=True)


def test_example_that_holds_is_accepted():
    assert rules(rule('channel = "email"', "vpn"), EXAMPLE).rules


def test_example_may_say_everything_that_rules_ask():
    example = """
[[example]]
note = "whole"
message.channel = "email"
message.instance = "m"
message.direction = "in"
message.kind = "mail"
message.subject = "s"
message.text = "t"
message.quoted = "q"
message.sender = { address = "a@b.test", name = "A" }
message.assurance = 1
message.attachments = [{ name = "a.pdf", size = 1 }]
message.automatic = ""
message.language = "en"
message.fields = { ivr = "1" }
message.tags = ["t"]
user = { organisation = "o", groups = ["g"], vip = true, fields = { floor = "3" } }
expect = { rule = "vpn", tags = ["x"] }
"""
    when = 'sender.domain = "b.test"\nattachments.kinds = "pdf"\nfields.ivr = "1"\nuser.fields.floor = "3"\ntags = "t"'
    assert rules(rule(when, "vpn", 'set.type = "incident"\nset.tags = ["x", "y"]'), example).rules


HOSTILE = {
    "BOM": (b"\xef\xbb\xbf" + DEFAULT.encode(), "begins with a byte order mark"),
    "UTF-16": (DEFAULT.encode("utf-16"), "begins with a byte order mark"),
    "UTF-16 without a mark": (DEFAULT.encode("utf-16-le"), "rules.toml:2: is not TOML: it has a NUL byte"),
    "Latin-1": (DEFAULT.encode() + "# ü".encode("latin-1"), "rules.toml:7: is not UTF-8: byte 0xfc"),
    "half-written": (DEFAULT.encode() + b'[[rule]]\nname = "a', "rules.toml:8: is not TOML"),
    "nested lists": (b"x = " + b"[" * 500, "too deep"),
    "nested tables": (b"x = " + b"{a = " * 500, "too deep"),
    "nested not": (rule("not." * 40 + 'channel = "chat"').encode() + DEFAULT.encode(), "more than 32 deep"),
    "500 nested not": (rule("not." * 500 + 'channel = "chat"').encode(), "more than 100 parts"),
    "long key": (b".".join([b"a"] * 100_000) + b" = 1", "more than 100 parts"),
    "NUL": (b"\0", "is not TOML"),
    "long number": (b"\nx = " + b"9" * 5000, "rules.toml:2: is not TOML: a number has more than a thousand"),
    "long hexadecimal number": (
        b"x = 0x" + b"f" * 4000,
        "rules.toml:1: is not TOML: a number has more than a thousand",
    ),
}


@pytest.mark.parametrize(("data", "what"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_file_is_refused_with_one_clear_message(data, what):
    (problem,) = problems(data)
    assert what in problem


class Huge(bytes):
    """A gigabyte by its length; anything that reads it fails."""

    def __len__(self):
        return 1 << 30

    def startswith(self, *_):
        raise AssertionError("was read")


def test_gigabyte_is_refused_by_its_length_before_it_is_read():
    assert problems(Huge()) == ["rules.toml: 1,073,741,824 bytes are too many (at most 67,108,864)"]


@pytest.mark.parametrize("pattern", [".*", r"(?i)^(\w|\W)*$", r"\s*([^=]*)=?([^;]*)(;|$)"])
def test_pattern_that_matches_every_text_is_refused(pattern):
    (problem,) = problems(rule(f"text.matches = '{pattern}'") + DEFAULT)
    assert "the pattern matches every text" in problem


@pytest.mark.parametrize("pattern", ["^[^@]*$", "^$|a", r"\B", "^(?:[^<]+|<[^>]*>)*$", "^(?:[^(]|[(][^)]*[)])*$"])
def test_pattern_that_matches_the_empty_text_and_leaves_another_out_is_loaded(pattern):
    assert rules(rule(f"text.matches = '{pattern}'")).rules


@pytest.mark.parametrize(
    "pattern", [r"(?=a)b", r"(?<!a)b", r"(a)\1", r"a++", r"a{1001}", r"(a{100}){100}", r"(?>a)", "(", "[z-a]"]
)
def test_pattern_that_re2_does_not_take_is_refused_with_its_reason(pattern):
    (problem,) = problems(rule(f"text.matches = '{pattern}'") + DEFAULT)
    assert problem.startswith("rules.toml:3: rule r: when.text.matches: RE2 refuses the pattern: ")


def test_pattern_too_large_is_refused():
    (problem,) = problems(rule(r"text.matches = '(\pL{1,10}\pN{1,10}){90}'") + DEFAULT)
    assert "pattern too large" in problem


def test_10000_rules_are_loaded_and_judged_one_by_one_right():
    many = [rule(f'text.any = ["w{n}"]' if n % 3 else f"text.matches = 'w{n}$'", f"r{n}") for n in range(10_000)]
    rule_set = rules(*many)
    assert decide(rule_set, Facts(body="w4 w3 w9998 w9999")).rules == ("r4", "r9998", "r9999")


def test_refusal_is_a_bad_config_for_text_and_for_bytes():
    for data in ("[", b"["):
        with pytest.raises(BadConfig):
            load_rules(data, "candidate.toml")
