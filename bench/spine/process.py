"""A hub as `make run` starts it: its memory at rest, of its parse workers and under full queues; and its start."""

import contextlib
import smtplib
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from bench.spine.load import Client, requests
from bench.spine.mails import mails
from bench.spine.measure import ROOT, SECRET, Figure, Run, median, pss_mb, spread, until
from tests.servers import free_port

REST = 3.0
FULL = 2000
"""Connections: as many as may wait in memory for a commit."""
HEAVY = 30_000
"""Bytes of each message that fills the queues: 2,000 of them are the 64 MiB that may wait."""
LOADED = """
[hub.limits]
peer_per_minute = 1000000
"""


class Installed:
    """A folder as `trunkline init` makes it, with free ports."""

    def __init__(self, folder: Path, more: str = "") -> None:
        subprocess.run([sys.executable, "-m", "hub", "init", folder], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        self.folder, self.port, self.smtp = folder, free_port(), free_port()
        self.file = folder / "plugins.toml"
        text = self.file.read_text().replace(":8080", f":{self.port}").replace("2525", str(self.smtp))
        self.file.write_text(text + more)
        (folder / "var" / "made" / "hook").write_text(SECRET.reveal())

    def ready(self) -> bool:
        address = f"http://127.0.0.1:{self.port}/readyz"
        with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=5) as answer:
            return bool(answer.status == 200)
        return False

    @contextlib.contextmanager
    def served(self) -> Iterator[int]:
        """The process's number, once it is ready."""
        command = [sys.executable, "-m", "hub", "serve", "--config", self.file]
        with (self.folder / "log").open("ab") as out:
            process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out)
        try:
            until(lambda: self.ready() or process.poll() is not None, "the hub is ready")
            yield process.pid
        finally:
            process.terminate()
            process.wait(60)

    def pending(self) -> int:
        with contextlib.closing(sqlite3.connect(self.folder / "var" / "trunkline.db")) as conn:
            return int(conn.execute("SELECT coalesce(sum(n), 0) FROM tallies WHERE state = 'pending'").fetchone()[0])


def figures(run: Run) -> Iterator[Figure]:
    if run.keys & {"idle_pss_mb", "worker_pss_mb"}:
        yield from _at_rest(run)
    if "loaded_pss_mb" in run.keys:
        yield _loaded(run)
    if "startup_vs_imports" in run.keys:
        yield _startup(run)


def _at_rest(run: Run) -> Iterator[Figure]:
    place = Installed(run.folder / "rest")
    idle, worker = [], []
    for _ in range(3):
        with place.served() as pid:
            time.sleep(REST)
            idle.append(pss_mb(pid))
            _send(place, mails(50))
            worker.append(max((pss_mb(child) for child in _workers(pid)), default=0.0))
            run.say(f"at rest: {idle[-1]:.1f} MB, a parse worker after 50 mails {worker[-1]:.1f} MB")
    for key, values in (("idle_pss_mb", idle), ("worker_pss_mb", worker)):
        if key in run.keys:
            yield Figure(key, median(values), {"range": spread(values)})


def _send(place: Installed, raws: Sequence[bytes]) -> None:
    with smtplib.SMTP("127.0.0.1", place.smtp) as smtp:
        for raw in raws:
            smtp.sendmail("ann@acme.test", "support@trunkline.test", raw)
    until(lambda: place.pending() == 0, "the mails are recorded")


def _children(pid: int) -> list[int]:
    return [int(word) for path in Path(f"/proc/{pid}/task").glob("*/children") for word in path.read_text().split()]


def _workers(pid: int) -> list[int]:
    """Without multiprocessing's resource tracker."""
    return [child for child in _children(pid) if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


def _loaded(run: Run) -> Figure:
    """Everything flows, then the disk stands still (its write lock is held) and as many wait as may."""
    place = Installed(run.folder / "loaded", LOADED)
    heavy = list(islice(requests(HEAVY), FULL * 2))
    seen = []
    with place.served() as pid:
        client, crowd = Client(place.port), Client(place.port, FULL)
        seen += _watched(pid, lambda: client.closed(heavy[:FULL], 60))
        with contextlib.closing(sqlite3.connect(place.folder / "var" / "trunkline.db", timeout=30)) as lock:
            lock.isolation_level = None
            lock.execute("BEGIN IMMEDIATE")
            seen += _watched(pid, lambda: crowd.closed(heavy[FULL:], 60))
            lock.execute("ROLLBACK")
        seen += _watched(pid, lambda: until(lambda: place.pending() == 0, "everything is recorded", 120))
        client.close()
        crowd.close()
        time.sleep(REST)
        after = pss_mb(pid)
    run.say(f"loaded: {max(seen):.0f} MB at most, {after:.0f} MB afterwards")
    return Figure("loaded_pss_mb", max(seen), {"afterwards": round(after, 1), "samples": len(seen)})


def _watched(pid: int, work: Callable[[], object]) -> list[float]:
    """Samples of the process's memory while `work` runs in a thread."""
    seen = []
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(work)
        while not done.done():
            seen.append(pss_mb(pid))
            time.sleep(0.05)
        done.result()
    return seen


_IMPORTS = """
import contextlib, importlib, sys
for name in open(sys.argv[1]).read().split():
    with contextlib.suppress(ImportError):  # some are only looked for
        importlib.import_module(name)
"""


def _startup(run: Run) -> Figure:
    """Seconds from the process's begin until /readyz says so, against those of importing what it then has imported."""
    place = Installed(run.folder / "start")
    names = run.folder / "modules"
    names.write_text("\n".join(_modules(place)))
    ratios, bare, imports, starts = [], [], [], []
    for n in range(run.triples):
        bare.append(_seconds([sys.executable, "-c", "pass"]))
        imports.append(_seconds([sys.executable, "-c", _IMPORTS, str(names)]))
        begun = time.perf_counter()
        with place.served():
            starts.append(time.perf_counter() - begun)
        ratios.append(starts[-1] / imports[-1])
        run.say(f"start {n + 1}/{run.triples}: imports {imports[-1]:.2f} s, ready after {starts[-1]:.2f} s")
    beside = {
        "python_s": round(median(bare), 3), "imports_s": round(median(imports), 3), "ready_s": round(median(starts), 3),
        "range": spread(ratios),
    }  # fmt: skip
    return Figure("startup_vs_imports", median(ratios), beside)


def _seconds(command: list[str]) -> float:
    begun = time.perf_counter()
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def _modules(place: Installed) -> list[str]:
    """What the hub has imported when it is ready, in that order."""
    command = [sys.executable, "-X", "importtime", "-m", "hub", "serve", "--config", place.file]
    log = place.folder / "imports"
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=out)
        try:
            until(place.ready, "the hub is ready")
        finally:
            process.terminate()
            process.wait(60)
    lines = [
        line.rsplit("|", 1)[-1].strip() for line in log.read_text().splitlines() if line.startswith("import time:")
    ]
    return [name for name in lines if _plain(name)]


def _plain(name: str) -> bool:
    parts = name.split(".")
    return all(part.isidentifier() for part in parts) and parts[-1] != "__main__" and "pysite" not in name
