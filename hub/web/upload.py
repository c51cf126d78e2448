"""Forms with files, as an agent's browser sends them: multipart/form-data (RFC 7578), fields before files."""

import asyncio
from typing import NamedTuple

from aiohttp import web
from multipart import MultipartSegment, PushMultipartParser, parse_options_header

from hub.files import TOGETHER
from hub.web.bodies import body
from hub.web.login import FORM_LIMIT, NO_FORM, form
from plugins import Media, one_line

LARGEST = FORM_LIMIT + TOGETHER
_WINDOW = 64 << 10
_PARTS = 1000  # too many files are told by their number, not by a form that can't be read


class Sent(NamedTuple):
    """What was filled in."""

    fields: dict[str, str]
    files: tuple[Media, ...] = ()
    too_large: bool = False
    """Of so many bytes only the fields that came first were read, so that no word is lost with a file."""


async def form_with_files(request: web.Request) -> Sent:
    """As `form`, which it is without files. Raises HTTPBadRequest for what is no form or breaks off."""
    if request.content_type != "multipart/form-data":
        return Sent(await form(request))
    boundary = parse_options_header(request.headers["Content-Type"])[1].get("boundary", "")
    too_large = (request.content_length or 0) > LARGEST
    async with body(request, FORM_LIMIT if too_large else LARGEST, begin=too_large) as sent:
        try:
            fields, files = await asyncio.to_thread(_read, sent, boundary, whole=not too_large)
        except ValueError as error:  # multipart's errors are
            raise web.HTTPBadRequest(text=NO_FORM) from error
    return Sent(fields, () if too_large else files, too_large)


def _read(raw: bytes, boundary: str, *, whole: bool) -> tuple[dict[str, str], tuple[Media, ...]]:
    """Fields (the first of a name counts) and files; not `whole`: without the part that is cut off."""
    parts: list[tuple[MultipartSegment, list[bytes | bytearray]]] = []
    parser = PushMultipartParser(boundary, max_segment_count=_PARTS)
    for at in range(0, len(raw), _WINDOW):
        for event in parser.parse(raw[at : at + _WINDOW]):
            if isinstance(event, MultipartSegment):
                parts.append((event, []))
            elif event:
                parts[-1][1].append(event)
    if whole:
        parser.close()
    fields: dict[str, str] = {}
    files: list[Media] = []
    for part, pieces in parts if whole else parts[:-1]:
        data = b"".join(pieces)
        if part.filename is None:
            fields.setdefault(part.name, data.decode("utf-8", "replace"))
        elif data or part.filename:  # a file input that was left empty is sent too, without a name
            files.append(Media(name=one_line(part.filename), type=one_line(part.content_type or ""), data=data))
    if sum(map(len, fields.values())) > FORM_LIMIT:
        raise ValueError("more text than a form may have")
    return fields, tuple(files)
