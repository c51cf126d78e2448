"""The parts of a mail, found by searching for boundaries: linear in size, bounded in depth and number.

The standard library's parser holds every line against every open boundary and recurses per level: 1,000 nested parts of
24 MB keep it busy for minutes or end in RecursionError.
"""

import binascii
import mimetypes
import re
from collections.abc import Iterator, Mapping
from quopri import decodestring

from connectors.channels.email.headers import Headers, parameters, read_headers
from connectors.channels.email.options import Limits

_AFTER = re.compile(rb"(--[^\n]{0,200}|[ \t]*)(?:\r?\n|\Z)")
_FIRST = re.compile(rb"(?m)^--([^\s-][^\r\n]{2,120}?|-{2,}[^\s-][^\r\n]{2,120}?)[ \t]*\r?$")
_UNSAFE = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]')
_UU = re.compile(rb"begin [0-7]{3,4} ([^\n]{1,200})\n")


class Part:
    """One node of the tree: a container has `parts`, a leaf has a body."""

    __slots__ = ("data", "disposition", "end", "head", "names", "params", "parts", "start", "type")

    def __init__(self, data: bytes, head: Headers, end: int, default: str) -> None:
        self.data, self.head, self.start, self.end = data, head, min(head.end, end), end
        self.type, self.params = parameters(head.raw("content-type"))
        if self.type.count("/") != 1 or self.type[0] == "/" or self.type[-1] == "/":
            self.type = "text/plain" if self.type in {"text", "plain"} else default
        self.disposition, self.names = parameters(head.raw("content-disposition"))
        self.parts: list[Part] = []

    @property
    def raw(self) -> bytes:
        """The body as it was sent."""
        return self.data[self.start : self.end]

    @property
    def charset(self) -> str:
        """As declared, or ""."""
        return self.params.get("charset", "")

    @property
    def attached(self) -> bool:
        """Its sender meant it as a file of its own, or it can only be one."""
        if self.disposition == "attachment" or (self.filename and self.disposition != "inline"):
            return True
        return not self.type.startswith("text/") or bool(self.filename) or self.type not in _SHOWN

    @property
    def filename(self) -> str:
        """The name that the mail gives, without path and control characters; "" if it gives none."""
        name = self.names.get("filename") or self.params.get("name") or ""
        return _UNSAFE.sub("_", name.replace("\\", "/").rpartition("/")[2]).strip(". ")[:200]

    @property
    def content_id(self) -> str:
        """What `cid:` links name."""
        return self.head.text("content-id", 500).strip("<> ")

    def body(self) -> bytes:
        """The bytes behind the transfer encoding; broken ones give what can be read."""
        encoding = self.head.raw("content-transfer-encoding").decode("ascii", "replace")
        encoding = encoding.partition(";")[0].strip().strip("\"'").lower()
        raw = self.raw
        if encoding == "base64":
            return base64(raw)
        if encoding == "quoted-printable":
            return decodestring(raw)
        if encoding in {"x-uuencode", "uuencode", "uue", "x-uue"}:
            return _uu(raw)
        return raw

    def walk(self) -> Iterator["Part"]:
        """The leaves, in order."""
        stack = [self]
        while stack:
            part = stack.pop()
            if part.parts:
                stack.extend(reversed(part.parts))
            else:
                yield part


_SHOWN = {"text/plain", "text/html", "text/enriched", "text/x-amp-html", "text/markdown"}


class Tree:
    """A whole mail with the notes that reading it left."""

    def __init__(self, raw: bytes, limits: Limits) -> None:
        if b"\n" not in raw:
            raw = raw.replace(b"\r", b"\n")  # files of old Macs
        self.limits, self.notes, self._count = limits, dict[str, None](), 0
        self.root = self._part(raw, 0, len(raw), "text/plain")
        stack = [(self.root, 1)]
        while stack:
            part, depth = stack.pop()
            stack.extend((child, depth + 1) for child in reversed(self._split(part, depth)))

    def _part(self, data: bytes, start: int, end: int, default: str) -> Part:
        self._count += 1
        head = read_headers(data, start, end, self.limits)
        if head.cut:
            self.notes["headers"] = None
        return Part(data, head, end, default)

    def _split(self, part: Part, depth: int) -> list[Part]:
        if not part.type.startswith("multipart/"):
            return []
        if depth > self.limits.depth:
            self.notes["depth"] = None
            part.type = "application/octet-stream"  # kept as a file
            return []
        boundary = part.params.get("boundary", "").strip() or _guessed(part)
        if not boundary:
            return []
        default = "message/rfc822" if part.type == "multipart/digest" else "text/plain"
        for start, end in _between(part, boundary.encode("utf-8", "surrogateescape")[:200]):
            if self._count >= self.limits.parts:
                self.notes["parts"] = None
                part.parts.append(Part(part.data, Headers((), start, False), part.end, "application/octet-stream"))
                return []
            part.parts.append(self._part(part.data, start, end, default))
        return part.parts


