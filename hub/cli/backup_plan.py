"""Which file of a desk goes where in its backup, and which settings must say so there. Looks, copies nothing.

A backup is a folder to serve from. What lies below the configuration's folder keeps its place, data from elsewhere goes
to `var`, and the copied configuration names no place of the original's data: a restored hub would work on it.
"""

import os
import tomllib
from collections.abc import Collection, Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import tomlkit
from msgspec import Struct
from sqlalchemy import make_url
from tomlkit.exceptions import TOMLKitError

from hub.cli.common import CommandError
from hub.config import HubSettings, Place, read_document

Keys = tuple[str | int, ...]
"""Where a value stands: tables by name, entries of lists by number."""

SKIPPED = (".sock", ".owner", "-wal", "-shm", "-journal")
"""Ends of names: they belong to a running process or to the database, which is copied by itself."""
DUMP = "trunkline.dump"
SQLITE = "sqlite:///"
_HUB = HubSettings()
_PATHS: Mapping[Keys, str] = {
    ("hub", "data"): _HUB.data,
    ("hub", "blobs"): _HUB.blobs,
    ("hub", "rules"): _HUB.rules,
    ("hub", "triage", "shadow"): _HUB.triage.shadow,
    ("hub", "triage", "templates"): _HUB.triage.templates,
    ("hub", "triage", "articles"): _HUB.triage.articles,
}
"""Settings that are paths → what holds where they are not written."""


class _Named(Struct, frozen=True):
    """A path that the configuration names."""

    prefix: str
    written: str
    path: Path


class Plan:
    """For a backup into `folder`. Places are paths in the backup."""

    def __init__(self, config: Path, where: Place, folder: Path) -> None:
        """Raises BadConfig."""
        self.database = _database(where)
        """None on PostgreSQL."""
        self._config, self._where, self._folder = config, where, folder
        self._named = dict(_named(read_document(config), config.parent, where, self.database))
        self._places = list(self._laid_out())
        self.target = (self.place(self.database) if self.database is not None else None) or Path(DUMP)
        """Where the database goes: SQLite's file, or pg_dump's."""
        self.settings = dict(self._changed())
        """What the copied configuration must say otherwise."""
        self.outside = {dotted(keys): one.path for keys, one in self._named.items() if self.place(one.path) is None}
        """Setting → what it names and the backup leaves out."""

    def _laid_out(self) -> Iterator[tuple[Path, Path]]:
        """Folders and files of the original with their places; the first one that a path lies in counts."""
        base, where = self._config.parent, self._where
        yield base, Path()
        inside = [_within(one.path, base) for one in self._named.values()]
        # What comes from elsewhere gets a name of its own at the top, so that two files never share a place.
        tops = {place.parts[0] for place in inside if place is not None and place.parts} | {self._config.name, DUMP}
        found = _within(where.data, base)
        home = Path(_free("var", tops)) if found is None else found
        yield where.data, home
        yield where.blobs, home / "blobs"
        yield where.rules, Path(_free(where.rules.name, tops | set(home.parts[:1])))
        if self.database is not None:
            yield self.database, home / "trunkline.db"

    def _changed(self) -> Iterator[tuple[Keys, str]]:
        """What is written so that it would lead elsewhere from the backup's folder."""
        for keys, one in self._named.items():
            place = self.place(one.path) or one.path
            if os.path.normpath(one.written) != str(place):
                yield keys, f"{one.prefix}{place}"

    def place(self, path: Path) -> Path | None:
        """None for what lies outside."""
        for root, place in self._places:
            if (found := _within(path, root)) is not None:
                return _joined(place, found)
        return None

    def files(self) -> dict[Path, Path]:
        """Place → original, without database and configuration. Raises OSError.

        Ask once the database is copied: each of its rows then finds its file.
        """
        taken = {Path(self._config.name), self.target}
        found: dict[Path, Path] = {}
        for root in self._roots():
            place = self.place(root)
            if place is None:
                continue
            for file in _files(root, self._config.name, self._folder):
                target = _joined(place, file.relative_to(root))
                # Whose place is taken is a large file with the same hash, or a store or rules that no setting names.
                if target not in taken and not _same(file, self.database):
                    found.setdefault(target, file)
        return found

    def _roots(self) -> Iterator[Path]:
        """Data last: what is named goes before what only lies there."""
        where = self._where
        for root in dict.fromkeys([*(one.path for one in self._named.values()), where.rules, where.blobs]):
            if root.is_file() or _within(root, where.data) is None:
                yield root
        yield where.data


