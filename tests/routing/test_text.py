import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.text import JOINS, fold


@given(st.text(st.sampled_from(" \t\n\x1f\x85\u1680\u2028\u3000ab\u00e9"), max_size=12))
def test_white_space_is_one_space_each(text):
    assert fold(text) == " ".join(unicodedata.normalize("NFKC", text).split())


def test_every_white_space_of_unicode_separates():
    spaces = [char for char in map(chr, range(sys.maxunicode + 1)) if char.isspace()]
    assert len(spaces) > 20
    for char in spaces:
        assert fold(f"a{char}b") == fold(f"\u00e4{char}b").replace("\u00e4", "a") == "a b", hex(ord(char))


@given(st.text(max_size=30))
def test_folded_text_folds_to_itself(text):
    assert fold(fold(text)) == fold(text)


@pytest.mark.parametrize(
    ("char", "joins"), [("a", True), ("7", True), ("_", False), ("\u0301", True), ("\u63a5", False)]
)
def test_words_go_on_through_letters_digits_and_marks(char, joins):
    assert JOINS[char] is joins
