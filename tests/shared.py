"""The collected corpora beside the repository: real payloads, specifications, recordings (never copied here)."""

import json
from pathlib import Path
from typing import Any

from bench.corpus import manifest


def shared_folder() -> Path | None:
    """Where they lie; None where they don't."""
    return manifest.folder()


def shared(path: str, absent: Any = None) -> Any:
    """A JSON file of them; `absent` where there is none."""
    folder = shared_folder()
    file = folder / path if folder else None
    return json.loads(file.read_text()) if file is not None and file.is_file() else absent