def rewritten(source: bytes, settings: Mapping[Keys, str]) -> bytes:
    """The configuration with these settings; comments and layout stay. Raises CommandError."""
    if not settings:
        return source
    text = source.decode("utf-8-sig")
    wanted = deepcopy(tomllib.loads(text))
    try:
        document = tomlkit.parse(text)
        for keys, value in settings.items():
            _set(document, keys, value)
            _set(wanted, keys, value)
        made = tomlkit.dumps(document)
        right = tomllib.loads(made) == wanted
    except (TOMLKitError, tomllib.TOMLDecodeError):
        made, right = "", False
    if not right:  # never a copy that serves the original's data
        names = ", ".join(dotted(keys) for keys in settings)
        raise CommandError(f"can't write {names} into the copied configuration: make these relative to its folder")
    return made.encode()


def dotted(keys: Keys) -> str:
    """As people write it: `instance.hook.secrets[0]`."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).removeprefix(".")


def _database(where: Place) -> Path | None:
    url = make_url(where.store)
    return Path(os.path.abspath(str(url.database))) if url.drivername == "sqlite" else None


def _named(
    document: Mapping[str, Any], base: Path, where: Place, database: Path | None
) -> Iterator[tuple[Keys, _Named]]:
    """Every path that stands in the configuration, or holds by default."""
    for keys, value in (dict(_PATHS) | dict(_strings(document))).items():
        prefix = _prefix(keys, value)
        if prefix is not None and (written := value.removeprefix(prefix)):
            yield keys, _Named(prefix, written, Path(os.path.abspath(base / written)))
    store = str(document.get("hub", {}).get("store", ""))
    # By the environment it may be another than the file says.
    if database is not None and (store or database != Path(os.path.abspath(where.data / "trunkline.db"))):
        yield ("hub", "store"), _Named(SQLITE, store.removeprefix(SQLITE), database)


def _prefix(keys: Keys, value: str) -> str | None:
    """What stands before the path; None for what is no path."""
    if value.startswith("file:"):
        return "file:"
    # Certificates of mail servers are paths by this name; connectors are not loaded here, as one may be broken.
    own = keys[0] == "instance" and str(keys[-1]).endswith("_file")
    return "" if own or keys in _PATHS or keys[:2] == ("plugins", "folders") else None


def _strings(value: Any, keys: Keys = ()) -> Iterator[tuple[Keys, str]]:
    if isinstance(value, str):
        yield keys, value
    elif isinstance(value, dict | list):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _strings(each, (*keys, key))


def _files(root: Path, name: str, folder: Path) -> Iterator[Path]:
    """A file itself, or all in a folder, behind links too; `name` is the configuration's."""
    if root.is_file():
        yield root
        return
    for place, folders, names in os.walk(root, followlinks=True, onerror=_unless_gone):
        here = Path(place)
        if any(_same(here, up) for up in here.parents if up.is_relative_to(root)):
            folders.clear()  # a link back: it would lead on and on
            continue
        # Another desk, or an older backup: with it each backup would hold all before it.
        folders[:] = [
            each
            for each in sorted(folders)
            if each != "__pycache__" and not (here / each / name).exists() and not _same(here / each, folder)
        ]
        for file in (here / each for each in sorted(names) if not each.endswith(SKIPPED)):
            if file.is_file():
                yield file


def _unless_gone(error: OSError) -> None:
    """`os.walk` leaves out in silence what it can't read."""
    if not isinstance(error, FileNotFoundError):
        raise error


def _within(path: Path, folder: Path) -> Path | None:
    """The rest of the path, as written, else with all links followed; None if it lies elsewhere."""
    for one, other in ((os.path.abspath(path), os.path.abspath(folder)), (path.resolve(), folder.resolve())):
        if Path(one).is_relative_to(other):
            return Path(one).relative_to(other)
    return None


def _same(file: Path, other: Path | None) -> bool:
    try:
        return other is not None and file.samefile(other)
    except FileNotFoundError:  # swept meanwhile
        return False


def _joined(place: Path, rest: Path) -> Path:
    """Without the dot that a file itself has for its rest."""
    return place / rest if rest.parts else place


def _free(name: str, taken: Collection[str]) -> str:
    number = 0
    found = name
    while found in taken:
        number += 1
        found = f"{number}-{name}"
    return found


def _set(document: Any, keys: Keys, value: str) -> None:
    for key in keys[:-1]:
        if isinstance(key, str) and key not in document:
            document[key] = {}
        document = document[key]
    document[keys[-1]] = value
