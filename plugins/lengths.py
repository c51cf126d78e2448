"""Texts that fit: every platform counts in its own unit, so a connector gives its own measure and splits by it.

A measure must add up over words: Telegram counts UTF-16 units, Instagram bytes, Mastodon characters, a link as 23.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator

Measure = Callable[[str], int]

_TOKENS = re.compile(r"\s+|\S+")
_JOINERS = ("\u200d", "\ufe0f", "\u20e3")
"""Zero-width joiner, emoji variation selector, keycap: what stands on both sides is one sign."""


def utf16_units(text: str) -> int:
    """Length as Java, JavaScript and Telegram count: a sign outside the Basic Multilingual Plane is two."""
    return len(text) + sum(sign > "\uffff" for sign in text)


def split_text(text: str, limit: int, measure: Measure = len) -> list[str]:
    """Parts of at most `limit` by `measure`, cut at a line's end if one stands in a part's second half, else at blanks.

    Only the white space at a cut is dropped. A word (a link) is cut only if it alone is longer than a part, and then
    never inside a sign with its marks. Text that is empty or blank has no parts.
    """
    parts: list[str] = []
    held, size = list[str](), 0
    for token in _tokens(text, limit, measure):
        length = measure(token)
        while held and size + length > limit:
            cut = len(held) if token.isspace() else _cut(held, measure, limit)
            parts.append("".join(held[:cut]))
            held = _stripped(held[cut:])
            size = sum(map(measure, held))
        if held or not token.isspace():
            held.append(token)
            size += length
    return [part for part in (each.strip() for each in [*parts, "".join(held)]) if part]


def _cut(held: list[str], measure: Measure, limit: int) -> int:
    """How many tokens the part keeps: up to its last line's end if that leaves it half full, else all."""
    size = sum(map(measure, held))
    for number in range(len(held) - 1, 0, -1):
        size -= measure(held[number])
        if size < limit / 2:
            break
        if "\n" in held[number] and held[number].isspace():
            return number
    return len(held)


def _stripped(held: list[str]) -> list[str]:
    return held[1:] if held and held[0].isspace() else held


def _tokens(text: str, limit: int, measure: Measure) -> Iterator[str]:
    """Words and white space; what alone is longer than a part in pieces that fit."""
    for token in _TOKENS.findall(text):
        if measure(token) <= limit:
            yield token
        elif not token.isspace():
            yield from _pieces(token, limit, measure)


def _pieces(word: str, limit: int, measure: Measure) -> Iterator[str]:
    """Cut between signs; measured sign by sign, as no link can be longer than a part."""
    piece, size = "", 0
    for sign in _signs(word, limit):
        length = measure(sign)
        if piece and size + length > limit:
            yield piece
            piece, size = "", 0
        piece += sign
        size += length
    yield piece


def _signs(word: str, limit: int) -> Iterator[str]:
    """A letter with its marks, an emoji with its modifiers; marks without end are cut, or nothing would fit."""
    sign = ""
    for each in word:
        if sign and len(sign) * 4 < limit and _belongs(sign, each):
            sign += each
            continue
        if sign:
            yield sign
        sign = each
    yield sign


def _belongs(sign: str, after: str) -> bool:
    """Near to Unicode's UAX 29: marks, joined and modified emoji, pairs of regional letters (flags)."""
    if after in _JOINERS or sign[-1] == "\u200d" or unicodedata.category(after).startswith("M"):
        return True
    if "\U0001f3fb" <= after <= "\U0001f3ff":
        return True
    flag = "\U0001f1e6" <= after <= "\U0001f1ff"
    return flag and len(sign) == 1 and "\U0001f1e6" <= sign <= "\U0001f1ff"
