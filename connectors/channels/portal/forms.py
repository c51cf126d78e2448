"""Reading forms: plain HTML forms as browsers send them, multipart or urlencoded, and whatever else comes.

Nothing that a person sent is lost for a mistake in it: of a form that breaks off, what came is read, with the reason.
"""

import hashlib
import re
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from multipart import MultipartSegment, PushMultipartParser, parse_options_header

from plugins import Media, NotAuthentic, Request, one_line

TEXT_LIMIT = 256 << 10
"""Bytes of an urlencoded form, which has no files: decoding one of 25 MB takes half a minute."""
_PARTS = 100
_WINDOW = 64 << 10  # bytes in which a form must show that it is one, and its submission id
_SUBMISSION = re.compile(r"[A-Za-z0-9_-]{16,64}")
_SUBMISSION_PAIR = re.compile(rb"(?:^|&)submission=([A-Za-z0-9_-]{16,64})(?:&|$)")


class Form(NamedTuple):
    """What was filled in."""

    fields: dict[str, str]
    files: tuple[Media, ...]
    broken: str = ""
    """Why it could not be read to its end."""


def same_site(request: Request) -> None:
    """Sec-Fetch-Site decides where the browser sends it, else Origin; neither: no browser, so nobody is tricked."""
    site, origin = request.header("sec-fetch-site"), request.header("origin")
    ours = urlsplit(request.url)
    if site not in {"", "same-origin", "none"} or (not site and origin not in {"", f"{ours.scheme}://{ours.netloc}"}):
        raise NotAuthentic("the form was sent by another site")


def _boundary(content_type: str) -> str:
    """The boundary of a multipart form, "" for other content."""
    kind, options = parse_options_header(content_type)
    return options.get("boundary", "") if kind == "multipart/form-data" else ""


def digest(raw: bytes, content_type: str) -> bytes:
    """Of the content: browsers draw a new boundary each time the same form is sent.

    Theirs are longer than 15 characters; a short one could stand in the body millions of times.
    """
    boundary = _boundary(content_type).encode()
    return hashlib.sha256(raw.replace(boundary, b"") if len(boundary) > 15 else raw).digest()


def wrong(raw: bytes, content_type: str) -> str:
    """Why this can't be a form, in words for whoever sent it; "" if it may be one. Cheap: the beginning tells."""
    boundary = _boundary(content_type)
    if boundary:
        return "" if _opens(raw[:_WINDOW], boundary) else "the form that was sent could not be read"
    if content_type.partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        return "what was sent is not a form"
    if len(raw) > TEXT_LIMIT:
        return f"a form of this kind may hold {TEXT_LIMIT >> 10} KiB; long texts and files go as multipart/form-data"
    return "" if raw.count(b"&") < _PARTS else f"a form may have {_PARTS} fields"


def _opens(raw: bytes, boundary: str) -> bool:
    try:
        return any(isinstance(event, MultipartSegment) for event in _events(raw, boundary))
    except ValueError:  # multipart's errors are
        return False


def _events(raw: bytes, boundary: str) -> Iterator[MultipartSegment | bytes | bytearray | None]:
    """The parts of a multipart body, each with its pieces. Raises ValueError where it is at fault or not whole."""
    with PushMultipartParser(boundary, max_segment_count=_PARTS) as parser:
        for at in range(0, len(raw), _WINDOW):
            yield from parser.parse(raw[at : at + _WINDOW])


def submission(raw: bytes, content_type: str) -> str:
    """The hidden id, "" if absent. It stands first in the form, so its beginning is enough to find it."""
    boundary = _boundary(content_type)
    if not boundary:
        found = _SUBMISSION_PAIR.search(raw[:_WINDOW])
        return found[1].decode() if found else ""
    value = _read_multipart(raw[:_WINDOW], boundary).fields.get("submission", "")
    return value if _SUBMISSION.fullmatch(value) else ""


def read(raw: bytes, content_type: str) -> Form:
    """Fields by name (the first of a name counts) and files."""
    boundary = _boundary(content_type)
    if boundary:
        return _read_multipart(raw, boundary)
    pairs = parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True)
    return Form({name: _text(value) for name, value in reversed(pairs)}, ())


def _read_multipart(raw: bytes, boundary: str) -> Form:
    """Whatever can be read: a part that breaks off counts as far as it came."""
    parts: list[tuple[MultipartSegment, list[bytes | bytearray]]] = []
    broken = ""
    try:
        for event in _events(raw, boundary):
            if isinstance(event, MultipartSegment):
                parts.append((event, []))
            elif event:
                parts[-1][1].append(event)
    except ValueError as error:
        broken = str(error)[:500]
    fields: dict[str, str] = {}
    files: list[Media] = []
    for part, pieces in parts:
        data = b"".join(pieces)
        if part.filename is None:
            fields.setdefault(part.name, _text(data.decode("utf-8", "replace")))
        elif data or part.filename:  # an empty file input is sent too, without a name
            files.append(Media(name=one_line(part.filename), type=one_line(part.content_type or ""), data=data))
    return Form(fields, tuple(files), broken)


def _text(value: str) -> str:
    return value.replace("\r\n", "\n").strip()
