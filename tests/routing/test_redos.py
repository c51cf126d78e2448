"""Patterns that a backtracking engine takes for ever over: the shapes known from incidents, advisories and papers."""

import json
import subprocess
import sys

import pytest
import re2

from routing import Facts, decide
from routing.finders import re2_options
from tests.routing.make import DEFAULT, problems, rule, rules

HOSTILE = {  # pattern, a text that it matches; of the hostile text: its beginning, what comes again and again, its end
    # a repeat inside a repeat
    "plus in plus": (r"^(a+)+$", "aaa", "", "a", "!"),
    "star in star": (r"^(a*)*b$", "aab", "", "a", "!"),
    "star in plus": (r"^(?:a*)+b$", "aab", "", "a", "!"),
    "three deep": (r"^((a+)+)+$", "aa", "", "a", "!"),
    "lazy in lazy": (r"^(?:a+?)+?$", "aa", "", "a", "!"),
    "class in star": (r"^([a-zA-Z]+)*$", "Word", "", "a", "1"),
    "words": (r"^(\w+\s?)*$", "some words", "", "a", "!"),
    "words to a dollar sign": (r"(\w+\s?)*\$$", "5 $", "", "a ", "!"),
    "word with digits": (r"^(\w+\d*)+$", "a1", "", "1", "!"),
    "x and x": (r"(x+x+)+y", "xxy", "", "x", "z"),
    "optional in plus": (r"(a?b+)+c", "abc", "", "b", "d"),
    "digits with a point": (r"^(\d+)*\.$", "12.", "", "1", "x"),
    "counted in star": (r"^(a{1,9}){1,}b$", "ab", "", "a", "!"),
    "blank lines": (r"^(?:\s*\n)+end$", "\n\nend", "", "\n", "x"),
    # alternatives that match the same
    "same twice": (r"^(a|a)*$", "aa", "", "a", "!"),
    "one or two": (r"^(a|aa)+$", "aaa", "", "a", "!"),
    "letter or nothing": (r"^(a|a?)+$", "aa", "", "a", "!"),
    "two together are a third": (r"^(?:a|b|ab)*c$", "abc", "", "ab", "!"),
    "any or two of any": (r"^(?:.|..)*$", "text", "", "a", "\n"),
    "space or any": (r"^(\s|.)*;$", "a ;", "", " ", "!"),
    "star in an alternative": (r"a(z|\w*b)*d", "abd", "a", "ab", "!"),
    "escape or no quote": (r'^"(\\.|[^"])*"$', r'"\""', '"', "\\a", "!"),
    "tag or no tag": (r"^(?:[^<]+|<[^>]*>)*$", "a<b>", "", "a", "<"),
    # neighbours that share their text
    "star beside star": (r"^a*a*b$", "ab", "", "a", "!"),
    "four of anything": (r".*.*.*.*=x", "=x", "", "a", "="),
    "Cloudflare 2019": (r"(?:(?:\"|\d|(?:nan|true|null))+[)]*;?((?:\s|-|~|!|\|\|)*.*(?:.*=.*)))", "1=1", "", "1", "!"),
    "Stack Overflow 2016": (r"^[\s\x{200c}]+|[\s\x{200c}]+$", "end  ", "x", " ", "x"),
    "word, no digit, word": (r"^\w+[^0-9]\w+\.$", "a_b.", "", "a", "!"),
    "number with a point": (r"^\d*\.?\d*\.?\d*$", "1.5", "", "1", "x"),
    "commas": (r"(,*,)*(,+)[ \t]", ",, ", "", ",", "x"),
    "comment": (r"#\s*\s*\s*([^ \t]+);$", "# a;", "#", " ", "\t"),
    "tail of spaces": (r"[ \t]+$", "end ", "", " ", "x"),
    "quadratic by its starts": (r"\w+@\w+\.\w+", "a@b.c", "", "a", "!"),
    # counted repeats
    "optional and then wanted": (r"^(?:a?){50}a{50}$", "a" * 50, "", "a", "!"),
    "a twenty-five times": (r"(?:.*a){25}b", "a" * 25 + "b", "", "a", "!"),
    "counts in counts": (r"^(?:(?:a{1,8}){1,8}){1,8}b$", "ab", "", "a", "!"),
    # validators that are copied from page to page
    "mail of OWASP": (r"^([a-zA-Z0-9])(([-.]|_+)?([a-zA-Z0-9]+))*@[a-z0-9]+\.[a-z]{2,3}$", "a.b@c.de", "", "a", "!"),
    "mail by dots": (r"^\w+([.-]?\w+)*@\w+([.-]?\w+)*(\.\w{2,3})+$", "a.b@c.de", "a@b", "a", "!"),
    "mail with a domain in loops": (r"^[\w.]+@(([0-9a-z])+([-\w]*[0-9a-z])*\.)+[a-z]{2,9}$", "a@b.de", "a@", "0", "!"),
    "class name of Java": (r"^(([a-z])+.)+[A-Z]([a-z])+$", "java.lang.String", "", "a", "1"),
    "host name": (r"^(([a-z0-9]+-?[a-z0-9]+)+\.?)+[a-z]{2,6}$", "my-host.example", "", "0", "!"),
    "address of a page": (r"^https?://([\w-]+\.?)+(/[^/]*)*\.html$", "https://a.b/c.html", "https://a", "/", "!"),
    "path": (r"^[A-Z]:(\\(\w[\w ]*.*))+\.txt$", r"C:\a b\c.txt", "C:", "\\a b", "!"),
    "list of numbers": (r"^(\d+(,\d+)*)+$", "1,2", "", "1", "!"),
    "name": (r"^[a-zA-Z]+((['., -][a-zA-Z ])?[a-zA-Z]*)*$", "Ann O'Hara", "", "a", "1"),
}
REFUSED = {
    "back-reference": r"(a*)(a+)\1(a+)b",
    "named back-reference": r"(?P<word>\w+\s?)+(?P=word)$",
    "repeated mark": r"^([*_-])(?:\s*\1){2,}\s*$",
    "look-ahead": r"^(?=(a+)+$)",
    "negative look-ahead": r"^((?!ab).)*$",
    "look-behind": r"(?<=(a+)+)b",
    "atomic group": r"(?>a+)+b",
    "possessive repeat": r"(?:a++)+b",
    "condition": r"(<)?(a+)+(?(1)>)",
    "matches nothing too": r"(a*)*",
    "too large once it is counted out": r"(?:(?:\pL{1,30}){1,30})+!",
}


