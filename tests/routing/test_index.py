import re2

from routing import Facts
from routing.finders import PatternSet, Terms
from routing.view import MessageView
from tests.routing.make import rule, rules


def test_patterns_match_as_they_do_one_by_one():
    patterns = [r"^a", r"b$", r"(?i)C+", r"\bd\b", r"[^\x00-\x7f]"]
    for text in ("abc", "xyz b", "d e", "CC\nü", "", "\n"):
        assert PatternSet(patterns).match(text.encode()) == {each for each in patterns if re2.search(each, text)}


def test_set_that_gives_no_answer_is_not_taken_for_no_match():
    patterns = PatternSet(["a+b", "c"])
    assert patterns.match(b"aab") == {"a+b"}
    gives_up = re2.Set.SearchSet()
    gives_up.Add("never in a text")
    gives_up.Compile()
    patterns._set = gives_up  # RE2 out of memory looks like this: not even the pattern that matches all is named
    assert patterns.match(b"aab") == {"a+b"}
    assert patterns.match(b"x") == frozenset()


def test_word_inside_another_word_of_the_list_is_found_too():
    assert len(Terms(["vpn", "vpn down", "down"]).find("the vpn down again")[0]) == 3


def test_first_whole_place_of_a_word_counts():
    assert Terms(["port"]).find("report port port")[0] == {0: 12}


def test_only_rules_that_have_something_in_the_message_are_asked():
    rule_set = rules(
        rule('text.any = ["vpn"]', "word"),
        rule('text.matches = "^down"', "pattern"),
        rule('sender.domain = ["acme.test"]', "name"),
        rule('any = [{ text.any = ["toner"] }, { user.organisation = "acme" }]', "either"),
        rule('not.text.any = ["vpn"]', "always"),
    )
    asked = [
        rule_set.rules[number].name
        for number in rule_set.index.candidates(MessageView(rule_set.index.lexicon, Facts()))
    ]
    assert asked == ["always"]
    facts = Facts(subject="toner and VPN")
    asked = [
        rule_set.rules[number].name for number in rule_set.index.candidates(MessageView(rule_set.index.lexicon, facts))
    ]
    assert asked == ["word", "either", "always"]
