"""How text is compared: one form for words and names, another for patterns, and what a whole word is.

Both sides of a comparison go through the same function, the rule's words at load and the message's text when it is
judged, so that "Straße" finds "STRASSE", and half-width kana find full-width ones.
"""

import re
import unicodedata

_FOLDED_AWAY = {0xAD: None, 0x200B: None, 0x2060: None, 0xFEFF: None, 0x2019: "'"}
"""Soft hyphen, zero-width space, word joiner, BOM: seen by nobody, put inside words by editors. The curly apostrophe
is what phones type."""

_BREAKS = tuple("\t\n\v\f\r\x1c\x1d\x1e\x1f")
_ALL_BREAKS = (*_BREAKS, "\x85", "\u1680", "\u2028", "\u2029")
"""White space that is still there after NFKC, the space itself left out."""

_HIDDEN = tuple(map(chr, _FOLDED_AWAY))

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
    return _spaced(text.lower(), _BREAKS) if text.isascii() else forms(text)[1]


def forms(text: str) -> tuple[str, str, str]:
    """The `plain` form, the folded one, and where another literal may stand than in the folded one: "" is nowhere.

    Folding hides a literal that a pattern sees where it takes characters out (soft hyphens), or where the small letter
    has a composed form with its accent and the capital has none (J and caron).
    """
    if text.isascii():
        return text, _spaced(text.lower(), _BREAKS), ""
    seen = plain(text)
    cased = seen.casefold()
    shown = cased
    # `in` is one memchr for each; translate() asks a dict for every character
    if any(char in cased for char in _HIDDEN):
        shown = cased.translate(_FOLDED_AWAY)
    shown = unicodedata.normalize("NFKC", shown)
    return seen, _spaced(shown, _ALL_BREAKS), "" if shown == cased else cased


def _spaced(text: str, breaks: tuple[str, ...]) -> str:
    """White space as one space each, none at the ends: as split and join do, at a fifth of their cost."""
    if len(text) < 64:
        return " ".join(text.split())
    for char in breaks:
        if char in text:
            text = text.replace(char, " ")
    while "  " in text:
        text = text.replace("  ", " ")
    return text.strip(" ")


class _Joins(dict[str, bool]):
    """Whether a word goes on through a character: letters, digits and marks of scripts that use spaces.

    A dict, because it is asked twice for every word that is found, and there are no more characters than Unicode has.
    """

    def __missing__(self, char: str) -> bool:
        if char < "\u0300":
            known = char.isalnum()
        else:
            known = (char.isalnum() or unicodedata.category(char)[0] == "M") and not _UNSPACED.match(char)
        self[char] = known
        return known


JOINS = _Joins()
"""Each edge of a word is asked on its own, with its neighbour outside: "vpn" stands whole in "私のvpnが", "接続" in
"再接続", but "port" not in "report"."""
