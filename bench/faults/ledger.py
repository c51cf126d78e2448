"""What a client did and heard, on disk before it goes on: the other half of what the checker compares."""

import json
import os
from pathlib import Path
from typing import Any


class Ledger:
    """Append-only JSON lines, each of them synced, so that a ledger outlives whatever is done to the machine."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("ab", buffering=0)

    def note(self, what: str, **facts: Any) -> None:
        self._file.write(json.dumps({"what": what, **facts}).encode() + b"\n")
        os.fdatasync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def read(path: Path) -> list[dict[str, Any]]:
    """Whole lines only."""
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]
