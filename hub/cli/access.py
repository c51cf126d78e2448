"""How a command gets at the store and the hub: reads go beside a running hub, changes go through it."""

import asyncio
import getpass
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from sqlalchemy import Connection

from context_store import reader
from hub.cli.common import Absent, CommandError, Common, Unreachable, private
from hub.config import Config, Place, config_path, load_config, load_place
from plugins import TrunklineError

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


def answers(path: Path) -> bool:
    """Does a hub run here? Its socket is left behind by one that was killed."""
    try:
        with socket.socket(socket.AF_UNIX) as own:
            own.settimeout(1)
            own.connect(str(path))
    except OSError:
        return False
    return True


@contextmanager
def reading(common: Common) -> Iterator[Connection]:
    """The store, read-only. Raises BadConfig or StoreError."""
    with reader.reading(place(common).store) as conn:
        yield conn


def perform(common: Common, name: str, **given: Any) -> Any:
    """An operation of `hub.operations`, by the running hub if it owns the store here, else by this process.

    Raises Absent, CommandError or Unreachable, in words for the person who typed.
    """
    actor = f"cli:{getpass.getuser()}"
    where = place(common)
    path = where.data / "trunkline.sock"
    if path.is_socket():
        try:
            return asyncio.run(_ask(path, name, {"actor": actor, **given}))
        except aiohttp.ClientConnectorError:
            pass  # left behind by a process that was killed
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unreachable(
                f"the hub did not answer ({type(error).__name__} {error}): look whether it was done"
            ) from error
    with private():
        return asyncio.run(_run_here(load(common), name, actor, given))


async def _ask(path: Path, name: str, given: dict[str, Any]) -> Any:
    timeout = aiohttp.ClientTimeout(total=SOCKET_SECONDS)
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path)), timeout=timeout) as session,
        session.post(f"http://hub/ops/{name}", data=msgspec.json.encode(given)) as response,
    ):
        answer = msgspec.json.decode(await response.read(), type=dict[str, Any])
    problem = answer.get("problem")
    if problem is None:
        return answer.get("result")
    if problem["kind"] == "missing":
        raise Absent(problem["what"])
    raise CommandError(problem["what"])


async def _run_here(config: Config, name: str, actor: str, given: dict[str, Any]) -> Any:
    """With a store of our own: nobody serves it here, or it is PostgreSQL, where many may write."""
    from hub import app, operations  # noqa: PLC0415  # whoever only reads must not load the whole hub

    hub = app.build(config)
    await hub.open()
    try:
        result = await getattr(operations, name)(hub, actor, **given)
    except LookupError as error:
        raise Absent(str(error.args[0] if error.args else error)) from error
    except (ValueError, TrunklineError) as error:
        raise CommandError(str(error)) from error
    finally:
        await hub.close()
    return msgspec.to_builtins(result, enc_hook=str)
