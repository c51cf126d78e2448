"""A desk that is served by a real `trunkline serve`, and the command line as a process beside it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers import free_port

ROOT = Path(__file__).resolve().parents[2]
ENVIRON = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": "/nonexistent", "LANG": "C.UTF-8", "TZ": "UTC"}


class Desk:
    """A folder with a configuration, and commands that run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ = dict(ENVIRON)
        self.process: subprocess.Popen[str] | None = None
        self.greeting = ""
        self.sample: Any = None
        assert self.run("init", ".").returncode == 0
        file = folder / "plugins.toml"
        text = file.read_text().replace("127.0.0.1:8080", f"127.0.0.1:{free_port()}")
        file.write_text(text.replace("port = 2525", f"port = {free_port()}"))

    def run(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "hub", *words]
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environ,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def json(self, *words: str) -> Any:
        done = self.run(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def serve(self) -> str:
        """What it prints until it listens."""
        with (self.folder / "serve.err").open("w") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "hub", "serve"],
                cwd=self.folder, env=self.environ, stdout=subprocess.PIPE, stderr=errors, text=True,
            )  # fmt: skip
        assert self.process.stdout
        said = ""
        for line in self.process.stdout:
            said += line
            if "/console/setup/" in line or self.process.poll() is not None:
                break
        assert "/console/setup/" in said, (self.folder / "serve.err").read_text()
        return said

    def stop(self) -> int:
        assert self.process
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(60)
        finally:
            self.process.kill()
            assert self.process.stdout
            self.process.stdout.close()

    def end(self) -> None:
        """For a test that failed before it stopped its hub."""
        if self.process and self.process.poll() is None:
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
