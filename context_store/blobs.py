"""Bytes by their hash: up to `INLINE` in table `blobs`, larger ones as files, with counted references.

A file is written and fsynced, renamed, and its folder fsynced, before any row names it: a crash leaves at worst a
file without a row, which `sweep` removes after a grace. References are counted in the transaction that makes them.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from hashlib import file_digest, sha256
from pathlib import Path
from secrets import token_hex
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, bindparam, delete, select, update

from context_store import bulk
from context_store.crashpoints import crashpoint
from context_store.errors import DamagedBlob, StoreAway
from context_store.journal import INLINE
from context_store.pending import PendingEnvelope
from context_store.tables import blobs

GRACE_SECONDS = 3600
"""A file without a row may belong to a transaction that is still to come."""


class BlobFindings(NamedTuple):
    """What `sweep` and `doctor` found."""

    orphans: int
    """files without a row"""
    missing: tuple[bytes, ...]
    """rows without a file"""


class BlobStore:
    """The folder and the table, together."""

    def __init__(self, folder: Path) -> None:
        """Makes the 256 subfolders once, so that no writer has to."""
        self.folder = folder
        if not (folder / "ff").is_dir():
            for number in range(256):
                (folder / f"{number:02x}").mkdir(parents=True, exist_ok=True)
            sync_folder(folder)

    def stow(self, data: bytes) -> bytes:
        """SHA-256 of `data`, which is in the folder then if it is too large for a row. Call it before the transaction.

        A file that is there already gets a new time, so that `sweep` leaves it alone. Raises StoreAway where it can't
        be written: a full disk is no fault of the bytes, and whoever comes later in their lane must wait, too.
        """
        sha = sha256(data).digest()
        if len(data) > INLINE:
            try:
                self._write(self.path(sha), data)
            except OSError as error:
                raise StoreAway(f"the folder of large files can't be written now: {error.strerror}") from error
        return sha

    def place(self, raw: bytes) -> tuple[bytes | None, bytes | None]:
        """`raw` and `raw_sha` of a `NewEnvelope`: one of them is None."""
        return (raw, None) if len(raw) <= INLINE else (None, self.stow(raw))

    def _write(self, path: Path, data: bytes) -> None:
        try:
            os.utime(path)
            known = path.stat().st_size == len(data)
        except FileNotFoundError:
            known = False
        if not known:
            crashpoint("blob.before")
            temporary = path.with_name(f".{token_hex(8)}.tmp")
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        # also for a file that another thread has just renamed: its entry may not be on disk yet
        sync_folder(path.parent)
        crashpoint("blob.written")

    def put(self, conn: Connection, data: Sequence[bytes], now: int) -> list[bytes]:
        """Keep each once and count a reference for each; their hashes. Large ones are better stowed before."""
        hashes = [self.stow(one) for one in data]
        rows: dict[bytes, tuple[bytes, int, bytes | None, int, int]] = {}
        for sha, one in zip(hashes, data, strict=True):
            refs = rows[sha][4] + 1 if sha in rows else 1
            rows[sha] = (sha, len(one), one if len(one) <= INLINE else None, now, refs)
        columns = ("sha256", "size", "data", "created_at", "refs")
        bulk.add_up(conn, blobs, columns, [rows[sha] for sha in sorted(rows)], keys=1)
        return hashes

    def get(self, conn: Connection, sha: bytes) -> bytes:
        """The bytes.

        Raises:
            DamagedBlob: they are unknown, gone or changed.
        """
        small = _small(conn, sha)
        return self.load(sha) if small is None else small

    def locate(self, conn: Connection, sha: bytes) -> bytes | Path:
        """The bytes of a small one, of a large one its file, read through already; raises DamagedBlob."""
        small = _small(conn, sha)
        if small is not None:
            return small
        try:
            with self.path(sha).open("rb") as file:
                same = file_digest(file, "sha256").digest() == sha
        except FileNotFoundError as error:
            raise DamagedBlob(f"the file of blob {sha.hex()} is gone") from error
        if not same:
            raise DamagedBlob(f"the bytes of blob {sha.hex()} were changed")
        return self.path(sha)

    def load(self, sha: bytes) -> bytes:
        """The bytes of a file; raises DamagedBlob."""
        try:
            data = self.path(sha).read_bytes()
        except FileNotFoundError as error:
            raise DamagedBlob(f"the file of blob {sha.hex()} is gone") from error
        return _verified(sha, data)

    def fill(self, envelope: PendingEnvelope) -> PendingEnvelope:
        """With its raw bytes, wherever they lie; raises DamagedBlob (park that one, with cause `raw_damaged`)."""
        if envelope.raw is not None or envelope.raw_sha is None:
            return envelope
        return msgspec.structs.replace(envelope, raw=self.load(envelope.raw_sha))

    def release(self, conn: Connection, refs: Mapping[bytes, int]) -> None:
        """Take back so many references of each; a row without any goes at once, its file with a later `sweep`."""
        if not refs:
            return
        down = update(blobs).where(blobs.c.sha256 == bindparam("sha")).values(refs=blobs.c.refs - bindparam("by"))
        conn.execute(down, [{"sha": sha, "by": by} for sha, by in sorted(refs.items())])
        conn.execute(delete(blobs).where(blobs.c.sha256.in_(list(refs)), blobs.c.refs <= 0))

    def find(self, conn: Connection) -> BlobFindings:
        """Compare the folder with the table; changes nothing."""
        on_disk = {sha for sha, _ in self._files()}
        in_table = set(conn.scalars(select(blobs.c.sha256).where(blobs.c.data.is_(None))))
        lost = sorted(sha for sha in in_table - on_disk if not self.path(sha).is_file())  # some came meanwhile
        return BlobFindings(len(on_disk - in_table), tuple(lost))

    def sweep(self, conn: Connection, now_seconds: float) -> BlobFindings:
        """Remove files that no row names and that are older than the grace; run it with `Store.read`.

        Each is moved aside first and looked at again: a `stow` that met it meanwhile has given it a new time.
        """
        removed = 0
        files = list(self._files())  # before the rows: a file that comes later is not looked at
        named = set(conn.scalars(select(blobs.c.sha256).where(blobs.c.data.is_(None))))
        for sha, path in files:
            if sha not in named and _older(path, now_seconds - GRACE_SECONDS):
                aside = path.with_name(f".{token_hex(8)}.tmp")
                path.rename(aside)
                if _older(aside, now_seconds - GRACE_SECONDS):
                    aside.unlink()
                    removed += 1
                else:
                    aside.rename(path)
        for left in self.folder.glob("??/.*.tmp"):
            if _older(left, now_seconds - GRACE_SECONDS):
                left.unlink(missing_ok=True)
        on_disk = {sha for sha, _ in files}
        return BlobFindings(removed, tuple(sorted(named - on_disk)))

    def path(self, sha: bytes) -> Path:
        """Where a large blob lies: the first byte names the folder."""
        name = sha.hex()
        return self.folder / name[:2] / name[2:]

    def _files(self) -> Iterator[tuple[bytes, Path]]:
        for path in self.folder.glob("??/[0-9a-f]*"):
            yield bytes.fromhex(path.parent.name + path.name), path


def _small(conn: Connection, sha: bytes) -> bytes | None:
    """None: it lies in a file."""
    row = conn.execute(select(blobs.c.data).where(blobs.c.sha256 == sha)).one_or_none()
    if row is None:
        raise DamagedBlob(f"no blob {sha.hex()}")
    return None if row.data is None else _verified(sha, row.data)


def _verified(sha: bytes, data: bytes) -> bytes:
    if sha256(data).digest() != sha:
        raise DamagedBlob(f"the bytes of blob {sha.hex()} were changed")
    return data


def _older(path: Path, moment: float) -> bool:
    try:
        return path.stat().st_mtime < moment
    except FileNotFoundError:
        return False


def sync_folder(folder: Path) -> None:
    """What was made, renamed and deleted in it stays so after a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
