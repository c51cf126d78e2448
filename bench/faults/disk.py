"""Disks that forget and disks that are full, under a hub on SQLite."""

import asyncio
import contextlib
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.faults.checker import Verdict
from bench.faults.load import Load
from bench.faults.nemesis import Times, acknowledged, judged, loading
from bench.faults.place import Place
from tests.servers import program

SOURCE = Path(__file__).with_name("platter.c")


def forgetful(folder: Path) -> Path:
    """`platter.c` as a library to preload."""
    library = folder / "platter.so"
    command = [program("cc"), "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl", "-lpthread"]
    subprocess.run(command, check=True)
    return library


async def power_cuts(place: Place, rounds: int, *, off: str = "") -> Verdict:
    """The power fails at random moments under load: what was not synced is gone."""
    times, chance = Times(), random.Random(place.seed)
    disk, platter = place.folder / "var", place.folder / "platter"
    shutil.copytree(disk, platter)
    environ = {
        "LD_PRELOAD": str(forgetful(place.folder)), "TL_DISK": str(disk), "TL_PLATTER": str(platter),
        "TRUNKLINE_UNPROTECTED": off,
    }  # fmt: skip
    async with place.far_side():
        load = Load(place, kinds="hook portal feed")
        place.served.start(environ, fresh=True)
        await place.served.ready()
        async with loading(load):
            for _ in range(rounds):
                await acknowledged(load)
                await asyncio.sleep(chance.uniform(0, 1.5))
                await place.served.kill()
                began = time.monotonic()
                shutil.rmtree(disk)
                shutil.copytree(platter, disk)
                place.served.start(environ, fresh=True)
                await place.served.ready()
                await acknowledged(load, 60)
                times.recovered.append(time.monotonic() - began)
        return await judged(place, times)


@contextlib.contextmanager
def small_disk(place: Place, megabytes: int) -> Iterator[Path]:
    """The place's data on a tmpfs of that size."""
    disk = place.folder / "var"
    aside = Path(tempfile.mkdtemp(prefix="tl-aside-"))
    shutil.copytree(disk, aside, dirs_exist_ok=True)
    subprocess.run([program("mount"), "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0700", "tmpfs", disk], check=True)
    try:
        shutil.copytree(aside, disk, dirs_exist_ok=True)
        yield disk
    finally:
        subprocess.run([program("umount"), "-l", disk], check=True)
        shutil.rmtree(aside)


async def full_disk(place: Place, rounds: int) -> Verdict:
    """No room for a while, again and again; the hub's own reserve is off, so that SQLite meets the end of the disk.

    A process that ends itself (a disk that was full at COMMIT) is begun anew, as a supervisor would.
    """
    times, chance = Times(), random.Random(place.seed)
    place.limits["reserve"] = 0
    with small_disk(place, 64 + 8 * rounds) as disk:  # what is kept must fit, or it would never heal
        filler = disk / "filler"
        async with place.far_side():
            load = Load(place, kinds="hook portal feed")
            place.served.start()
            await place.served.ready()
            again = asyncio.create_task(_begun_anew(place))
            async with loading(load):
                for _ in range(rounds):
                    await acknowledged(load)
                    await asyncio.sleep(chance.uniform(0.2, 1))
                    await asyncio.to_thread(_fill, filler)
                    await asyncio.sleep(chance.uniform(0.5, 2))
                    filler.unlink()
                    began = time.monotonic()
                    await acknowledged(load, 60)
                    times.recovered.append(time.monotonic() - began)
                again.cancel()
                if place.served.exitcode is not None:
                    place.served.start()
                    await place.served.ready()
            return await judged(place, times)


async def _begun_anew(place: Place) -> None:
    while True:
        if place.served.exitcode is not None:
            place.served.start()
        await asyncio.sleep(0.2)


def _fill(filler: Path) -> None:
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 16))
