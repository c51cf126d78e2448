"""Header fields of mail: split, decoded, and read as addresses, ids and dates, in linear time.

The standard library's own readers fail on hostile input (IndexError on `<[abc@x]>`, RecursionError on 3,000
parentheses, quadratic RFC 2047 search, the first of two From fields silently); these are total: every input has a
value.
"""

import binascii
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from connectors.channels.email.charsets import decode
from connectors.channels.email.keys import clean_id
from connectors.channels.email.options import Limits

_FIELD = re.compile(rb"([!-9;-~]{1,200})[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)(?:\n|\Z)")
_BLANK = re.compile(rb"[ \t]*\r?\n")
_FOLD = re.compile(rb"\r?\n[ \t]?|\r")
_WORD = re.compile(r"=\?([^?\s*]{1,60})(?:\*[^?\s]{0,40})?\?([bBqQ])\?((?:[^?]|\?(?!=)){0,4000})\?=")
_BETWEEN = re.compile(r"\s*")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class Headers(NamedTuple):
    """The fields of one part in order, names in lower case, values unfolded but not decoded."""

    fields: tuple[tuple[str, bytes], ...]
    end: int
    """Where the body begins."""
    cut: bool
    """There were more fields or bytes than the limits allow: what is missing may be a second From."""
    loose: frozenset[str] = frozenset()
    """Fields with a blank before a colon (RFC 5322 §4.5): who deletes or checks a field may not see such a one."""

    def all(self, name: str) -> list[bytes]:
        """Every value of a field."""
        return [value for key, value in self.fields if key == name]

    def raw(self, name: str) -> bytes:
        """The first value, or b""."""
        return next((value for key, value in self.fields if key == name), b"")

    def text(self, name: str, size: int = 1000) -> str:
        """The first value as people read it, at most `size` characters."""
        return words(self.raw(name), size)


def read_headers(data: bytes, start: int, end: int, limits: Limits) -> Headers:
    """Read the header block of a part: up to a blank line, or the first line that is no field (RFC 5322 §2.2)."""
    found: list[tuple[str, bytes]] = []
    loose: set[str] = set()
    stop = min(end, start + limits.header_bytes)
    place = _mbox(data, start, end)
    while len(found) < limits.headers:
        field = _FIELD.match(data, place, stop)
        if field is None:
            break
        name = field[1].decode("ascii").lower()
        found.append((name, _FOLD.sub(b" ", field[2]).strip()))
        if field.start(2) - field.end(1) > 1:
            loose.add(name)
        place = field.end()
    cut = len(found) >= limits.headers or (place >= stop - 1 < end - 1) or _long(data, place, stop, end)
    if cut:
        place = _skip(data, place, end)
    elif blank := _BLANK.match(data, place, end):
        place = blank.end()
    return Headers(tuple(found), place, cut, frozenset(loose))


def _mbox(data: bytes, start: int, end: int) -> int:
    start += 3 * data.startswith(b"\xef\xbb\xbf", start, end)  # a byte order mark: the mail was saved by an editor
    if data.startswith((b"From ", b">From "), start, end):
        return data.find(b"\n", start, end) + 1 or end
    return start


def _long(data: bytes, place: int, stop: int, end: int) -> bool:
    """Does one field run over the allowed size?"""
    return stop < end and data.find(b"\n", place, stop) == -1 and data.find(b":", place, place + 200) != -1


def _skip(data: bytes, place: int, end: int) -> int:
    """Behind the next empty line: the rest of an over-long block is left out."""
    ends = [at + len(mark) for mark in (b"\n\r\n", b"\n\n") if (at := data.find(mark, max(place - 1, 0), end)) != -1]
    return min(ends, default=end)


def words(raw: bytes, size: int = 1000) -> str:
    """Decode RFC 2047 words, and 8-bit bytes that came bare; white space between two encoded words goes (§6.2).

    Neighbours of one charset are joined before they are decoded: senders split characters between words.
    """
    raw = raw[: size * 12]
    text = decode(raw, "")
    if "=?" in text:
        text = "".join(_decoded(text))
    return clean(text)[:size]


