"""The installation's signing keys: reply tokens and the keys that go into Message-IDs.

Mail threading is a decision about access (reliability.md §0.6): what a reply names counts only if we made it, for
that recipient. Both forms are stateless, so a retry or a second reply carries the same one, and nothing in them can be
guessed: 80 bits of HMAC-SHA256. The first key signs, every key in the file is accepted: rotate by adding a line on top.
"""

import base64
import hmac
import re
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from context_store.key_files import keys_of

_MAC = 10
_form = re.compile(r"[qm][a-z2-7]{29}")


class Keys:
    """Signs and proves; pure once the keys are read."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """At least one key of 32 bytes."""
        self._keys = tuple(keys)

    @classmethod
    def load(cls, path: Path) -> "Keys":
        """Read the key file, making it at the first start. Raises StoreRefused."""
        return cls(keys_of(path))

    def reply_token(self, query_id: int, identity_id: int) -> str:
        """For one participant of one conversation: 30 characters, safe in a local part of a mail address."""
        return _text("q", query_id, self._mac(self._keys[0], b"reply", query_id, identity_id))

    def message_key(self, message_id: int) -> str:
        """The stable key of an outgoing message, safe in a Message-ID."""
        return _text("m", message_id, self._mac(self._keys[0], b"message", message_id, 0))

    def proves(self, token: str, query_id: int, identity_id: int) -> bool:
        """Was this reply token made for that participant of that conversation?"""
        return self._holds(_parts("q", token), b"reply", query_id, identity_id)

    def message_of(self, key: str) -> int | None:
        """The id of the message of ours that this key names, or None if we didn't make it.

        Also as a step carries it (`key-0`) and as a Message-ID does (`key@host`): what is signed is the key.
        """
        parts = _parts("m", key.partition("@")[0].partition("-")[0])
        return parts[0] if parts and self._holds(parts, b"message", parts[0], 0) else None

    @staticmethod
    def step_of(key: str) -> int:
        """Which part of a text a key speaks of, as a step carries it (`key-2`); 0 where it does not say."""
        number = key.partition("@")[0].partition("-")[2]
        return int(number) if number.isascii() and number.isdecimal() and len(number) < 5 else 0

    def vouch(self, scheme: str, value: str) -> str:
        """The hub's word that somebody proved to hold this address. No page takes it: it goes through plugins only."""
        return self._word(self._keys[0], scheme, value)

    def vouches(self, proof: str, scheme: str, value: str) -> bool:
        """Is it our word, for this very address?"""
        given = proof.encode("utf-8", "surrogatepass")
        return any(hmac.compare_digest(given, self._word(key, scheme, value).encode()) for key in self._keys)

    @staticmethod
    def _word(key: bytes, scheme: str, value: str) -> str:
        said = b"person\0" + scheme.encode() + b"\0" + value.encode("utf-8", "surrogatepass")
        return "v" + base64.b32encode(hmac.digest(key, said, sha256)[:20]).decode().lower()

    def _holds(self, parts: tuple[int, bytes] | None, purpose: bytes, number: int, other: int) -> bool:
        if parts is None or parts[0] != number:
            return False
        return any(hmac.compare_digest(parts[1], self._mac(key, purpose, number, other)) for key in self._keys)

    @staticmethod
    def _mac(key: bytes, purpose: bytes, number: int, other: int) -> bytes:
        said = purpose + b"\0" + number.to_bytes(8, "big") + other.to_bytes(8, "big")
        return hmac.digest(key, said, sha256)[:_MAC]


def query_named_by(token: str) -> int | None:
    """Which conversation a reply token speaks of: only a hint of what to look up, proved by `Keys.proves`."""
    parts = _parts("q", token)
    return parts[0] if parts else None


def _text(mark: str, number: int, mac: bytes) -> str:
    return mark + base64.b32encode(number.to_bytes(8, "big") + mac).decode().rstrip("=").lower()


def _parts(mark: str, text: str) -> tuple[int, bytes] | None:
    text = text.strip().lower()
    if not _form.fullmatch(text) or text[0] != mark:
        return None
    raw = base64.b32decode(text[1:].upper() + "===")
    number = int.from_bytes(raw[:8], "big")
    if number >> 63 or _text(mark, number, raw[8:]) != text:  # no id of ours is larger; the last sign has a spare bit
        return None
    return number, raw[8:]
