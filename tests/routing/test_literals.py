import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from routing import Facts, decide
from routing.literals import required
from routing.text import plain
from tests.routing.make import rule, rules

ATOMS = [
    "vpn",
    "down",
    "a",
    r"\.",
    r"\b",
    r"\d",
    r"\pL",
    r"\x41",
    ".",
    "[a-z]",
    "[^]x]",
    "[[:alpha:]-]",
    "ß",
    " ",
    "K",
    r"\t",
]
REPEATS = ["", "", "", "*", "+", "?", "{2}", "{0,1}", "{0}", "{1,}", "*?", "{", "{,2}"]


def joined(inner):
    group = st.builds(lambda kind, body: f"({kind}{body})", st.sampled_from(["", "?:", "?i:", "?P<n>", "?s-i:"]), inner)
    piece = st.builds(lambda atom, repeat: atom + repeat, st.sampled_from(ATOMS) | group, st.sampled_from(REPEATS))
    branch = st.lists(piece, min_size=1, max_size=4).map("".join)
    return st.lists(branch, min_size=1, max_size=3).map("|".join)


patterns = st.builds(
    lambda flags, body: flags + body,
    st.sampled_from(["", "(?i)", "(?s)"]),
    st.recursive(st.just("vpn"), joined, max_leaves=6),
)
texts = st.lists(
    st.sampled_from(["vpn", "VPN", "down", "a", "A", ".", "ß", "1", " ", "x", "{", "{,2}", "vp", "]", "-", "k"]),
    max_size=9,
)


@settings(max_examples=400, deadline=None)
@given(patterns, texts.map("".join))
def test_text_that_matches_has_one_of_the_literals(pattern, text):
    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(pattern, options)
    except re2.error:
        return
    found = required(pattern)
    if found is not None and compiled.search(text):
        assert any(literal in text.lower() for literal in found)


@pytest.mark.parametrize(
    ("pattern", "literals"),
    [
        (r"(?i)\bVPN[- ]?[0-9]{2}", {"vpn"}),
        ("error|failed", {"error", "failed"}),
        ("(?:is )?(broken|gone)x", {"broken", "gone"}),
        ("printers?", {"printer"}),
        ("(printer)?", None),
        ("ab", None),
        ("[a-z]+", None),
        ("vpn|", None),
        (r"\Qvpn\E", None),
        ("((((((vpn))))))", {"vpn"}),
        ("(" * 60 + "vpn" + ")" * 60, None),
    ],
)
def test_literals_of_a_pattern(pattern, literals):
    assert required(pattern) == (literals and frozenset(literals))


@pytest.mark.parametrize("text", ["xvpnj\u030c", "VPNJ\u030c", "vp\u00adn", "vpn", "VPN\u200bj"])
def test_literal_that_folding_hides_is_still_found(text):
    for pattern in ("(?i)vpnj", "vp\u00adn", "(?i)vpn"):
        found = re2.search(pattern, plain(text)) is not None
        assert (decide(rules(rule(f"text.matches = '{pattern}'")), Facts(body=text)).rules == ("r",)) is found
