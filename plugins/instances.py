"""Configured uses of kinds: the tables `[instance.<id>]` of plugins.toml.

[instance.support-mail]
kind = "email"                    # which connector or target
name = "Support mailbox"          # for people; free to change
silence = 86400                   # seconds without a message before an alarm
host = "mail.acme.test"           # this and all that follows: settings of the kind
"""

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from plugins.errors import Problem
from plugins.fit import RESERVED
from plugins.manager import Plugins
from plugins.settings import load_settings

INSTANCE_ID = re.compile(r"[a-z][a-z0-9-]{0,62}")
"""Fixed for good: stored keys, URLs and history carry it."""


class Instance(Struct, frozen=True, kw_only=True):
    """What every instance has, whatever its kind."""

    kind: Annotated[str, Meta(description="Kind of connector or target, as `trunkline plugins list` shows it.")]
    name: Annotated[str, Meta(description="For people; may change. Default: the id.", max_length=200)] = ""
    enabled: Annotated[bool, Meta(description="False: keep its history, run nothing.")] = True
    silence: Annotated[float, Meta(description="Seconds without any message until an alarm.", gt=0)] | None = None


class Configured(Struct, frozen=True, kw_only=True):
    """One instance with its class and settings, or with the reason why it can't run."""

    id: str
    instance: Instance
    target: bool = False
    """A ticketing tool, not a channel."""
    cls: Any = None
    settings: Any = None
    broken: Problem | None = None
    """Its plugin could not be loaded: `cls` and `settings` are None, all others run."""

    def build(self) -> Any:
        """The connector or target itself: `cls(id, settings)`, without I/O."""
        return self.cls(self.id, self.settings)


def load_instances(
    tables: Mapping[str, Any],
    plugins: Plugins,
    *,
    file: str,
    environ: Mapping[str, str],
    base: Path,
    reveal: bool = True,
) -> tuple[list[Configured], list[Problem]]:
    """All usable instances in the order of the file, and every problem of all of them.

    `tables` is the content of `[instance]`. A disabled instance is checked too, but its secrets are not read.
    """
    configured: list[Configured] = []
    problems: list[Problem] = []
    names: dict[str, str] = {}
    for key, table in tables.items():
        one, wrong = _load_one(key, table, plugins, file=file, environ=environ, base=base, reveal=reveal)
        problems += wrong
        given = table.get("name") if isinstance(table, Mapping) else None
        shown = given.casefold() if given and isinstance(given, str) else key
        if names.setdefault(shown, key) != key:
            what = f"has the name of instance.{names[shown]}, people could not tell them apart"
            problems.append(Problem(file=file, key=f"instance.{key}.name", what=what))
        if one is not None:
            configured.append(one)
    return configured, problems


def _load_one(
    key: str, table: Any, plugins: Plugins, *, file: str, environ: Mapping[str, str], base: Path, reveal: bool
) -> tuple[Configured | None, list[Problem]]:
    path = f"instance.{key}"
    if not isinstance(table, Mapping):
        return None, [Problem(file=file, key=path, what="expected a table", fix=f"[{path}]")]
    problems: list[Problem] = []
    if not INSTANCE_ID.fullmatch(key):
        what = "an id is lower-case letters, digits and -, begins with a letter, 63 at most"
        problems.append(Problem(file=file, key=path, what=what))
    own = {name: value for name, value in table.items() if name in RESERVED}
    instance, wrong = load_settings(own, Instance, file=file, key=path, environ=environ, base=base)
    problems += wrong
    kind = instance.kind if instance else own.get("kind")
    if not isinstance(kind, str):
        return None, problems
    cls = plugins.find(kind)
    if cls is None:
        broken = _why_not(kind, plugins, file, path)
        if broken is None:
            problems.append(_unknown(kind, plugins, file, path))
        if instance is None or broken is None:
            return None, problems
        return Configured(id=key, instance=_shown(instance, key), broken=broken), problems
    rest = {name: value for name, value in table.items() if name not in RESERVED}
    reveal = reveal and instance is not None and instance.enabled
    settings, wrong = load_settings(
        rest, cls.settings_type, file=file, key=path, environ=environ, base=base, reveal=reveal
    )
    problems += wrong
    if problems or instance is None:
        return None, problems
    target = kind in plugins.targets
    return Configured(id=key, instance=_shown(instance, key), target=target, cls=cls, settings=settings), []


def _shown(instance: Instance, key: str) -> Instance:
    return msgspec.structs.replace(instance, name=instance.name or key)


def _why_not(kind: str, plugins: Plugins, file: str, path: str) -> Problem | None:
    """Why a kind may be missing through no fault of this file; None: then it is a mistake in the file."""
    if kind in plugins.broken:
        return plugins.broken[kind]
    if plugins.broken:
        what = f"no plugin offers the kind {kind}, but some could not be loaded: {', '.join(plugins.broken)}"
        return Problem(file=file, key=f"{path}.kind", what=what)
    return None


def _unknown(kind: str, plugins: Plugins, file: str, path: str) -> Problem:
    kinds = [*plugins.connectors, *plugins.targets]
    near = difflib.get_close_matches(kind, kinds, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return Problem(
        file=file, key=f"{path}.kind", what="no plugin offers this kind", fix=f"{hint}kinds: {', '.join(kinds)}"
    )
