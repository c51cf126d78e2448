"""`trunkline serve`: run the hub until it is told to stop."""

import asyncio
import ctypes
import gc
import resource
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress

import structlog
import uvloop

from context_store import StoreError, alarms
from context_store.crashpoints import arm, crashpoint
from context_store.times import to_millis
from hub import __version__
from hub.app import Hub, build
from hub.cli.access import path_of
from hub.cli.common import AWAY, DEFAULT, WELL, Common, Unreachable, private
from hub.cli.log import configure
from hub.cli.output import complain, say, table, visible
from hub.cli.places import folders
from hub.config import Config, fault_switches, load_config
from hub.doors import doors, trouble
from hub.instances import Instance
from hub.rules import load_with_rules
from hub.web.auth import administrator_link
from plugins import BadConfig

log = structlog.get_logger("trunkline.serve")
ALARM = "configuration"
M_ARENA_MAX = -8
"""malloc.h"""


def serve(*, common: Common = DEFAULT) -> int:
    """Run the hub.

    SIGTERM or Ctrl-C: finish what is begun, then end; a second time: end now.
    SIGHUP: take the rules as they are now, and test the configuration.

    trunkline serve
    trunkline serve --config /etc/trunkline/plugins.toml --json     log as JSON
    """
    config = load_with_rules(path_of(common))
    configure(config, as_json=common.json or not sys.stderr.isatty())
    crash, unprotected = fault_switches()
    if crash or unprotected:
        log.critical("serve.fault_test", crash=crash, unprotected=unprotected)
    arm(crash, unprotected)
    _more_files()
    one_heap()
    try:
        with private():
            return uvloop.run(_serve(build(config)))
    except (OSError, StoreError) as error:
        why = [f"{key}: {one.what}; {one.fix}" for key, one in folders(config) if not one.ok]
        if not why and isinstance(error, StoreError):
            raise
        why = why or [f"{where}: {words}" for where, words in _shut(config) if where == "hub.listen"]
        raise Unreachable("\n".join(why) or f"can't listen or write: {error}") from error


def _more_files() -> None:
    """Each open chat is a file: as many as this process may have, since 1024 is a default of old times."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def one_heap() -> None:
    """All threads share one malloc arena. glibc alone has more; called before there are other threads.

    Else each of our dozen threads keeps what it had at its worst moment in an arena of its own, where the one that
    takes the next batch can't use it: 280 to 330 MB PSS at the peak with 60 MB of bodies waiting, against 230 to 260.
    They seldom meet at its lock, since most of what they allocate they allocate under the GIL: the processor time of a
    webhook and of its whole path is not more (21 adjacent pairs; medians of the ratios 0.86 to 0.99).
    """
    with suppress(AttributeError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)


def _shut(config: Config) -> list[tuple[str, str]]:
    """(setting, why and what to do) of every address where nobody can listen now."""
    found = [(door.key, trouble(door)) for door in doors(config.listen, config.instances)]
    return [(key, f"{one.what}; {one.fix}") for key, one in found if one is not None]


async def _serve(hub: Hub) -> int:
    stop, now = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def asked() -> None:
        (now if stop.is_set() else stop).set()

    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, asked)
    # From the first moment on: SIGHUP would end the process otherwise.
    loop.add_signal_handler(signal.SIGHUP, lambda: None)
    shut = _shut(hub.config)
    await hub.start()
    await hub.store.write(alarms.clear, ALARM, to_millis(hub.clock.now()))  # it has just started with plugins.toml
    loop.add_signal_handler(signal.SIGHUP, _task(lambda: _reload(hub)))
    await _greet(hub)
    for where, why in shut:
        complain(f"{where}: {why}. The hub serves everything else, and tries this again and again.")
    collect_less()
    await _first(hub.failed, stop)
    if hub.failed.is_set():
        complain("The store failed: the hub ends, so that its supervisor starts it anew.")
    else:
        say("Finishing what is begun; once more to end now.")
        crashpoint("drain.begin")
        drained = asyncio.Event()
        draining = asyncio.create_task(_then(hub.drain(), drained))
        await _first(drained, now)
        draining.cancel()
        crashpoint("drain.end")
    await hub.stop()
    return AWAY if hub.failed.is_set() else WELL


def collect_less() -> None:
    """What stands after the start stays: the collector need not walk its 138,000 objects again and again.

    Signed webhooks until dispatched, median CPU per message of five adjacent triples: 1.31 ms as Python has it, 1.18
    frozen, 1.08 frozen with these thresholds (less in each of the five); 5 MB more memory at the peak.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


async def _first(*events: asyncio.Event) -> None:
    """Return when one of them is set."""
    waits = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()


async def _then(work: Coroutine[None, None, None], done: asyncio.Event) -> None:
    try:
        await work
    finally:
        done.set()


def _task(make: Callable[[], Coroutine[None, None, None]]) -> Callable[[], None]:
    """A signal handler that runs a coroutine, and holds it until it is done."""
    running = set[asyncio.Task[None]]()

    def start() -> None:
        task = asyncio.create_task(make())
        running.add(task)
        task.add_done_callback(running.discard)

    return start


async def _reload(hub: Hub) -> None:
    """Rules are taken at once; a changed plugins.toml is tested now and in force from the next start on (R14)."""
    now = to_millis(hub.clock.now())
    try:
        await asyncio.to_thread(load_config, hub.config.file, plugins=hub.plugins)
    except BadConfig as error:
        log.warning("configuration.refused", problems=[str(problem) for problem in error.problems])
        await hub.store.write(alarms.raise_, ALARM, f"plugins.toml would not start: {error}"[:4000], now)
    else:
        await hub.store.write(alarms.clear, ALARM, now)
    await hub.reload()


async def _greet(hub: Hub) -> None:
    """What listens where; and, until somebody can log in, the way to do so."""
    url = hub.config.public_url or hub.sockets[0]
    rows = [("console", f"{url}/console", "")]
    for one in hub.instances.values():
        rows += [(one.id, where, one.name) for where in _doors(one, url)]
        if one.broken:
            rows.append((one.id, "broken", one.broken))
    table(("", "where", ""), rows, title=f"Trunkline {__version__} serves {visible(hub.config.name)}")
    link = await administrator_link(hub.store, url)
    if link is not None:
        say("Set the administrator's password here (works once, for a day); the login is admin:")
        say(visible(f"  {link}"), style="bold")
    sys.stdout.flush()


def _doors(one: Instance, url: str) -> list[str]:
    """Where its messages come in."""
    if one.kind == "portal" and one.connector is not None:
        return [f"{url}/portal"]
    pages = [page.path for page in one.connector.pages if page.type.startswith("text/html")] if one.has("pages") else []
    doors = [f"{url}/p/{one.id}/{path}" for path in pages]
    if one.has("webhook") and not pages:
        doors.append(f"{url}/in/{one.id}/")
    settings = one.configured.settings
    listen, imap = getattr(settings, "listen", None), getattr(settings, "imap", None)
    if one.has("runner") and listen is not None:
        doors.append(f"{listen.protocol}://{listen.host}:{listen.port}")
    if one.has("runner") and imap is not None:
        doors.append(f"reads {imap.user} at {imap.host}")
    return doors
