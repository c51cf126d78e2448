"""The words of a mail and the files with them: which part is shown, which is attached."""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from connectors.channels.email.charsets import decode
from connectors.channels.email.mime import Part, Tree, file_name
from connectors.channels.email.options import ParseOptions
from connectors.channels.email.reply import folds
from connectors.channels.email.text import html_text, sanitise
from connectors.channels.email.tnef import unpack
from plugins import Fold, Media

_NO_WORDS = re.compile(
    r"(?i)\W*|.{0,80}(?:html|multi-?part).{0,40}(?:viewer|reader|enabled|compatible|client|format|"
    r"capable|message).{0,200}",
    re.DOTALL,
)
_SUMMARY = re.compile(
    rb"(?im)^(SUMMARY|DTSTART|LOCATION|DESCRIPTION)(?:;[^:\r\n]{0,200})?:([^\r\n]{0,1000}(?:\r?\n[ "
    rb"\t][^\r\n]{0,1000}){0,50})"
)
_FORWARDED = re.compile(r"(?i)\s*(?:fwd?|wg|tr|rv|enc|doorst|pd|vb|vl|i|転送|转发|轉寄)\s*[:：]")
_ESCAPED = re.compile(r"\\([nN,;\\])")


@dataclass
class _Block:
    """One stretch of the body: as plain text, as HTML, or as both."""

    plain: str = ""
    html: str = ""


@dataclass
class Body:
    """What is shown and attached; `notes` names the limits that were met."""

    text: str = ""
    html: str = ""
    folds: list[Fold] = field(default_factory=list)
    media: list[Media] = field(default_factory=list)
    security: str = ""
    lossy: bool = False
    """Some text was not in the charset that it claims: U+FFFD stands in its place."""
    notes: dict[str, None] = field(default_factory=dict)


def read_body(tree: Tree, raw: bytes, options: ParseOptions) -> Body:
    """Choose, decode and lay out the parts of a mail."""
    collector = _Collector(options)
    blocks = collector.blocks(tree.root, root=True)
    body = collector.body
    if body.security:
        name = f"{body.security}.eml"
        body.media.append(Media(name=name, type="message/rfc822", data=raw))
    body.notes |= tree.notes
    forwarded = _FORWARDED.match(tree.root.head.text("subject", 60)) is not None
    _lay_out(body, blocks or collector.spare[:1], options, forwarded=forwarded)
    return body


class _Collector:
    """Walks the tree once; its depth is bounded, so it may recurse."""

    def __init__(self, options: ParseOptions) -> None:
        self.options, self.body, self.number = options, Body(), 0
        self.spare: list[_Block] = []
        """Shown only if nothing else is: a calendar's summary, the text inside winmail.dat."""

    def blocks(self, part: Part, *, root: bool = False) -> list[_Block]:
        if not part.parts:
            return self._leaf(part, root=root)
        if part.type == "multipart/encrypted":
            self.body.security = "encrypted"
            return []
        if part.type == "multipart/signed":
            self.body.security = self.body.security or "signed"
            shown = [child for child in part.parts if not child.type.endswith(("-signature", "/pgp-keys"))]
            return [block for child in shown for block in self.blocks(child)]
        found = [self.blocks(child) for child in part.parts]
        if part.type == "multipart/alternative":
            return self._alternative(found)
        return [block for blocks in found for block in blocks]

    def _alternative(self, found: list[list[_Block]]) -> list[_Block]:
        """One stretch: the first form that has words as text, the last that has HTML."""
        blocks = [blocks for blocks in found if blocks]
        plain = ("\n\n".join(block.plain for block in each if block.plain) for each in blocks)
        markup = ["\n".join(block.html for block in each if block.html) for each in blocks]
        return (
            [_Block(next((text for text in plain if text.strip()), ""), next((m for m in reversed(markup) if m), ""))]
            if blocks
            else []
        )

    def _leaf(self, part: Part, *, root: bool) -> list[_Block]:
        self.number += 1
        kind = part.type
        if kind == "text/x-amp-html":
            return []
        if kind.startswith("multipart/"):
            kind = "text/plain"  # a container without parts: broken, but people wrote something in it
        elif part.attached and not (
            root and part.disposition != "attachment" and kind.startswith("text/") and kind != "text/calendar"
        ):
            self._file(part)
            return []
        data = part.body()
        text = decode(data, part.charset, self.options.fallback_charset)
        self.body.lossy = self.body.lossy or ("\ufffd" in text and b"\xef\xbf\xbd" not in data)
        if kind == "text/html":
            return self._markup(data, text) if text.strip() else []
        return [_Block(plain=text)] if text.strip() else []

    def _markup(self, data: bytes, text: str) -> list[_Block]:
        if len(data) > self.options.limits.html:
            self.body.notes["html"] = None
            self.body.media.append(Media(name="message.html", type="text/html", data=data))
            return [_Block(plain=html_text(text[: self.options.limits.html], 0)[0])]
        return [_Block(html=text)]

    def _file(self, part: Part) -> None:
        data = part.body()
        sealed = part.type in {"application/pkcs7-mime", "application/x-pkcs7-mime"}
        if sealed and (kind := part.params.get("smime-type", "")) != "certs-only":
            self.body.security = "signed" if "signed" in kind else "encrypted"
            return
        if part.type in {"application/ms-tnef", "application/vnd.ms-tnef"} or part.filename.lower() == "winmail.dat":
            contents = unpack(data)
            if contents is not None:
                self.spare.insert(0, _Block(contents.text, contents.html))
                self.body.media.extend(
                    Media(name=file.name[:200] or f"part-{self.number}.bin", type=file.type or
                    "application/octet-stream",
                          data=file.data, content_id=file.content_id[:500].strip("<>"))
                    for file in contents.files
                )  # fmt: skip
                return
        if part.type == "text/calendar" and (summary := _summary(data)):
            self.spare.append(_Block(plain=summary))
        name = file_name(part, self.number)
        self.body.media.append(Media(name=name, type=part.type[:200], data=data, content_id=part.content_id))


