import msgspec

from routing import Explanation, Facts, Person, explain, in_words
from tests.routing.make import rule, rules

VPN = rule(
    'channel = ["email", "chat"]\ntext.any = ["vpn", "anyconnect"]\nuser.organisation = ["acme"]\n'
    "not.subject.matches = '^Out'",
    "vpn",
)
PRINTER = rule('text.any = ["printer"]', "printer", more="stop = true")
LATE = rule('channel = "email"', "late")


def trace(explanation, name):
    return next(each for each in explanation.rules if each.rule == name)


def test_every_condition_says_its_input_operator_and_outcome():
    explanation = explain(rules(VPN), Facts(channel="email", subject="VPN", body="help"))
    channel, words, organisation, denied, direction = trace(explanation, "vpn").conditions
    assert (channel.outcome, channel.input, channel.operator, channel.wanted) == (
        "true",
        "email",
        "is",
        ("chat", "email"),
    )
    assert (words.outcome, words.found, words.input) == ("true", ("vpn",), "VPN help")
    assert (organisation.outcome, organisation.input) == ("missing", None)
    assert (denied.operator, denied.outcome, denied.parts[0].outcome) == ("not", "true", "false")
    assert (direction.field, direction.outcome) == ("direction", "true")


def test_nearest_misses_come_first_by_conditions_that_fail():
    far = rule('channel = "chat"\ntext.any = ["toner"]\nsubject.any = ["vpn"]', "far")
    none = rule('text.any = ["toner"]\ndirection = "out"', "none")
    explanation = explain(rules(far, none, VPN), Facts(channel="email", subject="VPN"))
    assert explanation.nearest == ("vpn", "far")


def test_rule_of_which_only_the_direction_holds_is_not_near():
    explanation = explain(rules(PRINTER, VPN), Facts(channel="email", subject="toner"))
    assert explanation.nearest == ("vpn",)


def test_rule_behind_a_stop_is_shown_with_who_stopped():
    explanation = explain(rules(PRINTER, LATE), Facts(channel="email", subject="printer"))
    assert (trace(explanation, "late").matched, trace(explanation, "late").stopped_by) == (True, "printer")
    assert "rule late matched, but printer had stopped before it" in in_words(explanation)


def test_words_for_people_name_the_reason():
    text = in_words(explain(rules(VPN), Facts(channel="email", subject="VPN", user=Person(organisation="b"))))
    assert "rule vpn did not match, 4 of 5 conditions hold" in text
    assert "no       user.organisation is acme: the message has 'b'" in text
    assert "type: unknown (set by default)" in text
    assert "priority: P4 (set by matrix)" in text


def test_explanation_is_json_for_programs():
    explanation = explain(rules(VPN, PRINTER), Facts(channel="email"))
    assert msgspec.json.decode(msgspec.json.encode(explanation), type=Explanation) == explanation


def test_fact_that_was_not_captured_is_unknown_and_not_missing():
    explanation = explain(rules(rule("history.open_queries.min = 2")), Facts(version=1))
    assert explanation.rules[0].conditions[0].outcome == "unknown"
    assert "unknown  history.open_queries within min 2: it was not captured then" in in_words(explanation)


def test_input_is_cut_for_showing():
    explanation = explain(rules(VPN), Facts(subject="x" * 100_000))
    assert len(trace(explanation, "vpn").conditions[1].input) == 120
