"""Named points at which a test may kill the process (R9): no-ops unless armed by `TRUNKLINE_CRASH=name[:nth[:STOP]]`.

They live on this floor because the journal and the blob store have them too; `hub/cli` arms them from the
configuration's environment. A test greps the names and fails if one of them is never hit.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

_armed: dict[str, int] = {}
_signals: dict[str, signal.Signals] = {}
_off: set[str] = set()


def arm(spec: str, off: str = "") -> None:
    """`name` or `name:nth` kills at that visit, `name:nth:STOP` makes the process stand still there.

    `off` names protections that a positive control switches off.
    """
    if spec:
        name, nth, how = (*spec.split(":"), "", "")[:3]
        _armed[name] = int(nth or 1)
        _signals[name] = signal.Signals[f"SIG{how or 'KILL'}"]
    _off.update(part for part in off.split(",") if part)


def crashpoint(name: str) -> None:
    """SIGKILL to ourselves at the armed visit: nothing is flushed, as without power; or SIGSTOP, until SIGCONT."""
    if not _armed or name not in _armed:
        return
    _armed[name] -= 1
    if _armed[name] == 0:
        os.kill(os.getpid(), _signals[name])


@contextmanager
def without(name: str) -> Iterator[None]:
    """A positive control in one process: the protection is left out meanwhile."""
    _off.add(name)
    try:
        yield
    finally:
        _off.discard(name)


def protected(name: str) -> bool:
    """False only in a positive control, which must see the checker go red without this protection."""
    return name not in _off
