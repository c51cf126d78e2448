"""The composition root: the only file that names concrete classes.

`build` makes a hub from its configuration and starts nothing; `start` opens the store, then the ways out, the path, and
last the ways in, so that what is accepted can be taken on; `drain` closes the ways in and lets what is recorded end.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from pathlib import Path

import structlog
from aiohttp import web

from context_store import Store, StoreBroken
from context_store.groups import sync_organisations, sync_teams
from context_store.outbox import free_leases
from context_store.pending import tallies_by_instance
from context_store.secrets import Vault
from hub import operations
from hub.clock import SystemClock
from hub.communicate.fallback import Fallback
from hub.config import Config, builtin_modules, listen_address, read_document
from hub.effects import Effects
from hub.egress import Client
from hub.fabric import Fabric
from hub.fabric.local import LocalFabric
from hub.helping import Shelf
from hub.housekeeping import Housekeeping
from hub.indexer import SEALED, Indexer
from hub.instances import Instance
from hub.intake import Intake, intake_topic
from hub.keys import Keys
from hub.mask import Mask, secrets_of
from hub.needs import Needs
from hub.offers import Learner
from hub.outbox import Outbox
from hub.pace import Pace
from hub.parsing import Recipe
from hub.pipeline import Pipeline
from hub.port import Port
from hub.recognise import Directory
from hub.rooms import Rooms
from hub.rules import Rules, texts_of
from hub.sealer import Sealer
from hub.sla import Promises
from hub.supervisor import RUNNER_LEASE, Supervisor
from hub.telemetry import Telemetry
from hub.watchdog import Watchdog
from hub.web.ops import make_ops_app
from hub.web.server import make_app, runner
from hub.workers import Parsers
from plugins import Clock
from plugins.instances import Configured
from plugins.manager import Plugins

log = structlog.get_logger("trunkline.hub")

DRAIN = 20.0
"""Seconds that recorded work has to come to rest before the hub stops; what is left goes on after the next start."""


class Hub(Rooms):
    """Everything of a running hub, by its name."""

    plugins: Plugins
    vault: Vault
    client: Client
    directory: Directory
    pipeline: Pipeline
    isolated: Pipeline
    outbox: Outbox
    sealer: Sealer
    indexer: Indexer
    promises: Promises
    housekeeping: Housekeeping
    supervisor: Supervisor
    watchdog: Watchdog

    def __init__(self, config: Config, clock: Clock) -> None:
        """Use `build`."""
        self.config = config
        self.clock = clock
        self.plugins = config.plugins
        self.mask = Mask(secrets_of(config))
        self.telemetry = Telemetry([configured.id for configured in config.instances])
        self.sockets = []
        self.failed = asyncio.Event()
        """Set when the store failed for good: the process must stop (a second fsync may lie)."""
        self.port = 0
        """The web server's, once it listens."""
        self._tasks: list[asyncio.Task[None]] = []
        self._asides: list[asyncio.Task[None]] = []
        """What nothing waits for: cancelled at the end."""
        self._runners: list[web.AppRunner] = []

    # ---- life ------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Store, keys, rules and rooms; nothing runs and nothing listens. For commands that work without `serve`."""
        config = self.config
        config.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        config.data.chmod(0o700)  # `init` may have made it with the usual mode: mails and hashes lie here
        self.keys = Keys.load(config.data / "signing.key")
        self.store = await Store.open(config.store, config.blobs, self.clock)
        try:
            await self._furnish()
        except BaseException:
            await self.store.close()
            raise

    async def _furnish(self) -> None:
        config, store = self.config, self.store
        self.blobs = store.blobs
        self.vault = Vault(config.data / "vault.key")
        self.fabric = _fabric(config, store.installation, self.clock)
        self.client = Client(config.egress, self.clock)
        self.ports, self.instances = {}, {}
        for configured in config.instances:
            self._add(configured)
        self.intake = Intake(
            store, self.blobs, self.fabric, self.instances, lambda i: self.ports[i.id], config.limits,
            self.telemetry, self.clock,
        )  # fmt: skip
        for port in self.ports.values():
            port.intake = self.intake
        connectors = {i.id: i.connector for i in self.instances.values() if hasattr(i.connector, "parse")}
        recipe = _recipe(config, connectors.values())
        self.parsers = Parsers(connectors, recipe, config.parse, config.triage.languages, self.mask)
        self.rules = Rules(store, config, self.clock, self.fabric)
        await self.rules.start()
        self.shelf = Shelf(texts_of(config))
        self.directory = await self._directory()
        if store.dialect == "sqlite":
            await store.write(free_leases, store.now())
        tallies = await store.read(tallies_by_instance)
        self.intake.pending = sum(states.get("pending", 0) for states in tallies.values())
        self._compose()

    def _add(self, configured: Configured) -> None:
        port = Port(configured.id, self.store, self.blobs, self.vault, self.client, self.fabric, self.clock)
        instance = Instance(configured, port, self.mask)
        port.evidence = instance
        self.ports[instance.id], self.instances[instance.id] = port, instance

    async def _directory(self) -> Directory:
        wanted = {slug: (one.name, one.domains) for slug, one in self.config.organisations.items()}
        ids = await self.store.write(sync_organisations, wanted, self.store.ids.next)
        await self.store.write(sync_teams, {s: team.name for s, team in self.config.teams.items()}, self.store.ids.next)
        return Directory({s: (ids[s], one.domains, one.issuers) for s, one in self.config.organisations.items()})

    def _compose(self) -> None:
        self.pipeline = Pipeline(
            self.store, self.blobs, self.fabric, self.intake, self.parsers, self.instances,
            lambda: self.rules.judging, self.directory, self.keys, self.config, self.telemetry,
            self.mask, self.clock,
        )  # fmt: skip
        self.isolated = replace(self.pipeline, isolated=True)
        effects = Effects(self.client, self.instances, Pace(self.fabric), self.clock, self.config.delivery.lease)
        needs = Needs(self.store, self.blobs, self.intake)
        self.outbox = Outbox(
            self.store, self.fabric, self.instances, effects, needs, self.keys, self.config.delivery,
            self.telemetry, self.mask, self.clock,
        )  # fmt: skip
        heads = self.config.data / "audit-heads.jsonl"
        self.sealer = Sealer(self.store, self.fabric, self.plugins, heads, self.clock)
        self.indexer = Indexer(self.store, self.fabric, self.clock)
        self.promises = Promises(self.store, self.fabric, lambda: self.rules.current, self.clock)
        fallback = Fallback(self.store, self.fabric, self.instances, self.directory, self.keys, self.config)
        self.housekeeping = Housekeeping(self.store, self.blobs, fallback, self.clock)
        self.supervisor = Supervisor(
            self.store,
            self.instances,
            self.ports,
            self.fabric,
            self.clock,
            min(RUNNER_LEASE, self.config.delivery.lease),
        )
        self.watchdog = Watchdog(self.instances, self.telemetry)

    async def start(self) -> None:
        """Open, then run everything and listen."""
        await self.open()
        if self.config.traces:
            self._trace()
        await self.fabric.start()
        self.intake.start()
        self.parsers.start()
        parts = {
            "outbox": self.outbox.run, "pipeline": self.pipeline.run, "isolated": self.isolated.run,
            "sealer": self.sealer.run, "indexer": self.indexer.run, "rules": self.rules.run,
            "sla": self.promises.run,
        }  # fmt: skip
        for name, run in parts.items():
            self._tasks.append(asyncio.create_task(self._keep(name, run), name=name))
        if self.config.triage.classifier:
            learner = Learner(self.store, self.rules.suggest, self.clock)
            self._asides.append(asyncio.create_task(self._keep("offers", learner.run), name="offers"))
        house = self._keep("housekeeping", self.housekeeping.run)
        self._asides.append(asyncio.create_task(house, name="housekeeping"))
        await self._listen()
        self.supervisor.start()
        self.watchdog.start()

    def _trace(self) -> None:
        """OpenTelemetry is loaded only where it is asked for, and may not be installed."""
        try:
            from hub.traces import Traces  # noqa: PLC0415
        except ModuleNotFoundError as error:
            log.warning("traces.off", why=str(error), fix="pip install 'trunkline[otel]'")
            return
        self.telemetry.traces = Traces(self.store)

    async def _keep(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """A part that fails by a bug of ours is begun again; one that finds the store broken ends the process."""
        while True:
            try:
                await run()
            except StoreBroken:
                log.critical("store.broken", part=name)
                self.failed.set()
            except Exception:
                log.exception("hub.part_failed", part=name)
                if self.store.broken is None:
                    await self.clock.sleep(1)
                    continue
                self.failed.set()
            return

    async def _listen(self) -> None:
        web_runner = runner(make_app(self, operations))
        self._runners.append(web_runner)
        await web_runner.setup()
        host, port = listen_address(self.config.listen)
        await web.TCPSite(web_runner, host, port).start()
        address = web_runner.addresses[0]
        self.port = int(address[1])
        self.sockets.append(f"http://{host}:{self.port}")
        ops_runner = web.AppRunner(make_ops_app(self, operations), access_log=None)
        self._runners.append(ops_runner)
        await ops_runner.setup()
        await _private_site(ops_runner, self.config.socket)

    async def reload(self) -> bool:
        """Take the rules as they are now; False if they were refused. Instances change with a restart."""
        return await self.rules.reload()

    async def drain(self) -> None:
        """Take nothing new; let what is recorded come to rest, as far as time allows."""
        self.intake.closing = True
        await self.supervisor.stop()
        for web_runner in self._runners:
            await web_runner.cleanup()
        await self.intake.stop()
        self.pipeline.stopping = self.isolated.stopping = self.outbox.stopping = True
        self.sealer.stopping = self.indexer.stopping = self.rules.stopping = True
        self.promises.stopping = True
        for topic in (intake_topic(isolated=False), intake_topic(isolated=True), "outbox", "events", SEALED):
            self.fabric.wake(topic)
        if self._tasks:
            _, left = await asyncio.wait(self._tasks, timeout=DRAIN)
            for task in left:
                task.cancel()

    async def stop(self) -> None:
        """Let go of everything; what is on disk goes on at the next start."""
        tasks = [*self._tasks, *self._asides]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.close()
        self.config.socket.unlink(missing_ok=True)

    async def close(self) -> None:
        """What `open` opened."""
        await self.watchdog.stop()
        await self.parsers.stop()
        if self.telemetry.traces is not None:
            await self.telemetry.traces.close()
        await self.client.close()
        await self.fabric.close()
        await self.store.close()


def build(config: Config, clock: Clock | None = None) -> Hub:
    """A hub that has not started."""
    return Hub(config, clock or SystemClock())


def _fabric(config: Config, installation: str, clock: Clock) -> Fabric:
    """Redis' client is loaded only where there is a Redis."""
    if not config.fabric:
        return LocalFabric(clock)
    from hub.fabric.redis import RedisFabric  # noqa: PLC0415

    password = config.fabric_password.reveal() if config.fabric_password else ""
    return RedisFabric(config.fabric, password, installation, clock)


async def _private_site(web_runner: web.AppRunner, path: Path) -> None:
    """A unix socket that only its owner may open, from its first moment on."""
    private = path.with_name(f".{path.name}")
    await asyncio.to_thread(private.unlink, missing_ok=True)
    await web.UnixSite(web_runner, str(private)).start()
    await asyncio.to_thread(private.chmod, 0o600)
    await asyncio.to_thread(private.rename, path)


def _recipe(config: Config, connectors: Iterable[object]) -> Recipe:
    """How the parse workers build the same connectors; they load no other of our plugins: it takes long."""
    used = {".".join(type(connector).__module__.split(".")[:3]) for connector in connectors}
    document = read_document(config.file)
    named = document.get("plugins", {})
    base = config.file.parent
    return Recipe(
        builtins=[name for name in builtin_modules() if name in used],
        entry_points=bool(named.get("entry_points", True)),
        modules=list(named.get("modules", ())),
        folders=[str(base / folder) for folder in named.get("folders", ())],
        tables=document.get("instance", {}),
        file=config.file.name,
        base=str(base),
        memory_mb=config.parse.memory_mb,
    )
