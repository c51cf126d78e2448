"""What all figures share: servers as processes, their processor time, triples and their medians."""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import psycopg

from bench.spine.load import SECRET, Client, Sent, requests
from tests.servers import PostgreSQL, room

ROOT = Path(__file__).parents[2]
STARTING = 60.0
PLUGINS = """
[hub]
name = "Spine"
listen = "127.0.0.1:0"
store = "{store}"
rules = "{root}/rules.toml"
[hub.limits]
pending = 10000000
peer_per_minute = 1000000000
[plugins]
entry_points = false
[instance.hook]
kind = "webhook"
secrets = ["file:secret"]
[instance.querylog]
kind = "querylog"
[team.desk]
name = "First line"
[team.network]
name = "Network"
{more}
"""


@dataclass(frozen=True)
class Figure:
    """One key of the report, with what it was taken from."""

    key: str
    value: float
    beside: Mapping[str, Any] = field(default_factory=dict)
    """Echo, floor and whatever else tells how the figure came about."""


@dataclass(frozen=True)
class Run:
    """How much is measured, and where."""

    folder: Path
    quick: bool
    keys: frozenset[str] = frozenset()
    """What is asked for."""

    @property
    def triples(self) -> int:
        return 5 if self.quick else 15

    def stored(self, messages: int) -> int:
        return messages // 10 if self.quick else messages

    def say(self, text: str) -> None:
        print(f"  {text}", file=sys.stderr, flush=True)


def installed(folder: Path, store: str = "", more: str = "") -> Path:
    """A plugins.toml with one signed webhook in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    secret = folder / "secret"
    secret.write_text(SECRET.reveal())
    secret.chmod(0o600)
    file = folder / "plugins.toml"
    file.write_text(PLUGINS.format(store=store or f"sqlite:///{folder}/store.db", root=ROOT, more=more))
    return file


class Server:
    """A process of `bench.spine.serve`; its client is made with it."""

    def __init__(self, *words: str) -> None:
        command = [sys.executable, "-m", "bench.spine.serve", *words]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self._process.pid
        self.client = Client(self._answer())

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args} ended with {self._process.wait()}")
        return json.loads(line)

    def pending(self) -> int:
        """Envelopes that are journaled and not processed."""
        assert self._process.stdin is not None
        self._process.stdin.write("pending\n")
        self._process.stdin.flush()
        return int(self._answer())

    def cpu(self) -> float:
        """Seconds of processor time that the process took, all its threads together."""
        return process_cpu(self.pid)

    def drained(self) -> None:
        """Return when nothing is left to process."""
        while self.pending():
            time.sleep(0.01)

    def stop(self) -> None:
        self.client.close()
        self._process.communicate()


@contextlib.contextmanager
def served(*words: str) -> Iterator[Server]:
    server = Server(*words)
    try:
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    """A database of a cluster of its own that does flush, unlike the tests'."""
    with room("spine") as folder:
        server = PostgreSQL(folder)
        try:
            url = server.database()
            with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as conn:
                for setting in ("fsync", "full_page_writes"):
                    conn.execute(f"ALTER SYSTEM SET {setting} = on".encode())
                conn.execute("SELECT pg_reload_conf()")
            yield url
        finally:
            server.stop()


def process_cpu(pid: int) -> float:
    """In nanoseconds' steps, by the process's own clock (clock_getcpuclockid(3): ~pid << 3 | CPUCLOCK_SCHED)."""
    return time.clock_gettime(~pid << 3 | 2)


def pss_mb(pid: int) -> float:
    """Proportional set size: pages that processes share are shared out among them."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def full_tilt(server: Server, made: Sequence[bytes], seconds: float) -> tuple[float, float]:
    """(processor microseconds a request, requests a second) of a closed loop."""
    before = server.cpu()
    sent = server.client.closed(made, seconds)
    _all_well(sent)
    return (server.cpu() - before) / sent.well * 1e6, sent.rate


def _all_well(sent: Sent) -> None:
    if set(sent.statuses) != {b"200"}:
        raise RuntimeError(f"answers other than 200: {sent.statuses}")


def supply(rate: float, seconds: float) -> list[bytes]:
    """Signed requests, more than `rate` for so many seconds."""
    return list(islice(requests(), int(rate * seconds * 1.5) + 500))


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def spread(values: Sequence[float]) -> str:
    """Least and most, for people."""
    return f"{min(values):.3g}..{max(values):.3g}"


def until(ready: Callable[[], bool], what: str, patience: float = STARTING) -> None:
    deadline = time.monotonic() + patience
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {patience:.0f} s: {what}")
        time.sleep(0.002)


def load_average() -> float:
    return round(os.getloadavg()[0], 2)
