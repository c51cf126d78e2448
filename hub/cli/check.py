"""`trunkline check`: is this configuration good, and do its connections work? Without effects."""

import asyncio
import errno
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from context_store import StoreError, reader
from context_store.reader import file_of
from hub.attempt import HubEgress
from hub.cli.access import answers, path_of
from hub.cli.common import DEFAULT, UNWELL, WELL, Common
from hub.cli.output import as_json, err, table
from hub.cli.places import folders, keys, schema
from hub.cli.rights import readable
from hub.clock import SystemClock
from hub.config import Config
from hub.doors import doors, trouble
from hub.egress import Client
from hub.instances import Instance
from hub.mask import Mask, secrets_of
from hub.rules import load_with_rules, read_rules
from plugins import BadConfig, Finding, Refuse

PATIENCE = 30.0
"""Seconds that one instance's own check may take."""


def check(*, offline: bool = False, common: Common = DEFAULT) -> int:
    """Test configuration, connections, rules and store.

    trunkline check
    trunkline check --offline --json

    Parameters
    ----------
    offline
        Leave out what would connect to other machines.
    """
    config = load_with_rules(path_of(common))  # with a mistake in it there is nothing else to test
    with err.status("Checking"):
        found = asyncio.run(_all(config, offline=offline))
    if common.json:
        as_json([{"where": where, "ok": one.ok, "what": one.what, "fix": one.fix} for where, one in found])
    else:
        table(
            ("", "where", "what", "to do"),
            (("ok" if one.ok else "!!", where, one.what, one.fix) for where, one in found),
            wide="what",
        )
    return WELL if all(one.ok for _, one in found) else UNWELL


async def _all(config: Config, *, offline: bool) -> list[tuple[str, Finding]]:
    found = [(config.file.name, Finding(ok=True, what=f"{len(config.instances)} instances"))]
    found += [("rules", one) for one in _rules(config.rules, config)]
    found += [("shadow", one) for one in (_rules(config.shadow, config) if config.shadow else ())]
    places = list(folders(config))
    found += places
    if all(one.ok for _, one in places):
        found += [("store", one) for one in _store(config)]
        found += [("hub.data", one) for one in (readable(config), *keys(config))]
    found += _listening(config)
    async for where, one in _connections(config, offline=offline):
        found.append((where, one))
    return found


def _listening(config: Config) -> Iterator[tuple[str, Finding]]:
    """Can it listen where it says? A hub that runs here holds these ports itself."""
    runs = answers(config.socket)
    for door in doors(config.listen, config.instances):
        bad = trouble(door)
        if bad is None:
            yield door.key, Finding(ok=True, what=f"{door.host}:{door.port} is free")
        elif runs and bad.code == errno.EADDRINUSE:
            yield door.key, Finding(ok=True, what=f"{door.host}:{door.port} is taken: the hub runs here")
        else:
            yield door.key, Finding(ok=False, what=bad.what, fix=bad.fix)
    if urlsplit(config.public_url).scheme == "http" and not _loopback(urlsplit(config.public_url).hostname or ""):
        yield "hub.public_url", Finding(
            ok=False, what="passwords and messages would cross the network unencrypted",
            fix="put a proxy that does TLS before the hub, and set public_url to its https:// address",
        )  # fmt: skip


def _loopback(host: str) -> bool:
    return host == "localhost" or host == "::1" or host.startswith("127.")


def _rules(path: Path, config: Config) -> Sequence[Finding]:
    try:
        rules = read_rules(path, config)
    except BadConfig as error:
        return [Finding(ok=False, what=str(problem)) for problem in error.problems]
    return [Finding(ok=True, what=f"{len(rules.rules)} rules, all examples hold")]


def _store(config: Config) -> Sequence[Finding]:
    file = file_of(config.store)
    if file is not None and not file.exists():
        return [Finding(ok=True, what="not there yet: `trunkline serve` makes it")]
    try:
        with reader.reading(config.store) as conn:
            return [schema(conn)]
    except StoreError as error:
        fix = "correct hub.store, or restore a backup" if file else "is the address right, does the database run?"
        return [Finding(ok=False, what=str(error), fix=fix)]


async def _connections(config: Config, *, offline: bool) -> AsyncIterator[tuple[str, Finding]]:
    clock, mask = SystemClock(), Mask(secrets_of(config))
    client = Client(config.egress, clock)
    egress = HubEgress(client, clock, blobs=_refuse, tokens=_refuse)
    try:
        for configured in config.instances:
            instance = Instance(configured, egress, mask)
            where = f"instance.{instance.id}"
            if instance.broken:
                yield where, Finding(ok=False, what=instance.broken)
            elif not configured.instance.enabled:
                yield where, Finding(ok=True, what="disabled")
            elif offline or not instance.has("checkable"):
                yield where, Finding(ok=True, what="settings are good")
            else:
                for one in await _own(instance, egress):
                    yield where, one
    finally:
        await client.close()


async def _own(instance: Instance, egress: HubEgress) -> Sequence[Finding]:
    """The instance's own check; whatever it raises is a finding."""
    try:
        async with asyncio.timeout(PATIENCE):
            return list(await instance.connector.check(egress))
    except TimeoutError:
        return [Finding(ok=False, what=f"no answer within {PATIENCE:.0f} s", fix="is the address right?")]
    except Exception as error:  # noqa: BLE001  # a plugin's trouble is what a check is there to find
        return [Finding(ok=False, what=f"{type(error).__name__}: {error}")]


async def _refuse(*_: object) -> NoReturn:
    """A renewed credential must be stored before it is used, which only the hub can do."""
    raise Refuse("needs_the_hub", "credentials that rotate are tested by the running hub alone: see the console")
