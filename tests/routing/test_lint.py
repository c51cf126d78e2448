"""Rules that can do nothing are found, each for a reason that is certain; beside each stands one that is sound."""

import pytest

from routing import load_rules
from tests.routing.make import DEFAULT, problems, rule, rules

CALENDAR = '[calendar.shut]\nzone = "UTC"\nhours.mon = []\n'
STOP = "stop = true"


@pytest.mark.parametrize(
    ("never", "sound"),
    [
        ('channel = "email"\nnot.channel = ["email", "chat"]', 'channel = ["email", "fax"]\nnot.channel = "email"'),
        (
            'channel = ["email", "chat"]\nnot.any = [{ channel = "email" }, { channel = "chat" }]',
            'not.channel = "email"',
        ),
        ('channel = "email"\nnot.not.channel = "chat"', 'channel = "email"\nnot.not.channel = "email"'),
        ('channel = "email"\nany = [{ channel = "chat" }, { channel = "phone" }]', 'any = [{ channel = "chat" }]'),
        ("attachments.any = false\nattachments.kinds = 'pdf'", "attachments.any = true\nattachments.kinds = 'pdf'"),
        ("attachments.count.max = 0\nattachments.bytes.min = 1", "attachments.count.max = 0\nattachments.any = false"),
        ("automatic = false\nautomatic_kind = 'bounce'", "automatic = true\nautomatic_kind = 'bounce'"),
        ("assurance.min = 2\nnot.assurance.min = 1", "assurance.min = 1\nnot.assurance.min = 2"),
        (
            "history.contacts = { days = 7, min = 3 }\nall = [{ history.contacts = { days = 30, max = 2 } }]",
            "history.contacts = { days = 30, min = 3 }\nall = [{ history.contacts = { days = 7, max = 2 } }]",
        ),
        ('text = { any = ["vpn down"], none = ["vpn"] }', 'text = { any = ["vpn"], none = ["vpn down"] }'),
        ('subject.any = ["vpn"]\ntext.none = ["vpn"]', 'text.any = ["vpn"]\nsubject.none = ["vpn"]'),
        ('missing = ["sender.address"]\nsender.domain = "a.test"', 'missing = ["sender.domain"]\nsender.address = "1"'),
        (
            'sender.domain = "a.test"\nsender.address = "x@b.test"',
            'sender.domain = "a.test"\nsender.address = "x@a.test"',
        ),
    ],
)
def test_contradiction_is_found(never: str, sound: str):
    assert any("can never match" in one for one in problems(rule(never) + DEFAULT)), problems(rule(never) + DEFAULT)
    assert load_rules(rule(sound.replace('"fax"', '"chat"')) + DEFAULT).rules


def test_calendar_that_never_opens_is_found():
    (problem,) = problems(CALENDAR + rule("hours.shut = true") + DEFAULT)
    assert "can never match: its calendar never opens" in problem
    assert load_rules(CALENDAR + rule("hours.shut = false") + DEFAULT).rules


@pytest.mark.parametrize("when", ['sender.domain = "*.a.test"', 'sender.domain = "a@b.test"', 'language = "English"'])
def test_value_that_no_message_has_is_refused(when: str):
    (problem,) = problems(rule(when) + DEFAULT)
    assert "can never match: it is no" in problem


def test_value_as_providers_write_it_is_taken():
    assert load_rules(rule('language = ["pt-BR", "zh_Hans"]\nsender.domain = "Bücher.example"') + DEFAULT).rules


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        ('text.any = ["vpn"]', 'text.any = ["vpn down"]'),
        ('text.any = ["vpn", "x"]', 'text.all = ["vpn", "y"]'),
        ('text.all = ["a", "b"]', 'text.all = ["c", "b", "a"]'),
        ('text.any = ["vpn"]', 'subject.any = ["vpn"]'),
        ('text.none = ["a"]', 'text.none = ["a", "b"]'),
        ('any = [{ channel = "email" }, { channel = "chat" }]', 'channel = "chat"'),
        ('not.channel = "email"', 'channel = "chat"'),
        ("history.contacts = { days = 7, min = 2 }", "history.contacts = { days = 7, min = 3 }"),
    ],
)
def test_rule_that_asks_for_more_never_runs_behind_a_stop(wide: str, narrow: str):
    (problem,) = problems(rule(wide, "wide", more=STOP) + rule(narrow, "narrow", 'set.type = "request"') + DEFAULT)
    assert "rule narrow: never runs: wide (line 1) asks for no more and stops before it" in problem
    assert rules(rule(narrow, "narrow", more=STOP), rule(wide, "wide"))


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ('channel = "email"', 'channel = "chat"', 'channel = ["chat", "email"]\ntext.any = ["x"]'),
        ('text.any = ["b"]', 'text.any = ["a"]', 'text.any = ["a", "b"]'),
        ('channel = "email"', "user.vip = true", 'any = [{ channel = "email" }, { user.vip = true }]'),
    ],
)
def test_rule_that_several_share_out_never_runs(one: str, other: str, both: str):
    first, last = rule(one, "one", more=STOP), rule(both, "both")
    (problem,) = problems(first + rule(other, "other", more=STOP) + last + DEFAULT)
    assert "rule both: never runs: one (line 1) and other (line 6) together stop before it" in problem
    assert rules(first, last), "one of them leaves something"


def test_rule_whose_fields_others_set_together_has_no_effect():
    first = rule('channel = "email"', "a")
    second = rule('channel = "email"', "b", 'set.team = "t"')
    last = rule('channel = "email"\ntext.any = ["x"]', "c", 'set.type = "request"\nset.team = "u"')
    (problem,) = problems(first + second + last + DEFAULT)
    assert "rule c: never has an effect: a (line 1) and b (line 6) together set the same fields before it" in problem
    assert rules(first, last)


def test_tags_alone_that_are_none_do_nothing():
    (problem,) = problems(rule('channel = "email"', sets="set.tags = []") + DEFAULT)
    assert "the rule does nothing" in problem
