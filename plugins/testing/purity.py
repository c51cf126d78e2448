"""Fail on input and output: `verify`, `parse`, `plan` and constructors are pure, and this holds them to it."""

import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import Any

_GUARD = threading.local()
_IO = (
    "open",
    "socket.",
    "subprocess.",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.listdir",
    "os.scandir",
    "os.mkdir",
)


def _audit(event: str, _: Any) -> None:
    if getattr(_GUARD, "on", False) and event.startswith(_IO):
        raise AssertionError(f"it does I/O: {event}")


sys.addaudithook(_audit)  # once for the process; does nothing but inside no_io()


@contextlib.contextmanager
def no_io() -> Iterator[None]:
    """Fail on files, sockets and processes. Do the same once before it, so that imports are done."""
    _GUARD.on = True
    try:
        yield
    finally:
        _GUARD.on = False
