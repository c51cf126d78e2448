"""`trunkline serve`: run the hub until it is told to stop."""

import asyncio
import signal
import sys

import uvloop

from hub.app import Hub, build
from hub.cli.access import load
from hub.cli.common import AWAY, DEFAULT, WELL, Common
from hub.cli.output import complain, say


def serve(*, common: Common = DEFAULT) -> int:
    """Run the hub. SIGTERM or Ctrl-C: finish what is begun, then end; a second time: end now. SIGHUP: reload.

    trunkline serve
    trunkline serve --config /etc/trunkline/plugins.toml --json     log as JSON
    """
    config = load(common)
    _log(as_json=common.json or not sys.stderr.isatty())
    return uvloop.run(_serve(build(config)))


async def _serve(hub: Hub) -> int:
    stop, now = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def asked() -> None:
        (now if stop.is_set() else stop).set()

    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, asked)
    reloads = set[asyncio.Task[None]]()

    def reload() -> None:
        task = loop.create_task(hub.reload())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    await hub.start()
    loop.add_signal_handler(signal.SIGHUP, reload)
    await _greet(hub)
    broken = loop.create_task(hub.failed.wait())
    asked_to = loop.create_task(stop.wait())
    await asyncio.wait({broken, asked_to}, return_when=asyncio.FIRST_COMPLETED)
    if broken.done():
        complain("The store failed: the hub ends, so that its supervisor can start it anew.")
    else:
        say("Finishing what is begun; once more to end now.")
        draining, at_once = loop.create_task(hub.drain()), loop.create_task(now.wait())
        await asyncio.wait({draining, at_once}, return_when=asyncio.FIRST_COMPLETED)
        draining.cancel()
        at_once.cancel()
    for task in (broken, asked_to):
        task.cancel()
    code = AWAY if broken.done() and not broken.cancelled() else WELL
    await hub.stop()
    return code
