"""A rules file's bytes to a TOML document, or the one reason why they are none."""

import re
from typing import Any

import tomli

from plugins import BadConfig, Problem

MAX_BYTES = 64 << 20
"""100,000 long rules fit. Refused by length, before anything is parsed."""

PARTS = 100
"""Of a dotted key: tomli needs time that grows with their square."""

_DOTTED = re.compile(rf"(?:\.\s*+[\w\"'-]++\s*+){{{PARTS},}}+")

_BASED = re.compile(r"0[xob][0-9A-Fa-f_]{1000}")
"""Python reads them, and can't write them."""
_DIGITS = re.compile(r"[0-9_]{4300}")
_TOO_LONG = "is not TOML: a number has more than a thousand digits"


def decode(data: bytes, file: str) -> str:
    """Raises BadConfig, with the line where there is one."""
    if len(data) > MAX_BYTES:
        raise refused(file, f"{len(data):,} bytes are too many", f"at most {MAX_BYTES:,}")
    if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise refused(file, "begins with a byte order mark", "save it as UTF-8 without BOM")
    if (nul := data.find(0)) >= 0:
        line = data.count(b"\n", 0, nul) + 1
        raise refused(f"{file}:{line}", "is not TOML: it has a NUL byte", "is it UTF-16? save it as UTF-8")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        what = f"is not UTF-8: byte 0x{data[error.start]:02x}"
        raise refused(f"{file}:{line}", what, "save it as UTF-8") from None


def parse(source: str, file: str) -> dict[str, Any]:
    """Raises BadConfig."""
    if long := _DOTTED.search(source):
        raise refused(f"{file}:{_line(source, long)}", f"a key has more than {PARTS} parts", "write it flatter")
    if long := _BASED.search(source):
        raise refused(f"{file}:{_line(source, long)}", _TOO_LONG, "")
    try:
        return tomli.loads(source)
    except tomli.TOMLDecodeError as error:
        cut = error.pos >= len(source.rstrip())
        raise refused(f"{file}:{error.lineno}", f"is not TOML: {error}", "is the file whole?" if cut else "") from None
    except ValueError:  # Python reads no longer ones
        long = _DIGITS.search(source)
        raise refused(f"{file}:{_line(source, long) if long else 1}", _TOO_LONG, "") from None
    except RecursionError:
        raise refused(file, "lists or tables stand too deep in each other", "write them flatter") from None


def _line(source: str, found: re.Match[str]) -> int:
    return source.count("\n", 0, found.start()) + 1


def refused(file: str, what: str, fix: str) -> BadConfig:
    """For what is wrong with the file as a whole."""
    return BadConfig([Problem(file=file, key="", what=what, fix=fix)])