def judging(pattern):
    return rules(rule(f"text.matches = {json.dumps(pattern)}"))


def matches(rule_set, text):
    return decide(rule_set, Facts(body=text)).rules == ("r",)


@pytest.mark.parametrize(("pattern", "wanted"), [row[:2] for row in HOSTILE.values()], ids=HOSTILE)
def test_pattern_that_is_known_to_blow_up_matches_what_it_is_for(pattern, wanted):
    assert matches(judging(pattern), wanted)


@pytest.mark.timeout(10)  # a backtracking engine takes longer than the universe is old
@pytest.mark.parametrize(("pattern", "_", "begin", "again", "end"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_of_200_kb_is_judged(pattern, _, begin, again, end):
    assert not matches(judging(pattern), begin + again * (200_000 // len(again)) + end)


@pytest.mark.parametrize("pattern", REFUSED.values(), ids=REFUSED)
def test_what_is_no_regular_language_or_no_question_is_refused_with_one_message(pattern):
    (problem,) = problems(rule(f"text.matches = {json.dumps(pattern)}") + DEFAULT)
    assert "when.text.matches" in problem


def test_groups_are_not_recorded():
    assert re2.compile("(a)(b)", re2_options()).groups == 0


def test_re_of_python_is_still_at_thirty_letters_after_a_second():
    pattern, wanted, begin, again, end = HOSTILE["plus in plus"]
    search = f"re.search({pattern!r}, "
    code = f"import re; print({search}{wanted!r}) is not None, flush=True); {search}{begin + again * 30 + end!r})"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "True\n"  # it has begun, and knows the pattern
        with pytest.raises(subprocess.TimeoutExpired):
            run.wait(timeout=1)
        run.kill()
