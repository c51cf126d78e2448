"""Processes of our code without the second that loading it takes: a fork server has done that, once for all tests.

What it forks runs from the command's first line on: nothing is open, nothing started, and no module of `hub.cli` is
loaded, as these look at their terminal. Whoever must see a new interpreter starts one.
"""

import atexit
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from subprocess import CompletedProcess

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.preload"])


def start(
    words: Sequence[str], folder: Path, environ: Mapping[str, str], out: Path, errors: Path, given: Path | None = None
) -> ForkServerProcess:
    """`trunkline …` in a folder; it reads one file, and what it says is added to two, or one."""
    files = tuple(str(file) for file in (given or os.devnull, out, errors))
    process = _context.Process(target=_command, args=(list(words), str(folder), dict(environ), files))
    process.start()
    return process


def run(words: Sequence[str], folder: Path, environ: Mapping[str, str], given: str = "") -> CompletedProcess[str]:
    """`trunkline …` to its end. Raises TimeoutError."""
    with tempfile.TemporaryDirectory(prefix="tl-run-") as name:
        stdin, out, errors = (Path(name, file) for file in ("in", "out", "errors"))
        stdin.write_text(given)
        process = start(words, folder, environ, out, errors, stdin)
        process.join(120)
        if process.exitcode is None:
            process.kill()
            raise TimeoutError(f"{words} goes on and on: {out.read_text()}{errors.read_text()}")
        return CompletedProcess(list(words), process.exitcode, out.read_text(), errors.read_text())


def _command(words: list[str], folder: str, environ: dict[str, str], files: tuple[str, str, str]) -> None:
    for number, file in enumerate(files):
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND if number else os.O_RDONLY, 0o644)
        os.dup2(handle, number)
        os.close(handle)
    sys.stdin, sys.stdout, sys.stderr = (
        os.fdopen(number, mode, encoding="utf-8", closefd=False) for number, mode in enumerate("rww")
    )
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    time.tzset()
    from hub.cli import main

    try:
        sys.exit(main(words))
    finally:
        atexit._run_exitfuncs()  # which multiprocessing leaves out, and an interpreter does not
