"""`trunkline doctor`: examine the machine and the store beneath the hub. Slow walks, no effects but one test file."""

import os
import shutil
import sqlite3
import statistics
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

from sqlalchemy import Connection

from context_store import StoreError, examine, reader
from context_store.audit import Head, published_heads, verify_chain
from context_store.times import from_millis
from hub.cli.access import load
from hub.cli.common import DEFAULT, UNWELL, WELL, Common, private
from hub.cli.output import as_json, err, size, table
from hub.cli.places import folders, keys, schema
from hub.cli.rights import readable
from hub.clock import SystemClock
from hub.config import Config
from plugins import Finding

FSYNCS = 40
IMPLAUSIBLE = 0.000_02
"""Seconds: no disk and no cache with a battery confirms faster; something pretends."""
SLOW = 0.05
VOLATILE = frozenset({"tmpfs", "ramfs", "overlay"})
REMOTE = frozenset({"nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p"})
SAFE_SQLITE = (3, 51, 3)
"""Below: the WAL-reset race, which the hub avoids by having one connection write and checkpoint."""


def doctor(*, common: Common = DEFAULT) -> int:
    """Examine the machine and the store beneath the hub.

    Folders, keys, fsync, disk, clock, schema, accounting, audit chain, orphans.

    trunkline doctor
    """
    config = load(common, reveal=False)
    found: list[Finding] = []
    with err.status("Examining") as status:
        for one in _examine(config):
            found.append(one)
            status.update(f"Examining: {one.what}")
    if common.json:
        as_json(found)
    else:
        table(("", "what", "to do"), (("ok" if one.ok else "!!", one.what, one.fix) for one in found), wide="what")
    return WELL if all(one.ok for one in found) else UNWELL


def _examine(config: Config) -> Iterator[Finding]:
    places = [one for _, one in folders(config)]
    yield from places
    if not all(one.ok for one in places):
        return  # what follows writes there
    with private():
        config.data.mkdir(parents=True, exist_ok=True)
    yield readable(config)
    yield from keys(config)
    yield _fsync(config.data)
    yield _file_system(config.data)
    yield _space(config)
    if config.store.startswith("sqlite:"):
        yield _sqlite()
    heads = published_heads(config.heads)  # before the snapshot: in it, a later one would seem to be gone
    try:
        with reader.reading(config.store) as conn:
            yield from _store(conn, config, heads)
    except StoreError as error:
        yield Finding(ok=False, what=f"store: {error}")


def _fsync(folder: Path) -> Finding:
    """Median of some appends, each confirmed: what R1 rests on."""
    file = folder / f".fsync-{os.getpid()}"
    took = []
    try:
        with file.open("wb") as stream:
            for _ in range(FSYNCS):
                stream.write(os.urandom(4096))
                stream.flush()
                begun = time.perf_counter()
                os.fsync(stream.fileno())
                took.append(time.perf_counter() - begun)
    finally:
        file.unlink(missing_ok=True)
    median = statistics.median(took)
    what = f"fsync takes {median * 1000:.2f} ms (median of {FSYNCS}), {max(took) * 1000:.1f} ms at most"
    if median < IMPLAUSIBLE:
        return Finding(ok=False, what=what, fix="too fast to be true: this storage confirms what it has not written")
    slow = "every acknowledgement waits for this: a faster disk helps" if median > SLOW else ""
    return Finding(ok=not slow, what=what, fix=slow)


def _file_system(folder: Path) -> Finding:
    place, kind = "", "unknown"
    mounts = Path("/proc/mounts")
    for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines() if mounts.exists() else ():
        mount, name = line.split(" ")[1:3]
        mount = mount.replace("\\040", " ")
        if folder.resolve().is_relative_to(mount) and len(mount) >= len(place):
            place, kind = mount, name
    what = f"{folder} lies on {kind}"
    if kind in REMOTE:
        return Finding(ok=False, what=what, fix="SQLite needs a local disk; share PostgreSQL instead")
    if kind in VOLATILE:
        return Finding(ok=False, what=what, fix="it is gone with the machine or container: use a disk or volume")
    return Finding(ok=True, what=what)


def _space(config: Config) -> Finding:
    free, reserve = shutil.disk_usage(config.data).free, config.limits.disk_reserve
    what = f"{size(free)} free; below {size(reserve)} nothing new is taken"
    return Finding(ok=free > 2 * reserve, what=what, fix="" if free > 2 * reserve else "make room")


def _sqlite() -> Finding:
    what = f"SQLite {sqlite3.sqlite_version}"
    if sqlite3.sqlite_version_info < SAFE_SQLITE:
        what += ": has the WAL-reset race, which needs two writers; the hub has one, so let nothing else write"
    return Finding(ok=True, what=what)


def _store(conn: Connection, config: Config, heads: Sequence[Head]) -> Iterator[Finding]:
    usable = schema(conn)
    yield usable
    if not usable.ok:
        return  # what follows may have other tables now
    newest = examine.newest(conn)
    if newest is not None:
        ahead = from_millis(newest) - SystemClock().now()
        behind = ahead > timedelta(seconds=2)
        what = f"the clock is {ahead} behind the newest envelope" if behind else "the clock is not behind the store"
        yield Finding(ok=not behind, what=what, fix="set the clock; signatures and deadlines need it" if behind else "")
    wrong = examine.miscounted(conn)
    yield Finding(ok=not wrong, what="; ".join(wrong) or "received = done + parked + pending + erased, by the rows")
    damage = examine.damage(conn)
    yield Finding(
        ok=not damage,
        what="; ".join(damage) or "the database itself is whole",
        fix="restore a backup, or put the settings right" if damage else "",
    )
    stray = examine.strayed(conn)
    yield Finding(ok=not stray, what=f"{stray} identities don't follow their links")
    blobs = examine.blobs(conn, config.blobs)
    yield Finding(
        ok=not blobs.missing,
        what=f"{len(blobs.missing)} large files are missing, {blobs.orphans} belong to nothing (swept in time)",
        fix="restore them from a backup" if blobs.missing else "",
    )
    chain = verify_chain(conn, heads)
    yield Finding(
        ok=not chain.problems,
        what="; ".join(chain.problems) or f"the audit chain holds: {chain.events} events in {chain.blocks} blocks",
        fix="somebody changed the database: compare with a backup" if chain.problems else "",
    )
