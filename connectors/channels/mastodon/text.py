"""Texts of Mastodon: its HTML as plain text, its own counting, and mentions that nobody meant."""

import re
import unicodedata

from plugins import unescape

URL_LENGTH = 23  # `configuration.statuses.characters_reserved_per_url`

_PIECES = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)([^<>]*)>|<[^<>]*>|[^<]+|<")
_HREF = re.compile(r"""href\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_CLASS = re.compile(r"""class\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_BLOCKS = frozenset({"p", "br", "li", "blockquote", "pre", "ul", "ol", "h1", "h2", "h3", "h4", "h5", "h6"})
_APART = frozenset({"p", "blockquote", "pre"})
_OWN_LINKS = frozenset({"mention", "hashtag"})
_COUNTED = re.compile(
    r"(?<![\w@#$.])https?://[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?\.[A-Za-z]{2,}(?::\d+)?"
    r"(?:/(?:[A-Za-z0-9._~:/?#@!$&'*+,;=%-]*[A-Za-z0-9/=_#&+-])?)?"
    r"|(?<![\w/=@])@(?P<user>\w(?:[\w.-]*\w)?)@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+"
)
_MENTIONS = re.compile(r"(?<![\w/=])@(?=\w)")


def plain(markup: str) -> str:
    """What a person reads: paragraphs and breaks as lines; links whole, though Mastodon shows them cut."""
    out: list[str] = []
    address, start = "", 0  # of the link that is open: what to add at its end, and where its words begin
    for piece in _PIECES.finditer(markup):
        name = (piece[2] or "").lower()
        if not name:
            out.append("" if piece[0].startswith("<") and len(piece[0]) > 1 else unescape(piece[0]))
        elif name in _BLOCKS:
            out.append(_line(name, closing=bool(piece[1])))
        elif name == "a" and not piece[1]:
            address, start = _address(piece[3]), len(out)
        elif name == "a":
            if address and address not in "".join(out[start:]):
                out.append(f" {address}")
            address = ""
    return re.sub(r"\n{3,}", "\n\n", "".join(out)).strip()


def _line(name: str, *, closing: bool) -> str:
    if name == "br" or name == "li":
        return "" if closing else "\n"
    return "\n\n" if closing and name in _APART else "\n" if closing else ""


def _address(attributes: str) -> str:
    """Of a link to elsewhere; "" for mentions and hashtags."""
    kind, found = _CLASS.search(attributes), _HREF.search(attributes)
    if found is None or (kind and _OWN_LINKS.intersection((kind[1] or kind[2] or "").split())):
        return ""
    address = unescape(found[1] or found[2] or "")
    return address if address.startswith(("https://", "http://")) else ""


def measure(text: str) -> int:
    """Never fewer than Mastodon counts: a link is 23, a mention has no domain, a letter and its marks are one.

    It counts grapheme clusters (StatusLengthValidator); of emoji that are made of several, the parts are counted here.
    """
    length, at = 0, 0
    for found in _COUNTED.finditer(text):
        user = found["user"]
        length += _signs(text[at : found.start()]) + (URL_LENGTH if user is None else 1 + len(user))
        at = found.end()
    return length + _signs(text[at:])


def _signs(text: str) -> int:
    if text.isascii():
        return len(text)
    marks = sum(unicodedata.category(sign) in ("Mn", "Me") for sign in text)
    first = unicodedata.category(text[0]) in ("Mn", "Me")  # what it stands on may be a line end
    return len(text) - marks + first


def unmentioned(text: str) -> str:
    """The same to read, but nobody is called: in a direct message whoever is mentioned would get it."""
    return _MENTIONS.sub("@\u200b", text)
