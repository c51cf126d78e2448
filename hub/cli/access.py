"""How a command gets at the store and the hub: reads go beside a running hub, changes go through it."""

import asyncio
import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from sqlalchemy import Connection

from context_store import reader
from hub.cli.common import Absent, Common, Unreachable
from hub.config import Config, Place, config_path, load_config, load_place

SOCKET_SECONDS = 60.0


def path_of(common: Common) -> Path:
    """The configuration's file."""
    return config_path(common.config)


def load(common: Common, *, reveal: bool = True) -> Config:
    """The whole configuration. Raises BadConfig."""
    return load_config(path_of(common), reveal=reveal)


def place(common: Common) -> Place:
    """Where data and store are; loads no plugin and no secret. Raises BadConfig."""
    return load_place(path_of(common))


@contextmanager
def reading(common: Common) -> Iterator[Connection]:
    """The store, read-only. Raises BadConfig or StoreError."""
    with reader.reading(place(common).store) as conn:
        yield conn
