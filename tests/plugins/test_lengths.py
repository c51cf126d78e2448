"""Texts are split by the platform's own counting, and nothing but white space at a cut is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins import split_text, utf16_units

LINK = "https://desk.acme.test/a/b"
SIGNS = st.sampled_from(["a", "b ", "\n", " ", "\U0001f600", "e\u0301", "\U0001f468\u200d\U0001f469", LINK + " "])


def octets(text):
    return len(text.encode())


@pytest.mark.parametrize("measure", [len, utf16_units, octets])
@given(signs=st.lists(SIGNS, max_size=200), limit=st.integers(40, 60))
def test_parts_fit_and_hold_every_word(measure, signs, limit):
    text = "".join(signs)
    parts = split_text(text, limit, measure)
    assert all(0 < measure(part) <= limit for part in parts)
    assert "".join("".join(parts).split()) == "".join(text.split())


def test_sign_outside_the_basic_plane_counts_two():
    assert utf16_units("a\U0001f600") == 3


def test_text_that_fits_is_one_part_as_it_is():
    assert split_text("one  two\n\nthree", 15) == ["one  two\n\nthree"]


def test_cut_is_at_a_line_end_in_the_second_half_else_at_a_blank():
    assert split_text("one two\nthree four five", 12) == ["one two", "three four", "five"]
    assert split_text("a\nthree four five", 12) == ["a\nthree four", "five"]


def test_link_is_never_cut():
    assert LINK in split_text(f"{'word ' * 7}{LINK} end", 40)[1]


def test_sign_stays_with_its_marks():
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    assert set(split_text(family * 50, 60, utf16_units)) == {family * 7, family}


def test_marks_without_end_are_cut_too():
    assert all(len(part) <= 40 for part in split_text("e" + "\u0301" * 1000, 40))


def test_blank_text_has_no_parts():
    assert split_text(" \n ", 10) == []
