"""A desk that is served by a real `trunkline serve`, and the command line as a process beside it."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest

from tests import forked
from tests.servers import free_port

ROOT = Path(__file__).resolve().parents[2]
ENVIRON = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": "/nonexistent", "LANG": "C.UTF-8", "TZ": "UTC"}


class Desk:
    """A folder with a configuration, and commands that run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ = dict(ENVIRON)
        self.process: ForkServerProcess | None = None
        self.greeting = ""
        self.sample: Any = None
        assert self.run("init", ".").returncode == 0
        file = folder / "plugins.toml"
        text = file.read_text().replace("127.0.0.1:8080", f"127.0.0.1:{free_port()}")
        file.write_text(text.replace("port = 2525", f"port = {free_port()}"))

    def run(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return forked.run(words, self.folder, self.environ, stdin)

    def json(self, *words: str) -> Any:
        done = self.run(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def serve(self) -> str:
        """What it prints until it listens."""
        out, errors = self.folder / "serve.out", self.folder / "serve.err"
        out.write_bytes(b"")
        errors.write_bytes(b"")
        self.process = forked.start(["serve"], self.folder, self.environ, out, errors)
        while "/console/setup/" not in (said := out.read_text()):
            assert self.process.exitcode is None, errors.read_text()
            time.sleep(0.02)
        return said

    def signal(self, number: int) -> None:
        assert self.process
        assert self.process.pid
        os.kill(self.process.pid, number)

    def stop(self) -> int | None:
        assert self.process
        self.process.terminate()
        self.process.join(60)
        self.process.kill()
        return self.process.exitcode

    def end(self) -> None:
        """For a test that failed before it stopped its hub."""
        if self.process and self.process.exitcode is None:
            self.stop()

    def until(self, words: str) -> str:
        """The log, once it has these words."""
        end = time.monotonic() + 30
        while True:
            log = (self.folder / "serve.err").read_text()
            if words in log or time.monotonic() > end:
                return log
            time.sleep(0.05)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """Configured, not served; what the test leaves running is ended."""
    made = Desk(tmp_path)
    yield made
    made.end()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Served for all tests of a file; `served.greeting` is what it said, `served.sample` what the sample became."""
    made = Desk(tmp_path_factory.mktemp("desk"))
    made.greeting = made.serve()
    made.sample = made.json("sample")
    yield made
    made.end()
