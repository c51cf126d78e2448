"""What the hub does with everything that a plugin returns: encode it, and decode it by its type."""

from typing import Any

import msgspec


def cross(value: Any, kind: Any) -> bytes:
    """The value as it crosses the contract; types, lengths and lone surrogates are refused there."""
    try:
        packed = msgspec.msgpack.encode(value)
        msgspec.msgpack.decode(packed, type=kind)
    except (msgspec.MsgspecError, UnicodeError, TypeError) as error:
        raise AssertionError(f"it can't cross the contract: {error}") from error
    return packed
