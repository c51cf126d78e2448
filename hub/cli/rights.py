"""Who may read what lies here: a finding for `check` and `doctor`."""

import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from context_store.reader import file_of
from hub.config import Config, read_document
from plugins import Finding

SHOWN = 5


def readable(config: Config) -> Finding:
    """What others than the owner can read of data and passwords; files of secrets are held to it when they are read."""
    found = [str(path) for path in _exposed(config)]
    if not found:
        return Finding(ok=True, what="data can be read by its owner alone")
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    names = " ".join(found[:1] if config.data.is_relative_to(found[0]) else found)
    return Finding(ok=False, what=f"others can read {', '.join(found[:SHOWN])}{more}", fix=f"`chmod -R go= {names}`")


def _exposed(config: Config) -> Iterator[Path]:
    """A closed folder covers all that lies in it."""
    if config.data.exists() and _mode(config.data) & 0o077:
        yield config.data
        yield from (path for path in sorted(config.data.rglob("*")) if path.is_file() and _mode(path) & 0o044)
    database = file_of(config.store)
    if database and database.exists() and not database.is_relative_to(config.data) and _mode(database) & 0o044:
        yield database
    if _holds_password(config) and _mode(config.file) & stat.S_IROTH:
        yield config.file


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _holds_password(config: Config) -> bool:
    """That of the database, which TRUNKLINE_STORE keeps out of the file."""
    return bool(urlsplit(str(read_document(config.file).get("hub", {}).get("store", ""))).password)
