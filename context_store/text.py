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
    raws = [part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part for part in parts]
    return hashlib.sha256(b"".join([len(raw).to_bytes(8, "big") + raw for raw in raws])).digest()


def lane_of(*parts: str | bytes) -> int:
    """The lane as a signed 64-bit number within 63 bits: what both stores and PostgreSQL's advisory locks take."""
    return int.from_bytes(hash_key(*parts)[:8], "big", signed=True) >> 1
