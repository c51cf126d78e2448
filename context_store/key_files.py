"""Files of keys that lie outside the database: a key a line, the first one for new work, every one for old.

Made beside its place and linked into it, so that a full disk or a crash at the first start leaves no file without its
line, which would be taken for all keys that there are.
"""

import base64
import os
import secrets
from contextlib import suppress
from pathlib import Path

from context_store.blobs import sync_folder
from context_store.errors import StoreRefused

SIZE = 32
_URL_SAFE = str.maketrans("-_", "+/")


def keys_of(path: Path) -> list[bytes]:
    """The keys, made (mode 0600) if there is no such file. Raises StoreRefused."""
    if not path.exists():
        _make(path)
    return read_keys(path)


def read_keys(path: Path) -> list[bytes]:
    """The keys, one or more; base64 of both alphabets is read.

    Raises:
        StoreRefused: others may read the file, it can't be read, or it holds something else.
    """
    try:
        if path.stat().st_mode & 0o077:
            raise StoreRefused(f"{path}: others may read this key file: `chmod 600 {path}`")
        lines = path.read_text("ascii").translate(_URL_SAFE).split()
        keys = [base64.b64decode(line, validate=True) for line in lines]
    except OSError as error:
        raise StoreRefused(
            f"{path}: this key file can't be read ({error.strerror}): give it to the hub's user"
        ) from error
    except ValueError:  # neither ASCII nor base64; it is not repeated, since it may be most of a key
        keys = []
    if not keys or any(len(key) != SIZE for key in keys):
        raise StoreRefused(f"{path}: not a key file (each line is {SIZE} bytes in base64): restore it from a backup")
    return keys


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(base64.b64encode(secrets.token_bytes(SIZE)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another process was first: its key counts
            os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)
