import re2

from routing import Facts
from routing.index import MessageView, PatternSet, WordSet
from tests.routing.make import rule, rules


def test_patterns_match_as_they_do_one_by_one():
    patterns = [r"^a", r"b$", r"(?i)C+", r"\bd\b", r"[^\x00-\x7f]"]
    for text in ("abc", "xyz b", "d e", "CC\nü", "", "\n"):
        assert PatternSet(patterns).match(text) == {each for each in patterns if re2.search(each, text)}


def test_set_that_gives_no_answer_is_not_taken_for_no_match():
    patterns = PatternSet(["a+b", "c"])
    assert patterns.match("aab") == {"a+b"}
    gives_up = re2.Set.SearchSet()
    gives_up.Add("never in a text")
    gives_up.Compile()
    patterns._set = gives_up  # RE2 out of memory looks like this: not even the pattern that matches all is named
    assert patterns.match("aab") == {"a+b"}
    assert patterns.match("x") == frozenset()


def test_word_inside_another_word_of_the_list_is_found_too():
    assert {word for word, _ in WordSet(["vpn", "vpn down", "down"]).find("the vpn down again")} == {
        "vpn",
        "vpn down",
        "down",
    }


def test_first_whole_place_of_a_word_counts():
    assert list(WordSet(["port"]).find("report port port")) == [("port", 11)]


def test_only_rules_that_have_something_in_the_message_are_asked():
    rule_set = rules(
        rule('text.any = ["vpn"]\nchannel = "email"', "word"),
        rule('text.matches = "^down"', "pattern"),
        rule('sender.domain = ["acme.test"]', "name"),
        rule('any = [{ text.any = ["toner"] }, { user.organisation = "acme" }]', "either"),
        rule('not.text.any = ["vpn"]', "always"),
    )
    asked = [rule_set.rules[number].name for number in rule_set.index.candidates(MessageView(rule_set.index, Facts()))]
    assert asked == ["always"]
    facts = Facts(subject="toner and VPN")
    asked = [rule_set.rules[number].name for number in rule_set.index.candidates(MessageView(rule_set.index, facts))]
    assert asked == ["word", "either", "always"]
