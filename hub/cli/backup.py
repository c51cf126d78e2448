"""`trunkline backup`: a copy of everything that can't be made again, while the hub runs."""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import make_url

from hub.cli.access import path_of, place
from hub.cli.common import DEFAULT, WELL, CommandError, Common, private
from hub.cli.output import as_json, err, progress, say, size, visible
from hub.config import Place

SKIPPED = (".sock", ".owner", "-wal", "-shm", "-journal")
"""Ends of names: they belong to a running process or to the database, which is copied by itself."""


def backup(folder: Path, *, common: Common = DEFAULT) -> int:
    """Copy the store while the hub runs, with large files, keys, configuration and rules, into a new folder.

    trunkline backup /backup/trunkline-2026-11-21

    On PostgreSQL it calls pg_dump, which must be installed. Restoring: docs/operation.md.

    Parameters
    ----------
    folder
        Must not exist yet, or be empty.
    """
    where, config = place(common), path_of(common).resolve()
    base = config.parent
    if folder.exists() and any(folder.iterdir()):
        raise CommandError(f"{folder} is not empty: a backup gets a folder of its own")
    try:
        with private():
            folder.mkdir(parents=True, exist_ok=True)
            with err.status("Copying the database"):
                database = _database(where, folder, base)  # before the files: each of its rows then finds its file
            files = [*_files(where.data, database), config, where.rules]
            with progress() as bar:
                for file in bar.track(files, description="Copying files"):
                    _copy(file, _inside(folder, file, base))
    except OSError as error:
        raise CommandError(f"the backup is not whole: {error}") from error
    total = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    if common.json:
        as_json({"folder": str(folder), "bytes": total})
    else:
        say(visible(f"{folder}: {size(total)}. It holds messages and keys: keep it like the original."), style="green")
    return WELL


def _inside(folder: Path, file: Path, base: Path) -> Path:
    """Where a file goes: at its place beside the configuration, so that a backup is a folder to serve from."""
    return folder / (file.relative_to(base) if file.is_relative_to(base) else file.name)


def _database(where: Place, folder: Path, base: Path) -> Path | None:
    """Copy it; returns the SQLite file, None where it is none."""
    url = make_url(where.store)
    if url.drivername != "sqlite":
        _dump(where.store, folder / "trunkline.dump")
        return None
    path = Path(str(url.database))
    if not path.is_file():
        raise CommandError(f"there is no store at {path} yet")
    target = _inside(folder, path, base)
    target.parent.mkdir(parents=True, exist_ok=True)
    # One step, because a copy in pieces begins again with each write of the hub; readers don't hold it up.
    source, copy = sqlite3.connect(f"file:{path}?mode=ro", uri=True), sqlite3.connect(target)
    try:
        source.backup(copy)
        # The copy alone is whole: no WAL beside it that a restore could forget.
        copy.execute("PRAGMA journal_mode=DELETE")
        wrong = [row[0] for row in copy.execute("PRAGMA quick_check") if row[0] != "ok"]
    finally:
        copy.close()
        source.close()
    if wrong:
        raise CommandError(f"the copy is damaged: {wrong[0]}; is the original? see trunkline doctor")
    _sync(target)
    return path


def _dump(store: str, target: Path) -> None:
    url = make_url(store)
    address = url.set(drivername="postgresql", password=None).render_as_string()
    command = ["--format=custom", "--no-password", f"--file={target}", f"--dbname={address}"]
    # By the environment: arguments are shown to everybody on the machine.
    environ = {"PGPASSWORD": url.password or "", "PATH": os.defpath}
    program = shutil.which("pg_dump")
    if program is None:
        raise CommandError("pg_dump is not installed: apt install postgresql-client")
    done = subprocess.run([program, *command], env=environ, capture_output=True, text=True, check=False)  # noqa: S603  # our own arguments, no shell
    if done.returncode:
        raise CommandError(f"pg_dump failed: {done.stderr.strip()}")
    _sync(target)


def _files(data: Path, database: Path | None) -> Iterator[Path]:
    for file in sorted(data.rglob("*")):
        if file.is_file() and not file.name.endswith(SKIPPED) and file != database:
            yield file


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copyfile(source, target)  # with rights of its own: the original's may be too wide
        os.utime(target, (source.stat().st_atime, source.stat().st_mtime))
    except FileNotFoundError:
        return  # swept meanwhile: no row of the copied database names it
    _sync(target)


def _sync(file: Path) -> None:
    handle = os.open(file, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
