"""Named points at which a test may kill the process (R9): no-ops unless armed by `TRUNKLINE_CRASH=name[:nth]`.

They live on this floor because the journal and the blob store have them too; `hub/cli` arms them from the
configuration's environment. A test greps the names and fails if one of them is never hit.
"""

import os
import signal

_armed: dict[str, int] = {}
_off: set[str] = set()


def arm(spec: str, off: str = "") -> None:
    """`name` or `name:nth` kills at that visit; `off` names protections that a positive control switches off."""
    if spec:
        name, _, nth = spec.partition(":")
        _armed[name] = int(nth or 1)
    _off.update(part for part in off.split(",") if part)


def crashpoint(name: str) -> None:
    """SIGKILL to ourselves at the armed visit: nothing is flushed, as when the power goes."""
    if not _armed or name not in _armed:
        return
    _armed[name] -= 1
    if _armed[name] == 0:
        os.kill(os.getpid(), signal.SIGKILL)


def protected(name: str) -> bool:
    """False only in a positive control, which must see the checker go red without this protection."""
    return name not in _off
