"""Bytes to text for any charset that a mail names, misnames or leaves out; every input has a value."""

import codecs
from encodings.aliases import aliases

import chardet

_UNSAFE = {"mbcs", "oem", "idna", "punycode", "rot_13", "undefined", "unicode_escape", "raw_unicode_escape"}
_KNOWN = {name for name in aliases.values() if not name.endswith("_codec") and name not in _UNSAFE} | {
    "koi8_u",
    "koi8_t",
}
_SAMPLE = 8 << 10
"""Bytes that chardet looks at: it needs no more, and its cost is bounded so."""

# What labels mean in practice (WHATWG Encoding §4.2, and names seen in mail).
_MEANT = {
    "us-ascii": "", "ascii": "", "": "", "iso-8859-1": "cp1252", "latin1": "cp1252", "iso8859-1": "cp1252",
    "iso-8859-9": "cp1254", "iso-8859-11": "cp874", "gb2312": "gb18030", "gbk": "gb18030", "ks_c_5601-1987": "cp949",
    "euc-kr": "cp949", "ks_c_5601": "cp949", "shift_jis": "cp932", "shift-jis": "cp932", "x-sjis": "cp932",
    "sjis": "cp932",
    "iso-8859-8-i": "iso8859-8", "iso-8859-8-e": "iso8859-8", "unicode-1-1-utf-7": "utf-7", "utf8mb4": "utf-8",
    "x-mac-roman": "mac_roman", "macintosh": "mac_roman", "x-windows-949": "cp949", "iso-2022-jp": "iso2022_jp_ext",
    "x-gbk": "gb18030", "cp-850": "cp850", "windows-31j": "cp932", "big5": "big5hkscs",
}  # fmt: skip


def decode(data: bytes, charset: str, fallback: str = "") -> str:
    """Text without NUL and lone surrogates, which the stores refuse.

    A charset that is missing, unknown or contradicted by the bytes gives way to UTF-8 if they are that, else to
    `fallback`, else to chardet's guess; what stays unreadable becomes U+FFFD.
    """
    text = _decode(data, charset, fallback).replace("\0", "\ufffd")
    return text if _whole(text) else text.encode("utf-8", "replace").decode()


def _whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _decode(data: bytes, charset: str, fallback: str) -> str:
    if data.isascii() and not _escapes(charset):
        return data.decode("ascii")
    name = codec(charset)
    for attempt in (name if name != "cp1252" else "", "utf-8", name, codec(fallback)):
        if attempt:
            try:
                return data.decode(attempt)
            except (UnicodeError, ValueError):
                continue
    text = data.decode(name or codec(fallback) or _guess(data), "replace")
    if name == "utf_8" and not any(char > "\x7f" and char != "\ufffd" for char in text):
        return data.decode(codec(fallback) or _guess(data), "replace")  # not one character of UTF-8 in it
    return text


def _escapes(charset: str) -> bool:
    """Is pure ASCII a shell around other characters there (ISO-2022, UTF-7, HZ, UTF-16)?"""
    return (
        charset
        .strip()
        .lower()
        .startswith(("iso-2022", "iso2022", "utf-7", "utf7", "unicode", "hz", "utf-16", "utf-32"))
    )


def codec(charset: str) -> str:
    """Python's name of a charset label, "" for one that says nothing or that we don't know."""
    label = charset.strip().strip("\"'").lower()[:60]
    label = _MEANT.get(label, label)
    if not label:
        return ""
    try:
        name = codecs.lookup(label).name.replace("-", "_")
    except (LookupError, ValueError):
        return ""
    return name if name in _KNOWN or codecs_alias(name) in _KNOWN else ""


def codecs_alias(name: str) -> str:
    """Codecs name themselves `iso8859-1` and aliases say `iso8859_1` or `latin_1`."""
    return aliases.get(name, name)


def _guess(data: bytes) -> str:
    if sum(byte > 0x7F for byte in data[:_SAMPLE]) <= 3:
        return "cp1252"  # too few to guess from
    found = codec(chardet.detect(data[:_SAMPLE])["encoding"] or "")
    return found if found not in {"", "ascii", "utf_8"} else "cp1252"
