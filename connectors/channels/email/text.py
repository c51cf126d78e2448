"""HTML bodies: made safe to show, and turned into text when the mail brings no usable text of its own."""

import re

import nh3
from inscriptis.css_profiles import CSS_PROFILES
from inscriptis.html_engine import Inscriptis
from inscriptis.html_properties import Display
from inscriptis.model.config import ParserConfig
from inscriptis.model.html_element import HtmlElement as Block
from lxml.etree import LxmlError
from lxml.html import HtmlElement, HTMLParser, document_fromstring

from plugins import Fold, unescape

_TAGS = {
    "a", "abbr", "b", "bdi", "bdo", "blockquote", "br", "caption", "center", "cite", "code", "col", "colgroup",
    "dd", "del",
    "dfn", "div", "dl", "dt", "em", "figcaption", "figure", "font", "h1", "h2", "h3", "h4", "h5", "h6", "hr",
    "i", "img", "ins",
    "kbd", "li", "mark", "ol", "p", "pre", "q", "s", "samp", "small", "span", "strike", "strong", "sub", "sup",
    "table", "tbody",
    "td", "tfoot", "th", "thead", "tr", "tt", "u", "ul", "var", "wbr",
}  # fmt: skip
_ATTRIBUTES = {
    "*": {"dir", "lang", "title"},
    "a": {"href"},
    "img": {"src", "alt", "width", "height"},
    "td": {"colspan", "rowspan", "align", "valign"},
    "th": {"colspan", "rowspan", "align", "valign", "scope"},
    "ol": {"start", "type"},
    "col": {"span"},
    "colgroup": {"span"},
}


def _kept(tag: str, attribute: str, value: str) -> str | None:
    """An image is shown from the mail itself (`cid:`) or not at all: a remote one tells its sender who read when."""
    if tag == "img" and attribute == "src":
        return value if value.lower().startswith("cid:") else None
    return None if value.lower().startswith("cid:") else value


_CLEANER = nh3.Cleaner(
    tags=_TAGS,
    attributes=_ATTRIBUTES,
    attribute_filter=_kept,
    url_schemes={"http", "https", "mailto", "tel", "cid"},
    link_rel="noopener noreferrer nofollow",
    strip_comments=True,
    clean_content_tags={"script", "style", "title", "head", "noscript", "iframe", "object", "template"},
)
_LAYOUT = ParserConfig(
    css={**CSS_PROFILES["strict"], "hr": Block(display=Display.block)}, display_images=False, display_links=False
)
_OPEN, _CLOSE = "\ue0f0", "\ue0f1"
_MARKS = re.compile(f"[{_OPEN}{_CLOSE}]")
_TAG = re.compile(r"<(/?)([a-zA-Z][^\s/>]{0,40})")
_HIDDEN = {"script", "style", "title", "head", "noscript", "template"}
_BREAKING = {"br", "p", "div", "tr", "li", "hr", "table", "blockquote", "h1", "h2", "h3", "h4", "h5", "h6"}
_CLOSED_BY_NEIGHBOURS = {
    "p", "li", "td", "th", "tr", "tbody", "thead", "tfoot", "option", "br", "img", "hr", "meta",
    "link", "input", "col",
    "wbr", "area", "base", "source", "embed", "param",
}  # fmt: skip
# dd and dt are none of them: li closes no dd and dd no li, so that `<li><dd>` again and again nests without end.
_QUOTES = {"gmail_attr", "yahoo_quoted", "moz-cite-prefix"}
_DEEP, _DEEPEST = 200, 2000
_REBUILT = "a|b|big|code|em|font|i|nobr|s|small|strike|strong|tt|u"
"""Formatting elements: one that is open is built again in each block that follows (HTML Living Standard, 13.2.4.3)."""
_S = r"\t\n\f\r "
_ANY = rf"""(?:[{_S}/]++|[^{_S}/>][^{_S}/>=]*+(?:[{_S}]*+=[{_S}]*+(?:"[^"]*+"|'[^']*+'|[^{_S}>"'][^{_S}>]*+)?+)?+)*+"""
"""Attributes as a browser's tokenizer reads them, `>` in quotes and all (13.2.5.32 to 40)."""
_PLAIN = rf"""(?:[{_S}]++[^{_S}/>="'<]++(?:=(?:"[^"<]*+"|'[^'<]*+'|[^{_S}"'<>=`]++))?+)*+[{_S}]*+/?+>"""
"""Attributes that all readers read alike, without a `<`; and the end of their tag."""
_INLINE = rf"[^<]++|<(?:br|img|wbr){_PLAIN}"
_WITHIN = rf"<(?P<y>{_REBUILT}|span|p|div){_PLAIN}(?:{_INLINE})*+</(?P=y)[{_S}]*+>"
_CLOSED = rf"(?P<x>{_REBUILT}){_PLAIN}(?:{_INLINE}|{_WITHIN})*+</(?P=x)[{_S}]*+>"
"""An element that surely ends: between its tags are but words, images, and elements with nothing else in them."""
_LEFT_OPEN = re.compile(rf"(?ia)<(?!{_CLOSED})(?=(?P<tag>(?:{_REBUILT})(?=[{_S}/>]){_ANY}))")
_HARMLESS, _SWOLLEN, _NODE = 4096, 64 << 20, 150
"""Characters of markup that can't swell by more than the second, in bytes; and what an element weighs beside its tag.

A newsletter of 45 KB with blocks inside links comes to 12 MB at this reckoning, one of 100 KB (Gmail cuts them there)
would come to 60; other mails to 1 MB. To build 64 MB takes 0.3 s at most.
"""


