"""winmail.dat (MS-OXTNEF): the files and the text that Outlook hid in it.

Own code: the reader on PyPI (tnefparse, LGPL) is eight times as large, most of it tables of properties that nobody here
asks for, and doesn't bound what a broken stream makes it do.
"""

import struct
from collections.abc import Iterator
from struct import Struct as Layout
from typing import NamedTuple

from connectors.channels.email.charsets import decode

_SIGNATURE = b"\x78\x9f\x3e\x22"
_ATTRIBUTE = Layout("<BII")
_NUMBER = Layout("<I")
_BODY, _NEW_FILE, _FILE_NAME, _FILE_DATA = 0x0002800C, 0x00069002, 0x00018010, 0x0006800F
_MESSAGE_PROPERTIES, _FILE_PROPERTIES, _CODEPAGE = 0x00069003, 0x00069005, 0x00069007
_PROPERTY_FILES = 0x9005
_TEXT, _HTML, _DATA = 0x1000, 0x1013, 0x3701
_LONG_NAME, _NAME, _MIME, _CONTENT_ID = 0x3707, 0x3704, 0x370E, 0x3712
_SIZES = {
    0x0002: 4,
    0x0003: 4,
    0x0004: 4,
    0x000A: 4,
    0x000B: 4,
    0x0005: 8,
    0x0006: 8,
    0x0007: 8,
    0x0014: 8,
    0x0040: 8,
    0x0048: 16,
}
_STRING8, _UNICODE, _OBJECT, _BINARY = 0x001E, 0x001F, 0x000D, 0x0102
_MOST = 200


class File(NamedTuple):
    """One attached file."""

    name: str
    type: str
    data: bytes
    content_id: str


class Contents(NamedTuple):
    """What was found; `html` is not sanitised."""

    files: tuple[File, ...]
    text: str
    html: str


def unpack(data: bytes) -> Contents | None:
    """Read a TNEF stream as far as it goes; None if it is none, or holds nothing that we can read."""
    if not data.startswith(_SIGNATURE):
        return None
    files: list[dict[str, bytes | str]] = []
    body: dict[str, bytes | str] = {}
    charset = "cp1252"
    for identity, value in _attributes(data):
        if identity == _CODEPAGE and len(value) >= 4:
            charset = f"cp{_NUMBER.unpack_from(value)[0]}"
        elif identity == _NEW_FILE:
            files.append({})
        elif identity == _BODY:
            body.setdefault("text", decode(value.rstrip(b"\0"), charset))
        elif identity == _MESSAGE_PROPERTIES:
            body.update(_known(value, charset))
        elif identity == _FILE_NAME:
            _open(files, "name")["name"] = decode(value.rstrip(b"\0"), charset)
        elif identity == _FILE_DATA:
            _open(files, "data")["data"] = value
        elif files and identity & 0xFFFF == _PROPERTY_FILES:
            files[-1].update(_known(value, charset))
    found = tuple(_file(entry) for entry in files[:_MOST] if entry.get("data"))
    text, markup = _string(body, "text"), body.get("html", b"")
    html = decode(markup, "") if isinstance(markup, bytes) else markup
    return Contents(found, text, html) if found or text or html else None


def _open(files: list[dict[str, bytes | str]], key: str) -> dict[str, bytes | str]:
    """The file that is being read; one that has this part already was the one before: some leave the starts out."""
    if not files or key in files[-1]:
        files.append({})
    return files[-1]


def _file(entry: dict[str, bytes | str]) -> File:
    data = entry["data"]
    name = _string(entry, "long") or _string(entry, "name")
    return File(name, _string(entry, "type"), data if isinstance(data, bytes) else data.encode(), _string(entry, "cid"))


def _string(entry: dict[str, bytes | str], key: str) -> str:
    value = entry.get(key, "")
    return value if isinstance(value, str) else ""


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    place = 6
    while place + _ATTRIBUTE.size <= len(data):
        _, identity, length = _ATTRIBUTE.unpack_from(data, place)
        place += _ATTRIBUTE.size
        yield identity, data[place : place + length]
        place += length + 2


_WANTED = {
    _TEXT: "text", _HTML: "html", _DATA: "data", _LONG_NAME: "long", _NAME: "name", _MIME: "type", _CONTENT_ID: "cid",
}  # fmt: skip


def _known(data: bytes, charset: str) -> dict[str, bytes | str]:
    """The MAPI properties of a list that we use; a list that breaks off gives those before."""
    found: dict[str, bytes | str] = {}
    try:
        for tag, kind, value in _properties(data):
            if name := _WANTED.get(tag):
                if kind == _UNICODE:
                    found[name] = decode(value, "utf-16-le").rstrip("\ufffd")
                elif kind == _STRING8:
                    found[name] = decode(value.rstrip(b"\0"), charset)
                else:
                    found[name] = value[16:] if kind == _OBJECT else value
    except struct.error:
        pass
    return found


def _properties(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    count, place = _NUMBER.unpack_from(data)[0], 4
    for _ in range(min(count, 2000)):
        head = _NUMBER.unpack_from(data, place)[0]
        kind, tag, place = head & 0xFFFF, head >> 16, place + 4
        if tag >= 0x8000:
            place = _past_name(data, place)
        multiple, kind = bool(kind & 0x1000), kind & 0xEFFF
        variable = kind in {_STRING8, _UNICODE, _OBJECT, _BINARY}
        values, place = (_NUMBER.unpack_from(data, place)[0], place + 4) if variable or multiple else (1, place)
        for _ in range(min(values, 2000)):
            length, place = (
                (_NUMBER.unpack_from(data, place)[0], place + 4) if variable else (_SIZES.get(kind, 4), place)
            )
            yield tag, kind, data[place : place + length]
            place += length + -length % 4
        if place > len(data):
            return


def _past_name(data: bytes, place: int) -> int:
    """A named property's name: a GUID, then a number or a string."""
    by_string = _NUMBER.unpack_from(data, place + 16)[0]
    if not by_string:
        return place + 24
    length: int = _NUMBER.unpack_from(data, place + 20)[0]
    return place + 24 + length + -length % 4
