"""What the hub finds on its own machine before it serves: findings for `check` and `doctor`, reasons for `serve`."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Connection

from context_store import StoreRefused, examine
from context_store.key_files import read_keys
from context_store.migrations import why_too_new
from context_store.reader import file_of
from hub.config import Config
from plugins import Finding


def folders(config: Config) -> Iterator[tuple[str, Finding]]:
    """(setting, can its files be made and written?); one that is in the way of several is named once."""
    database = file_of(config.store)
    wanted = {"hub.data": config.data, "hub.blobs": config.blobs}
    if database is not None:
        wanted["hub.store"] = database.parent
    told = set[str]()
    for key, folder in wanted.items():
        why = _closed(folder)
        if not why and key == "hub.store" and database is not None:
            why = _locked(database)
        if not why:
            yield key, Finding(ok=True, what=f"files can be made in {folder}")
        elif why not in told:
            told.add(why)
            yield key, Finding(ok=False, what=why, fix=f"correct {key}, or let the hub's user write there")


def _closed(folder: Path) -> str:
    """Why no file can be made there; "" also where the folder can be made first. Leaves nothing behind."""
    near = folder
    try:
        while not (near.exists() or near.is_symlink()):
            near = near.parent
        if not near.is_dir():
            return f"{near} is not a folder"
        with tempfile.TemporaryFile(dir=near):  # no rights are asked for: /proc and full disks have them
            return ""
    except OSError as error:
        return f"no file can be made in {near}: {error.strerror}"


def _locked(database: Path) -> str:
    if database.is_dir():
        return f"{database} is a folder, not a database"
    if database.exists() and not os.access(database, os.R_OK | os.W_OK):
        return f"{database} can't be read and written"
    return ""


def schema(conn: Connection) -> Finding:
    """May this release use the store, as `serve` decides it?"""
    found, known = examine.schema(conn)
    why, _, fix = why_too_new(conn).partition(": ")
    if why:
        return Finding(ok=False, what=why, fix=fix)
    if found < known:
        return Finding(ok=True, what=f"schema {found}; the next start brings it to {known}")
    newer = "; a newer release wrote it, and lets this one use it" if found > known else ""
    return Finding(ok=True, what=f"schema {found}, this release knows {known}{newer}")


def keys(config: Config) -> Iterator[Finding]:
    """Of both key files; neither is made here."""
    for path in (config.data / "signing.key", config.data / "vault.key"):
        if not path.exists():
            yield Finding(ok=True, what=f"{path.name} is not there yet: `trunkline serve` makes it")
            continue
        try:
            number = len(read_keys(path))
        except StoreRefused as error:
            what, _, fix = str(error).rpartition(": ")
            yield Finding(ok=False, what=what, fix=fix)
        else:
            yield Finding(ok=True, what=f"{path.name} holds {number} key{'s' if number > 1 else ''}")