def _summary(data: bytes) -> str:
    lines = []
    for match in list(_SUMMARY.finditer(data[:100_000]))[:8]:
        value = re.sub(r"\r?\n[ \t]", "", decode(match[2], "utf-8"))
        lines.append(_ESCAPED.sub(lambda hit: "\n" if hit[1] in "nN" else hit[1], value).strip())
    return "\n".join(dict.fromkeys(lines))


def _lay_out(body: Body, blocks: list[_Block], options: ParseOptions, *, forwarded: bool) -> None:
    limits, pieces, length = options.limits, list[str](), 0
    for text, found in _texts(blocks, limits.html_text):
        length += 2 if pieces else 0
        pieces.append(text)
        body.folds += [Fold(start=fold.start + length, end=fold.end + length, kind=fold.kind) for fold in found]
        length += len(text)
    body.text = "\n\n".join(pieces)
    if any(block.html for block in blocks):
        body.html = "\n".join(_shown(body, block) for block in blocks)
    if len(body.text) > limits.text:
        body.notes["text"] = None
        body.media.append(Media(name="message.txt", type="text/plain", data=body.text.encode()))
        body.text = body.text[: limits.text]
        body.folds = [fold for fold in body.folds if fold.end <= limits.text]
    body.folds = _merged([*body.folds, *folds(body.text, limits.folded, forwarded=forwarded)])


def _shown(body: Body, block: _Block) -> str:
    if not block.html:
        return f"<p>{html.escape(block.plain).replace(chr(10), '<br>')}</p>"
    safe = sanitise(block.html)
    if safe is None:
        body.notes["html"] = None
        body.media.append(Media(name="message.html", type="text/html", data=block.html.encode()))
    return safe or ""


def _texts(blocks: list[_Block], limit: int) -> Iterator[tuple[str, list[Fold]]]:
    for block in blocks:
        if block.plain.strip() and not (block.html and _NO_WORDS.fullmatch(block.plain[:400])):
            yield block.plain.replace("\r\n", "\n").replace("\r", "\n").strip("\n"), []
        elif block.html:
            yield html_text(block.html, limit)


def _merged(found: list[Fold]) -> list[Fold]:
    """In order and apart: where a client's marks and our reading overlap, both hold."""
    merged: list[Fold] = []
    for fold in sorted(found, key=lambda fold: (fold.start, -fold.end)):
        if merged and fold.start < merged[-1].end:
            last = merged[-1]
            merged[-1] = Fold(start=last.start, end=max(last.end, fold.end), kind=last.kind)
        else:
            merged.append(fold)
    return merged