def sanitise(markup: str) -> str | None:
    """The HTML that may be shown beside our own: no scripts, styles, forms, frames or remote content.

    None for markup that takes too long, or swells: nested over 2,000 deep (the time grows with the square of the
    depth), or with formatting left open, which is repeated in each block that follows.
    """
    if _too_deep(markup):
        return None
    safe = _CLEANER.clean(markup).strip()
    # What we add to a link, or an end tag that was left out, makes honest mails up to four times as long.
    return safe if len(safe) <= 4 * len(markup) + 65_536 else None


def _too_deep(markup: str) -> bool:
    """Can't it be cleaned in time?"""
    tags = markup.count("<")
    return (tags > _DEEPEST and depth(markup) > _DEEPEST) or _swells(markup, tags)


def _swells(markup: str, tags: int) -> bool:
    """Could formatting elements, built again at every tag, come to more than 64 MB?

    End tags count only where nothing can hide or misplace them: in a comment, an attribute, a script or a table's cell
    they end nothing, or another element. No more than three equal ones are built again (13.2.4.3, "Noah's Ark").
    """
    opened: dict[str, int] = {}
    weight = 0
    for found in _LEFT_OPEN.finditer(markup) if len(markup) > _HARMLESS else ():
        tag = found["tag"]
        opened[tag] = opened.get(tag, 0) + 1
        weight += len(tag) + _NODE if opened[tag] <= 3 else 0
        if weight * tags > _SWOLLEN:  # at once: tags without an end are as long as the mail, each
            return True
    return False


def depth(markup: str) -> int:
    """No less than how deep elements are nested, counted per name, where that could matter; else 0."""
    opened: dict[str, int] = {}
    deepest = level = 0
    for closing, tag in _TAG.findall(markup) if len(markup) > 4 * _DEEP else ():
        name = tag.lower()
        if name in _CLOSED_BY_NEIGHBOURS:
            continue
        if not closing:
            opened[name] = opened.get(name, 0) + 1
            level += 1
            deepest = max(deepest, level)
        elif opened.get(name):
            opened[name] -= 1
            level -= 1
    return deepest


def html_text(markup: str, limit: int) -> tuple[str, list[Fold]]:
    """Return the text of an HTML body with its blocks of quotes, where a mail client marked them, as folds."""
    markup = _MARKS.sub("", markup)
    if len(markup) > limit or depth(markup) > _DEEP or _swells(markup, markup.count("<")):
        return _stripped(markup), []
    try:
        tree = document_fromstring(markup.encode(), parser=HTMLParser(encoding="utf-8"))
        marked = sum(_marked(node) for node in tree.iter("blockquote", "div", "hr", "span"))
        text = Inscriptis(tree, _LAYOUT).get_text()
    except (LxmlError, RecursionError, ValueError, IndexError, KeyError, AssertionError):
        return _stripped(markup), []
    return _unmarked(_tidy(text)) if marked else (_tidy(text), [])


def _tidy(text: str) -> str:
    text = "\n".join(line.rstrip() for line in text.replace("\xa0", " ").split("\n"))
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n")


def _stripped(markup: str) -> str:
    """Without layout, in one pass: for what is too large or too deep to be laid out."""
    first, *rest = markup.split("<")
    pieces, hidden = [first], ""
    for piece in rest:
        tag, closed, after = piece.partition(">")
        name = (tag.split(maxsplit=1) or [""])[0].rstrip("/").lower()
        if hidden:
            hidden = "" if name == "/" + hidden else hidden
        elif name in _HIDDEN:
            hidden = name
        elif not closed:
            pieces.append("<" + piece)
        elif name.removeprefix("/") in _BREAKING:
            pieces.append("\n")
        if not hidden and closed:
            pieces.append(after)
    return _tidy(unescape("".join(pieces)))


def _marked(node: HtmlElement) -> int:
    """Put marks around what a client declared a quotation: they become fold positions in the laid out text."""
    names = set((node.get("class") or "").split())
    quoted = node.tag == "blockquote" and (node.get("type") == "cite" or node.get("cite") or "gmail_quote" in names)
    if not (quoted or names & _QUOTES) or _forward(node):
        return 0
    node.text = _OPEN + (node.text or "")
    if len(node):
        node[-1].tail = (node[-1].tail or "") + _CLOSE
    else:
        node.text += _CLOSE
    return 1


def _forward(node: HtmlElement) -> bool:
    """Gmail marks the head of a forwarded mail as a quote too; there it is the matter itself."""
    head = "".join(part for part, _ in zip(node.itertext(), range(8), strict=False))[:200]
    return "Forwarded message" in head or head.lstrip(_OPEN + "\n\t ").startswith("-----")


def _unmarked(text: str) -> tuple[str, list[Fold]]:
    pieces, folds, depth, begun, length = [], list[Fold](), 0, 0, 0
    for piece in re.split(f"([{_OPEN}{_CLOSE}])", text):
        if piece == _OPEN:
            begun = begun if depth else length
            depth += 1
        elif piece == _CLOSE:
            depth = max(depth - 1, 0)
            if not depth and length > begun:
                folds.append(Fold(start=begun, end=length, kind="quote"))
        else:
            pieces.append(piece)
            length += len(piece)
    return "".join(pieces), folds
