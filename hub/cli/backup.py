"""`trunkline backup`: a copy of everything that can't be made again, while the hub runs."""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import make_url

from context_store import examine, reader
from hub.cli.access import path_of, place
from hub.cli.backup_plan import Plan, dotted, rewritten
from hub.cli.common import DEFAULT, UNWELL, WELL, CommandError, Common, private
from hub.cli.output import as_json, complain, err, progress, say, size, visible
from hub.config import Place, overriding


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
    planned = Plan(config, where, folder)
    try:
        with private():
            _new(folder)
            lost = _lost(where)
            _write(folder / config.name, rewritten(config.read_bytes(), planned.settings))
            with err.status("Copying the database"):
                _database(where, planned.database, folder / planned.target)
            with progress() as bar:
                for target, file in bar.track(planned.files().items(), description="Copying files"):
                    _copy(file, folder / target)
    except OSError as error:
        raise CommandError(f"the backup is not whole: {error}") from error
    _tell(folder, planned, lost, common)
    return UNWELL if lost else WELL


def _new(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise CommandError(f"{folder} is a file: a backup gets a folder of its own")
    if folder.exists() and any(folder.iterdir()):
        raise CommandError(f"{folder} is not empty: a backup gets a folder of its own")
    folder.mkdir(parents=True, exist_ok=True)


def _lost(where: Place) -> Sequence[bytes]:
    """Large files that the store names and that are not there: `blobs` may lie on a disk that is away."""
    if not where.data.is_dir():
        raise CommandError(f"there is no data at {where.data} yet")
    with reader.reading(where.store) as conn:
        return examine.blobs(conn, where.blobs).missing


def _tell(folder: Path, planned: Plan, lost: Sequence[bytes], common: Common) -> None:
    total = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    settings = {dotted(keys): value for keys, value in planned.settings.items()}
    before = list(_before(planned))
    if common.json:
        outside = {name: str(path) for name, path in planned.outside.items()}
        missing = [sha.hex() for sha in lost]
        told = {"settings": settings, "outside": outside, "before_serving": before, "missing": missing}
        as_json({"folder": str(folder), "bytes": total, **told})
        return
    say(visible(f"{folder}: {size(total)}. It holds messages and keys: keep it like the original."), style="green")
    for name, value in settings.items():
        say(visible(f"Its configuration says {name} = {value}"))
    for name, path in planned.outside.items():
        say(visible(f"Not copied, it lies elsewhere: {path} ({name})"), style="yellow")
    for line in before:
        say(f"Before it is served: {line}", style="yellow")
    if lost:
        complain(f"the backup is not whole: {len(lost)} large files are missing in the original, see trunkline doctor")


def _before(planned: Plan) -> Iterator[str]:
    """What no copied file can say, and without which a restored hub would work on the original's database."""
    if planned.database is None:
        yield "let `store`, or TRUNKLINE_STORE, name the PostgreSQL that the dump was restored into"
    for name in overriding():
        if planned.database is not None or name != "TRUNKLINE_STORE":
            yield f"unset {name}, which wins over the copied configuration"


def _database(where: Place, path: Path | None, target: Path) -> None:
    if path is None:
        _dump(where.store, target)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    # One step, because a copy in pieces begins again with each write of the hub; readers don't hold it up.
    source, copy = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True), sqlite3.connect(target)
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


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copyfile(source, target)  # with rights of its own: the original's may be too wide
        os.utime(target, (source.stat().st_atime, source.stat().st_mtime))
    except FileNotFoundError:
        return  # swept meanwhile: no row of the copied database names it
    _sync(target)


def _write(target: Path, content: bytes) -> None:
    target.write_bytes(content)
    _sync(target)


def _sync(file: Path) -> None:
    handle = os.open(file, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
