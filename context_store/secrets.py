"""Rotating credentials of instances, encrypted (Fernet) with a key that lies outside the database.

A copy of the database alone opens nothing. The first line of the key file encrypts, every line decrypts: rotate by
putting a new line on top. A ciphertext names the row that it belongs to, so that rows can't be exchanged.
"""

import hmac
import os
from contextlib import suppress
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from sqlalchemy import Connection, select

from context_store import bulk
from context_store.errors import StoreRefused
from context_store.tables import instance_state
from context_store.text import hash_key


class Vault:
    """Reads and writes `instance_state`."""

    def __init__(self, path: Path) -> None:
        """Read the key file, or make it (mode 0600).

        Raises:
            StoreRefused: others may read the file, or it holds no key.
        """
        if not path.exists():
            _make(path)
        if path.stat().st_mode & 0o077:
            raise StoreRefused(f"{path}: others may read this key file (chmod 600 {path})")
        try:
            self._fernet = MultiFernet([Fernet(line) for line in path.read_text("ascii").split()])
        except ValueError as error:
            raise StoreRefused(f"{path}: not a key file (a line is 32 bytes in URL-safe base64): {error}") from error

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


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(Fernet.generate_key() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    with suppress(FileExistsError):  # another process was first: its key counts
        os.link(temporary, path)
    temporary.unlink()