def _guessed(part: Part) -> str:
    """The boundary of a container that names none, where its first lines show one."""
    found = _FIRST.search(part.data, part.start, min(part.end, part.start + 2000))
    return found[1].decode("utf-8", "surrogateescape") if found else ""


def _between(part: Part, boundary: bytes) -> Iterator[tuple[int, int]]:
    """Where each body part begins and ends; a missing end delimiter ends with the container (RFC 2046 §5.1.1)."""
    data, mark = part.data, b"--" + boundary
    begun, place = -1, part.start
    at = place if data.startswith(mark, place, part.end) else _line(data, mark, place, part.end)
    while at != -1:
        after = _AFTER.match(data, at + len(mark), part.end)
        place = at + len(mark) if after is None else after.end()
        if after is not None:
            if begun >= 0:
                yield begun, _trimmed(data, begun, at)
            begun = place
            if after[1].startswith(b"--"):
                return
        at = _line(data, mark, place - 1, part.end)
    if begun >= 0 and data[begun : part.end].strip():
        yield begun, part.end


def _line(data: bytes, mark: bytes, place: int, end: int) -> int:
    """Where the next line begins with `mark`, from the line break at `place` on."""
    return data.find(b"\n" + mark, place, end) + 1 or -1


def _trimmed(data: bytes, start: int, at: int) -> int:
    """The line break before a delimiter belongs to the delimiter."""
    if at > start and data[at - 1] == 0x0A:
        at -= 1
    return at - 1 if at > start and data[at - 1] == 0x0D else at


def base64(raw: bytes) -> bytes:
    """All that decodes, also behind padding in the middle (parts glued together)."""
    body, _, rest = raw.rstrip(b"\r\n\t =").partition(b"=")
    rest = rest.lstrip(b"=")
    try:
        first = binascii.a2b_base64(body + b"==")
    except binascii.Error:
        first = _damaged(body)
    return first + base64(rest) if rest.startswith((b"\r", b"\n")) and rest.count(b"=") < 50 else first


_ALPHABET = re.compile(rb"[^A-Za-z0-9+/]+")


def _damaged(body: bytes) -> bytes:
    """A lone last character can't stand for a byte: it is left out."""
    clean = _ALPHABET.sub(b"", body)
    return binascii.a2b_base64(clean[: len(clean) - (len(clean) % 4 == 1)] + b"==")


def _uu(raw: bytes) -> bytes:
    begin = _UU.search(raw)
    found = []
    for line in raw[begin.end() if begin else 0 :].split(b"\n"):
        if line.strip() in {b"end", b"`"}:
            break
        try:
            found.append(binascii.a2b_uu(line.rstrip(b"\r")))
        except binascii.Error:
            length = (((line[0] - 32) & 63) * 4 + 5) // 3 if line else 0
            found.append(_uu_line(line[:length]))
    return b"".join(found)


def _uu_line(line: bytes) -> bytes:
    try:
        return binascii.a2b_uu(line)
    except binascii.Error:
        return b""


_ENDINGS: Mapping[str, str] = {
    "message/rfc822": ".eml", "message/global": ".eml", "text/calendar": ".ics", "text/plain": ".txt",
    "image/jpeg": ".jpg",
    "text/rfc822-headers": ".txt", "message/delivery-status": ".txt", "application/pgp-signature": ".asc",
    "message/disposition-notification": ".txt", "message/feedback-report": ".txt",
}  # fmt: skip


def file_name(part: Part, number: int) -> str:
    """The part's own name, or one from its place and type."""
    return part.filename or f"part-{number}{_ENDINGS.get(part.type) or mimetypes.guess_extension(part.type) or '.bin'}"
