"""A real `trunkline serve` in a process of its own, killed and begun anew.

Forked, as loading the code takes ten times as long as a start; `fresh=True` starts a new interpreter.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from tests import forked

ROOT = Path(__file__).parents[2]
START_LIMIT = 60.0


class Died(Exception):
    """The hub ended before it served."""


class Served:
    """At most one process at a time over one configuration."""

    def __init__(self, config: Path, port: int) -> None:
        self.config, self.port, self.log = config, port, config.with_name("serve.log")
        self._forked: ForkServerProcess | None = None
        self._run: subprocess.Popen[bytes] | None = None

    def start(self, environ: dict[str, str] | None = None, *, fresh: bool = False) -> None:
        assert self.exitcode is not None
        self._forked = self._run = None
        words = ["serve", "--config", str(self.config), "--json"]
        if fresh:
            command = [sys.executable, "-m", "hub", *words]
            # whatever a developer's shell says: an installed hub has its bytecode, and need not compile it
            env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", **(environ or {})}
            with self.log.open("ab") as log:
                self._run = subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=log)
        else:
            self._forked = forked.start(words, Path.cwd(), {**os.environ, **(environ or {})}, self.log, self.log)

    @property
    def pid(self) -> int:
        process = self._run or self._forked
        assert process is not None
        assert process.pid is not None
        return process.pid

    @property
    def exitcode(self) -> int | None:
        """None while it runs; negative: the signal that ended it; 0 before the first start."""
        if self._run is not None:
            return self._run.poll()
        return self._forked.exitcode if self._forked is not None else 0

    @property
    def stands_still(self) -> bool:
        """Stopped by a signal. Raises Died."""
        if self.exitcode is not None:
            raise Died(f"exit code {self.exitcode}\n{self.tail()}")
        return Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] == "T"

    async def ready(self) -> None:
        """Until it takes connections. Raises Died."""
        deadline = time.monotonic() + START_LIMIT
        while time.monotonic() < deadline:
            if self.exitcode is not None:
                raise Died(f"exit code {self.exitcode}\n{self.tail()}")
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                await asyncio.sleep(0.01)
            else:
                writer.close()
                return
        raise Died(f"not ready within {START_LIMIT:g} s\n{self.tail()}")

    def signal(self, number: int) -> None:
        if self.exitcode is None:
            os.kill(self.pid, number)

    async def ended(self, within: float) -> int | None:
        """The exit code, None if it still runs then."""
        deadline = time.monotonic() + within
        while self.exitcode is None and time.monotonic() < deadline:  # noqa: ASYNC110  # a process has no event
            await asyncio.sleep(0.005)
        return self.exitcode

    async def kill(self) -> None:
        """SIGKILL: nothing is flushed."""
        self.signal(signal.SIGKILL)
        await self.ended(10)

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""