def clean(text: str) -> str:
    """One line without control characters."""
    return " ".join(_CONTROL.sub(" ", text).split())


def _decoded(text: str) -> Iterator[str]:
    pending, charset, place = b"", "", 0
    for word in _WORD.finditer(text):
        gap = text[place : word.start()]
        data = _bytes(word[2], word[3])
        adjoining = bool(place) and not gap.strip()
        if pending and not (adjoining and charset == word[1].lower()):
            yield decode(pending, charset)
            pending = b""
        if not adjoining:
            yield gap
        pending += data
        charset, place = word[1].lower(), word.end()
    if pending:
        yield decode(pending, charset)
    yield text[place:]


def _bytes(encoding: str, text: str) -> bytes:
    data = text.encode("utf-8", "replace")
    if encoding in "qQ":
        return binascii.a2b_qp(data, header=True)
    try:
        return binascii.a2b_base64(data + b"==")
    except binascii.Error:
        return data


# ---- addresses -------------------------------------------------------------------------------------


class Address(NamedTuple):
    """A display name and an addr-spec; the domain is in lower case, the local part as it was written."""

    name: str
    address: str


_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"?|\((?:[^()\\]|\\.)*|[)<>,;:]|[^"()<>,;:]+', re.DOTALL)
_SPEC = re.compile(r"[^\s@<>(),;:\"\[\]\\\x00-\x20\x7f\ufffd]{1,200}@[^\s@<>(),;:\"\\\x00-\x20\x7f\ufffd]{1,255}")
_QUOTED_SPEC = re.compile(r"\"(?:[^\"\\\x00-\x1f\x7f]|\\[ -~]){1,200}\"@[^\s@<>(),;:\"\\\x00-\x20\x7f\ufffd]{1,255}")


def addresses(raw: bytes, limit: int) -> list[Address]:
    """Read an address list (RFC 5322 §3.4): groups, comments, routes, and what people make of it.

    What is no address is left out, not guessed: of `<a@corp><b@evil>` both are returned, of `ann@corp.test, inc` one.
    """
    found: list[Address] = []
    for name, spec in _boxes(raw, limit):
        address = canonical(spec)
        if address:
            found.append(Address(name[:200], address))
        if len(found) >= limit:
            break
    return found


def canonical(spec: str) -> str:
    """An addr-spec in the form in which identities are compared, or "" if it is none."""
    spec = spec.strip()
    if not (_SPEC.fullmatch(spec) or _QUOTED_SPEC.fullmatch(spec)):
        return ""
    local, _, domain = spec.rpartition("@")
    return f"{local}@{domain.lower().rstrip('.')}"


