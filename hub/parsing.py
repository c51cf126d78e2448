"""What runs in a worker process: the connectors' `parse`, under limits.

Imports nothing of the hub's own but this, so that a worker holds no store, no web server and no log of its own (20 MB).
"""

import os
import resource
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from hub.bounds import bounded
from plugins import Envelope, Item, Skipped
from plugins.instances import load_instances
from plugins.manager import discover

MAX_ITEMS = 10_000
NICENESS = 5
"""Parsing yields to acknowledging where both want the processor."""
_encoder = msgspec.msgpack.Encoder()


class Recipe(Struct, frozen=True):
    """How a worker process builds the same connectors: names and tables only, no secrets."""

    builtins: Sequence[str]
    entry_points: bool
    modules: Sequence[str]
    folders: Sequence[str]
    tables: Mapping[str, Any]
    file: str
    base: str
    memory_mb: int


def parse_one(connector: Any, envelope: Envelope) -> bytes:
    """Items within bounds, encoded; raises what the connector raised."""
    items = list[Item]()
    for item in connector.parse(envelope):
        items.append(bounded(item))
        if len(items) > MAX_ITEMS:
            items = [Skipped(reason=f"more than {MAX_ITEMS} items in one envelope", park=True)]
            break
    return _encoder.encode(items)


_built: dict[str, Any] = {}


def start_worker(recipe: Recipe) -> None:
    """Limit the memory, then build the connectors without their secrets."""
    plugins = discover(
        recipe.builtins,
        entry_points=recipe.entry_points,
        modules=recipe.modules,
        folders=[Path(folder) for folder in recipe.folders],
    )
    configured, _ = load_instances(
        recipe.tables, plugins, file=recipe.file, environ={}, base=Path(recipe.base), reveal=False
    )
    _built.update({one.id: one.build() for one in configured if one.cls is not None and hasattr(one.cls, "parse")})
    os.nice(NICENESS)
    limit = recipe.memory_mb << 20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def parse_there(instance: str, envelope: Envelope) -> bytes:
    """What the pool calls."""
    return parse_one(_built[instance], envelope)
