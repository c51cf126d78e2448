"""How text is compared: one form for words and names, another for patterns, and what a whole word is.

Both sides of a comparison go through the same function, the rule's words at load and the message's text when it is
judged, so that "Straße" finds "STRASSE", and half-width kana find full-width ones.
"""

import re
import unicodedata
from functools import lru_cache

_FOLDED_AWAY = {0xAD: None, 0x200B: None, 0x2060: None, 0xFEFF: None, 0x2019: "'"}
"""Soft hyphen, zero-width space, word joiner, BOM: seen by nobody, put inside words by editors. The curly apostrophe
is what phones type."""

_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai and Lao, Myanmar, Khmer
    "\u3005-\u3007\u3040-\u312f\u31a0-\u31ff"  # Kana, Bopomofo
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U0001b000-\U0001b16f\U00020000-\U0003ffff]"  # more Kana, Han
)


def plain(text: str) -> str:
    """NFKC, the form that patterns see; a lone surrogate becomes "?" because the engines take UTF-8 only."""
    if text.isascii():
        return text
    return unicodedata.normalize("NFKC", text.encode("utf-8", "replace").decode())


def fold(text: str) -> str:
    """The form in which words and names are compared: NFKC, case folded, white space as one space each.

    A phrase therefore matches across a line break. Offsets in the result are not offsets in `text`.
    """
    if not text.isascii():
        folded = plain(text).translate(_FOLDED_AWAY).casefold()
        return " ".join(unicodedata.normalize("NFKC", folded).split())
    return " ".join(text.lower().split())


@lru_cache(maxsize=4096)
def joins(char: str) -> bool:
    """Whether a word goes on through this character: letters, digits and marks of scripts that use spaces."""
    if char < "\u0300":
        return char.isalnum()
    return (char.isalnum() or unicodedata.category(char)[0] == "M") and not _UNSPACED.match(char)


def stands_whole(text: str, start: int, end: int) -> bool:
    """Whether `text[start:end]` is not a piece of a longer word; both folded.

    Each edge is asked on its own: "vpn" stands whole in "私のvpnが", "接続" in "再接続", but "port" not in "report".
    """
    if start > 0 and joins(text[start - 1]) and joins(text[start]):
        return False
    return not (end < len(text) and joins(text[end]) and joins(text[end - 1]))