class _Box:
    """One mailbox while its tokens come in."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.notes: list[str] = []
        self.spec = ""
        self.angle = False
        self.specs: list[str] = []

    def result(self) -> Iterator[tuple[str, str]]:
        note = words(" ".join(self.notes).encode("utf-8", "replace"), 200)
        if self.specs:
            name = words("".join(_unquoted(token) for token in self.tokens).encode("utf-8", "replace"), 200)
            for spec in self.specs:
                yield name or note, spec
        elif text := "".join(self.tokens).strip():
            for spec in [text] if canonical(text) else text.split():
                yield note, spec  # `Ann Lee ann@acme.test`; of two addresses side by side both count

    def add(self, piece: str) -> None:
        if piece == "<":
            self.angle, self.spec = True, ""
        elif piece == ">":
            if self.angle:
                self.specs.append(self.spec)
            self.angle = False
        elif self.angle:
            self.spec = "" if piece == ":" else self.spec + piece  # a source route (RFC 5322 §4.4) ends at its colon
        else:
            self.tokens.append(piece)


def _boxes(raw: bytes, limit: int) -> Iterator[tuple[str, str]]:
    text = decode(raw[: limit * 330], "")
    box, depth = _Box(), 0
    for match in _TOKEN.finditer(text):
        piece = match[0]
        if piece[0] == "(":
            depth += 1
            box.notes.append(piece[1:])
        elif depth:
            depth -= piece == ")"
        elif piece in {",", ";"} and not box.angle:
            yield from box.result()
            box = _Box()
        elif piece == ":" and not box.angle:
            box = _Box()  # what stood before was a group's name
        elif piece != ")":
            box.add(piece)
    if box.angle:
        box.add(">")
    yield from box.result()


# ---- ids, dates ------------------------------------------------------------------------------------

_ID = re.compile(rb"<([^<>]{1,1000})>")


def message_ids(raw: bytes, limit: int = 100) -> list[str]:
    """Ids of In-Reply-To or References without brackets, in order; the newest `limit` of them."""
    found = [clean_id(item.decode("utf-8", "replace")) for item in _ID.findall(raw)]
    if not found:
        found = [clean_id(item.decode("utf-8", "replace")) for item in raw[:1000].split() if b"@" in item]
    return [item for item in found if item][-limit:]


def sent_at(raw: bytes, received: datetime) -> datetime:
    """The Date field where it is believable, else when the mail was received.

    A sender writes what it likes: a date after the receipt, or more than 30 days before it, would misplace the mail
    in a person's history.
    """
    try:
        date = parsedate_to_datetime(raw[:100].decode("ascii", "replace"))
        date = date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return received
    return date if received - timedelta(days=30) <= date <= received else received


# ---- parameters ------------------------------------------------------------------------------------

_PARAM = re.compile(r';\s*([^\s=;"]{1,80})\s*=\s*("(?:[^"\\]|\\.)*"?|[^;]*)', re.DOTALL)
_PERCENT = re.compile(rb"%([0-9A-Fa-f]{2})")
_PIECE = re.compile(r"([^*]+)(?:\*(\d{1,3}))?(\*)?")


def parameters(raw: bytes) -> tuple[str, Mapping[str, str]]:
    """A structured value and its parameters, RFC 2231 pieces joined and decoded, RFC 2047 in them tolerated."""
    text = raw[:20_000].decode("utf-8", "surrogateescape")
    value = (text.partition(";")[0].split() or [""])[0].strip('"').lower()
    pieces: dict[str, list[tuple[int, bool, str]]] = {}
    for match in _PARAM.finditer(text):
        name = _PIECE.fullmatch(match[1].lower())
        if name is None or len(pieces) > 50:
            continue
        pieces.setdefault(name[1], []).append((int(name[2] or -1), bool(name[3]), _unquoted(match[2].strip())))
    return _CONTROL.sub("", value.encode("utf-8", "replace").decode()), {
        name: _joined(found) for name, found in pieces.items()
    }


def _unquoted(text: str) -> str:
    if not text.lstrip().startswith('"'):
        return text
    text = text.strip()
    inner = text[1:-1] if len(text) > 1 and text.endswith('"') else text[1:]
    return re.sub(r"\\([\"\\])", r"\1", inner)


def _joined(found: list[tuple[int, bool, str]]) -> str:
    extended = any(star for _, star, _ in found)
    pieces = sorted(found, key=lambda piece: piece[0]) if len(found) > 1 and found[0][0] >= 0 else found[:1]
    if extended and found[0][0] < 0:
        pieces = [piece for piece in found if piece[1]][:1]
    if not extended:
        return words("".join(text for _, _, text in pieces).encode("utf-8", "surrogateescape"))
    charset, data = "utf-8", b""
    for index, (_, star, text) in enumerate(pieces):
        if star and index == 0 and text.count("'") >= 2:
            charset, _, text = text.split("'", 2)  # noqa: PLW2901 - the charset stands before the first piece only
        raw = text.encode("utf-8", "surrogateescape")
        data += _PERCENT.sub(lambda hit: bytes.fromhex(hit[1].decode()), raw) if star else raw
    return clean(decode(data, charset or "utf-8"))[:1000]
