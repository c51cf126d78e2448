"""Search terms: one pure function for what is indexed and for what is asked, so that both stores answer the same.

FTS5 and tsvector only compare what stands here: neither's own idea of words, cases or languages is ever used. A term
holds letters, digits and marks alone, no ASCII capitals, no blank and no quote: both take it as it is.
"""

import re
import unicodedata
from itertools import pairwise

LONGEST = 40
"""Characters; longer words are cut, in the index and in the query alike. PostgreSQL takes 2,046 bytes."""
MOST = 4000
"""Different terms of one text, the first ones; with `LONGEST` below the megabyte that a tsvector may have."""
MOST_READ = 200_000
"""Characters of a text that are looked at."""

# Marks that are written over letters and left out by whoever types in a hurry: Latin, Greek and Cyrillic accents,
# Hebrew points, Arabic vowels, variation selectors. Marks of Indic scripts are vowels: they stay.
_MARKS = re.compile(
    "[\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u064b-\u065f\u0670"
    "\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe00-\ufe0f"
    "\ufe20-\ufe2f\u00ad\u200b-\u200d\u2060\ufeff]"
)
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai and Lao, Myanmar, Khmer
    "\u3005-\u3007\u3040-\u312f\u31a0-\u31ff"  # Kana, Bopomofo
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U0001b000-\U0001b16f\U00020000-\U0003ffff"  # more Kana, Han
)
_INDIC = "\u0900-\u0963\u0966-\u0dff"  # with their vowel signs, which are no \w, without the danda
_WORDS = re.compile(f"([{_UNSPACED}]+)|((?:(?![{_UNSPACED}])[^\\W_]|[{_INDIC}])+)")
_ASCII_WORDS = re.compile("[a-z0-9]+")


def terms(text: str) -> tuple[str, ...]:
    """Different terms in the order of their first place; scripts without spaces give each sign and each pair of signs.

    The single signs make one-sign questions answerable; a longer question also names their pairs.
    """
    text = text[:MOST_READ]
    found: dict[str, None] = {}
    if text.isascii():
        for match in _ASCII_WORDS.finditer(text.lower()):
            found[match.group()[:LONGEST]] = None
            if len(found) >= MOST:
                break
        return tuple(found)
    for match in _WORDS.finditer(_folded(text)):
        run, word = match.groups()
        if run:
            found.update(dict.fromkeys((*run, *map("".join, pairwise(run)))))
        else:
            found[word[:LONGEST]] = None
        if len(found) >= MOST:
            break
    return tuple(found)[:MOST]


def _folded(text: str) -> str:
    """NFKC, case folded, marks stripped. The last folding is for capitals that composing brought back."""
    apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    return unicodedata.normalize("NFKC", _MARKS.sub("", apart)).casefold()
