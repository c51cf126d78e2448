"""Text and external ids made fit for both stores, once, at the edge."""

import hashlib
import re

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def canonical(text: str, limit: int | None = None) -> str:
    r"""The text as both stores take it: NUL and lone surrogates become U+FFFD; cut to `limit` characters.

    PostgreSQL refuses NUL in text, and SQLite's own functions stop at it; neither driver encodes a lone surrogate.
    """
    if limit is not None:
        text = text[:limit]
    if text.isascii() and "\x00" not in text:  # nearly always, and the search below costs four times as much
        return text
    return _UNSTORABLE.sub("\ufffd", text)


def hash_key(*parts: str | bytes) -> bytes:
    """SHA-256 over the parts with their lengths, so that ("ab", "c") and ("a", "bc") differ.

    Any str is taken, lone surrogates too: the hash is of the id as it came, not of its canonical form, so that two
    ids which differ in an unstorable character stay two.
    """
    return hashlib.sha256(framed(*parts)).digest()


def hash_after(begin: bytes, part: str) -> bytes:
    """`hash_key` of the parts that `begin` is `framed` of, and of one more: for many keys that begin alike."""
    return hashlib.sha256(begin + framed(part)).digest()


def framed(*parts: str | bytes) -> bytes:
    """Each part behind its length. A loop: comprehensions cost twice as much, twenty times a message."""
    pieces: list[bytes] = []
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        pieces += (len(raw).to_bytes(8, "big"), raw)
    return b"".join(pieces)


def lane_of(*parts: str | bytes) -> int:
    """The lane as a signed 64-bit number within 63 bits: what both stores and PostgreSQL's advisory locks take."""
    return lane_in(hash_key(*parts))


def lane_in(key: bytes) -> int:
    """The lane whose parts have this hash."""
    return int.from_bytes(key[:8], "big", signed=True) >> 1
