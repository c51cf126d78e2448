"""Rotating credentials of instances, encrypted (Fernet) with a key that lies outside the database.

A copy of the database alone opens nothing. The first line of the key file encrypts, every line decrypts: rotate by
putting a new line on top. A ciphertext names the row that it belongs to, so that rows can't be exchanged.
"""

import hmac
from base64 import urlsafe_b64encode
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from sqlalchemy import Connection, select

from context_store import bulk
from context_store.key_files import keys_of
from context_store.tables import instance_state
from context_store.text import hash_key


class Vault:
    """Reads and writes `instance_state`."""

    def __init__(self, path: Path) -> None:
        """Read the key file, or make it (mode 0600).

        Raises:
            StoreRefused: others may read the file, or it holds no key.
        """
        self._fernet = MultiFernet([Fernet(urlsafe_b64encode(key)) for key in keys_of(path)])

    def put(self, conn: Connection, instance: str, name: str, value: bytes, expires_at: int) -> None:
        """Store before use: a rotated credential that is lost locks the instance out."""
        sealed = self._fernet.encrypt(hash_key(instance, name) + value)
        bulk.insert(
            conn,
            instance_state,
            ("instance", "name", "ciphertext", "expires_at"),
            [(instance, name, sealed, expires_at)],
            conflict="ON CONFLICT (instance, name) DO UPDATE SET ciphertext = excluded.ciphertext, "
            "expires_at = excluded.expires_at",
        )

    def get(self, conn: Connection, instance: str, name: str) -> tuple[bytes, int] | None:
        """The value and when it expires (UTC milliseconds); None: there is none, or our keys don't open it."""
        row = conn.execute(
            select(instance_state.c.ciphertext, instance_state.c.expires_at).where(
                instance_state.c.instance == instance, instance_state.c.name == name
            )
        ).one_or_none()
        if row is None:
            return None
        try:
            plain = self._fernet.decrypt(bytes(row.ciphertext))
        except InvalidToken:
            return None
        return (plain[32:], row.expires_at) if hmac.compare_digest(plain[:32], hash_key(instance, name)) else None
