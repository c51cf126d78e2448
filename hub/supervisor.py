"""One task per running connector; what one does wrong stays its own (R15).

A runner that raises is restarted with back-off and full jitter; one that returns has nothing to run. Health comes from
what happened: `alive()`, messages, errors, and silence where the administrator said how long is usual.
"""

import asyncio
import random
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from context_store import CommitUnknown, Store, StoreAway, alarms
from context_store.times import to_millis
from hub.instances import Instance
from hub.port import Port
from plugins import Clock, LeaseLost

log = structlog.get_logger("trunkline.supervisor")

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 300.0
STEADY = 300.0
"""Seconds without an error after which the back-off begins anew."""
PATIENCE = 2.0
"""Seconds that a runner has to stop; one that ignores it is left behind."""
LOOK = 5.0


@dataclass(slots=True)
class Supervisor:
    """Starts, restarts and watches the runners."""

    store: Store
    instances: Mapping[str, Instance]
    ports: Mapping[str, Port]
    clock: Clock
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _look: asyncio.Event = field(default_factory=asyncio.Event)

    def start(self) -> None:
        """A task for every runner, and one that looks for silence."""
        for instance in self.instances.values():
            if instance.has("runner"):
                self._tasks.append(asyncio.create_task(self._keep(instance), name=f"run-{instance.id}"))
        self._tasks.append(asyncio.create_task(self._watch(self.clock.now().timestamp()), name="silence"))

    async def stop(self) -> None:
        """Cancel all; wait a moment, not for ever."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            _, left = await asyncio.wait(self._tasks, timeout=PATIENCE)
            for task in left:
                log.warning("runner.ignores_cancel", task=task.get_name())

    async def _keep(self, instance: Instance) -> None:
        pause = FIRST_PAUSE
        while True:
            began = self.clock.now()
            instance.running = True
            try:
                await instance.connector.run(self.ports[instance.id])
                log.info("runner.returned", instance=instance.id)
                return
            except LeaseLost:
                log.warning("runner.lease_lost", instance=instance.id)
                return
            except (Exception, SystemExit, asyncio.CancelledError) as error:  # a connector takes down only itself
                if isinstance(error, asyncio.CancelledError) and _told_to_stop():
                    raise
                log.exception("runner.failed", instance=instance.id)
                instance.crashed(error)
                self._look.set()
            finally:
                instance.running = False
            if (self.clock.now() - began).total_seconds() > STEADY:
                pause = FIRST_PAUSE
            await self.clock.sleep(random.uniform(pause / 2, pause))  # noqa: S311  # jitter, not a secret
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _watch(self, began: float) -> None:
        """Raise and clear alarms from evidence: broken plugins, failing runners, unusual silence."""
        said: dict[str, str] = {}
        while True:
            self._look.clear()
            now = self.clock.now().timestamp()
            found = {key: text for i in self.instances.values() for key, text in _troubles(i, began, now)}
            try:
                if found != said:
                    await self.store.write(_update, found, said.keys() - found.keys(), to_millis(self.clock.now()))
                    said = found
            except (StoreAway, CommitUnknown, OperationalError) as error:
                log.warning("alarms.later", why=str(error))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._look.wait(), LOOK)


def _troubles(instance: Instance, began: float, now: float) -> list[tuple[str, str]]:
    """(alarm key, words) of what is wrong with an instance now."""
    if not instance.configured.instance.enabled:
        return []
    found = []
    if instance.broken:
        found.append((f"broken:{instance.id}", f"{instance.id} can't run: {instance.broken}"))
    elif _fails(instance, now):
        found.append((f"failing:{instance.id}", f"{instance.id} fails and is restarted: {instance.last_error}"))
    silence = instance.configured.instance.silence
    last = instance.last_message or began
    if silence is not None and now - last > silence:
        found.append((f"silence:{instance.id}", f"no message came through {instance.id} for {silence:g} seconds"))
    return found


def _fails(instance: Instance, now: float) -> bool:
    """From its crash until it has shown that it works, or has run for a while: trying again is no recovery."""
    at = instance.crashed_at
    if at is None or (instance.last_success or 0) > at:
        return False
    return not instance.running or now - at < STEADY


def _told_to_stop() -> bool:
    """A CancelledError that nobody asked for is the connector's own failure."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _update(conn: Connection, found: Mapping[str, str], gone: set[str], now: int) -> None:
    for key, text in found.items():
        alarms.raise_(conn, key, text, now)
    for key in gone:
        alarms.clear(conn, key, now)
