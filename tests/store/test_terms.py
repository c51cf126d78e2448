"""What a term is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context_store.terms import LONGEST, MOST, terms


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("VPN drops, VPN drops!", ("vpn", "drops")),
        ("ann_m@acme.test", ("ann", "m", "acme", "test")),
        ("Straße STRASSE", ("strasse",)),
        ("Café cafe\u0301 CAFÉ", ("cafe",)),
        ("ｆｕｌｌ ﬁle ①", ("full", "file", "1")),
        ("Ελλάδα ΕΛΛΑΔΑ", ("ελλαδα",)),
        ("שָׁלוֹם مُحَمَّد", ("שלום", "محمد")),
        ("हिन्दी।", ("हिन्दी",)),
        ("东京", ("东", "京", "东京")),
        ("私のvpnが", ("私", "の", "私の", "vpn", "が")),
        ("ｶﾞｽ ガス", ("ガ", "ス", "ガス")),
        ("ไทย", ("ไ", "ท", "ย", "ไท", "ทย")),
        ("한국어", ("한국어",)),
        ("soft\u00adhyphen zero\u200bwidth", ("softhyphen", "zerowidth")),
        ("a\x00b \ud800c", ("a", "b", "c")),
        ("", ()),
        ("!!! …", ()),
    ],
)
def test_terms_of_every_script(text: str, found: tuple[str, ...]):
    assert terms(text) == found


def test_long_words_are_cut_alike_in_text_and_question():
    assert terms("x" * 5000) == terms("X" * 50) == ("x" * LONGEST,)
    assert terms("é" * 5000) == terms("E\u0301" * 60) == ("e" * LONGEST,)


@pytest.mark.parametrize("sign", ["", "é "])
def test_terms_of_one_text_are_bounded(sign: str):
    assert len(terms(sign + " ".join(map(str, range(MOST * 2))))) == MOST
    assert len(terms("".join(map(chr, range(0x4E00, 0x4E00 + MOST))))) == MOST


@given(st.text(max_size=200))
def test_a_term_is_what_both_stores_take_as_it_is(text: str):
    for term in terms(text):
        assert 0 < len(term) <= LONGEST
        assert term.encode().isascii() <= (term.encode().isalnum() and term == term.lower())
        assert not set(term) & set(" '\"\\*&|!:()<>%\x00\t\n")
        assert terms(text.replace("\x00", " ")) == terms(text)


@given(st.text(max_size=60), st.text(max_size=60))
def test_what_stands_in_a_text_is_found_by_its_own_words(before: str, after: str):
    assert set(terms("vpn")) <= set(terms(f"{before} vpn {after}"))
