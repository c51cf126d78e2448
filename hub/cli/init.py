"""`trunkline init`: complete a folder, so that `serve` can start in it. What is there is never touched."""

import base64
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from hub.cli.common import DEFAULT, WELL, CommandError, Common, Usage, private
from hub.cli.output import as_json, say, table
from hub.config import DEFAULT_FILE, load_place, read_document

TEMPLATES = Path(__file__).parent / "templates"
MADE = "made"
"""Folder in `data` whose files are ours to make: secrets that two programs share and nobody has to choose."""


def init(
    folder: Annotated[Path, Parameter(help="Made if it is missing.")] = Path(),
    *,
    common: Common = DEFAULT,
) -> int:
    """Write a commented configuration and what it needs. What is there is never touched.

    trunkline init desk && cd desk && trunkline serve
    """
    if common.config is not None:
        raise Usage(f"init writes {DEFAULT_FILE} into a folder: name the folder")
    rows = complete(folder)
    if common.json:
        as_json([{"file": name, "did": did} for name, did in rows])
    else:
        table(("file", ""), rows)
        say("Next: trunkline serve")
    return WELL


def complete(folder: Path) -> list[tuple[str, str]]:
    """(file, what was done) of all that a configuration needs. Raises CommandError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        rows = [
            (str(folder / name), _write(folder / name, (TEMPLATES / name).read_bytes(), 0o644))
            for name in (DEFAULT_FILE, "rules.toml")
        ]
        file = folder / DEFAULT_FILE
        with private():
            load_place(file).data.mkdir(parents=True, exist_ok=True)
            for secret in _missing(file):
                secret.parent.mkdir(parents=True, exist_ok=True)
                rows.append((str(secret), _write(secret, _random(), 0o600)))
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}") from error
    return rows


def _write(file: Path, content: bytes, mode: int) -> str:
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        return "was there"
    with os.fdopen(handle, "wb") as stream:
        stream.write(content)
    return "written"


def _random() -> bytes:
    """In the form that Standard Webhooks gives its secrets; as random as any other."""
    return b"whsec_" + base64.b64encode(secrets.token_bytes(32)) + b"\n"


def _missing(file: Path) -> Iterator[Path]:
    """Files of `data`/made that settings refer to and that are not there."""
    made = (load_place(file).data / MADE).resolve()
    for reference in _references(read_document(file).get("instance", {})):
        path = (file.resolve().parent / reference).resolve()
        if path.is_relative_to(made) and not path.exists():
            yield path


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _references(each)
    elif isinstance(value, str) and value.startswith("file:"):
        yield value.removeprefix("file:")
