"""One task per running connector; what one does wrong stays its own (R15).

A runner that raises is restarted with back-off and full jitter; one that returns has nothing to run. One that must run
once runs on the node that holds its lease in the store; when that node dies or stands still, another takes it over.
Health comes from what happened: `alive()`, messages, errors, and silence where the administrator said how long is
usual.
"""

import asyncio
import random
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from context_store import CommitUnknown, Store, StoreAway, StoreError, alarms, leases
from context_store.journal import last_received
from context_store.times import to_millis
from hub.fabric import Fabric
from hub.instances import Instance
from hub.port import LOST, Port
from plugins import Clock, LeaseLost

log = structlog.get_logger("trunkline.supervisor")

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 300.0
STEADY = 300.0
"""Seconds without an error after which the back-off begins anew."""
PATIENCE = 2.0
"""Seconds that a runner has to stop; one that ignores it is left behind."""
LOOK = 5.0
SAY_AGAIN = 60.0
"""Seconds after which a trouble that lasts is said again: a node that begins clears what stands and is not its own."""
RUNNER_LEASE = 15.0
"""Seconds after which a runner of a node that says nothing is another's."""


@dataclass(slots=True)
class Supervisor:
    """Starts, restarts and watches the runners."""

    store: Store
    instances: Mapping[str, Instance]
    ports: Mapping[str, Port]
    fabric: Fabric
    clock: Clock
    lease: float = RUNNER_LEASE
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
            _, left = await asyncio.wait(self._tasks, timeout=PATIENCE * 2)  # a lease is given back after its runner
            for task in left:
                log.warning("runner.ignores_cancel", task=task.get_name())

    # ---- leases ----------------------------------------------------------------------------------------

    async def _keep(self, instance: Instance) -> None:
        """Run it wherever it may run."""
        if self.store.dialect == "sqlite" or not instance.connector.once:
            await self._run(instance)
            return
        port = self.ports[instance.id]
        while True:
            port.fence = await self._take(instance.id)
            log.info("runner.lease_taken", instance=instance.id, fence=port.fence)
            running = asyncio.create_task(self._run(instance), name=f"leased-{instance.id}")
            try:
                await self._hold(instance.id, port.fence, running)
                if running.done():
                    return
                log.warning("runner.lease_lost", instance=instance.id)
            finally:
                fence, port.fence = port.fence, LOST
                await self._end(running)
                instance.left()
                self._look.set()
                with suppress(StoreError, OperationalError):
                    await self.store.write(leases.drop, instance.id, fence)

    async def _take(self, name: str) -> int:
        """When nobody else has it. The answer may be lost: then our own lease runs out first."""
        while True:
            with suppress(StoreError, OperationalError):
                fence = await self.store.write(leases.take, name, str(self.store.node), int(self.lease * 1000))
                if fence is not None:
                    return fence
            await self.clock.sleep(self.lease / 3)

    async def _hold(self, name: str, fence: int, running: "asyncio.Task[None]") -> None:
        """Until the runner ends or the lease is lost: taken by another node, or not renewed in time."""
        until = time.monotonic() + self.lease
        while time.monotonic() < until:
            done, _ = await asyncio.wait([running], timeout=self.lease / 3)
            asked = time.monotonic()
            if done or asked >= until:  # we stood still for longer than the lease
                return
            with suppress(StoreError, OperationalError, TimeoutError):
                async with asyncio.timeout(until - asked):
                    if not await self.store.write(leases.keep, name, fence, int(self.lease * 1000)):
                        return
                until = asked + self.lease

    async def _end(self, running: "asyncio.Task[None]") -> None:
        running.cancel()
        _, left = await asyncio.wait([running], timeout=PATIENCE)
        if left:
            log.warning("runner.ignores_cancel", task=running.get_name())

    # ---- runners ---------------------------------------------------------------------------------------

    async def _run(self, instance: Instance) -> None:
        pause = FIRST_PAUSE
        while True:
            began = self.clock.now()
            instance.running = True
            try:
                await instance.connector.run(self.ports[instance.id])
                log.info("runner.returned", instance=instance.id)
                return
            except LeaseLost as error:
                log.warning("runner.refused", instance=instance.id, why=str(error))
            except (Exception, SystemExit, asyncio.CancelledError) as error:  # a connector takes down only itself
                if isinstance(error, asyncio.CancelledError) and _told_to_stop():
                    raise
                log.exception("runner.failed", instance=instance.id)
                instance.crashed(error)
                self._look.set()
            finally:
                instance.running = False
            if _told_to_stop():  # and it raised something else, so that nothing would stop it
                return
            if (self.clock.now() - began).total_seconds() > STEADY:
                pause = FIRST_PAUSE
            await self.clock.sleep(random.uniform(pause / 2, pause))  # noqa: S311  # jitter, not a secret
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _found(self, began: float, now: float) -> dict[str, str]:
        """Alarm key → words."""
        enabled = [one for one in self.instances.values() if one.configured.instance.enabled]
        found = dict(trouble for one in enabled for trouble in _troubles(one, now))
        for one in enabled:
            if _quiet(one, began, now) and await self._silent(one, began, now):
                silence = one.configured.instance.silence
                found[f"silence:{one.id}"] = f"no message came through {one.id} for {silence:g} seconds"
        if self.fabric.trouble:
            found["fabric"] = f"a node goes on alone, only slower: {self.fabric.trouble}"
        return found

    async def _silent(self, instance: Instance, began: float, now: float) -> bool:
        """On this node it is; did another one hear of it?"""
        at = await self.store.read(last_received, instance.id)
        return now - max(began, (at or 0) / 1000) > (instance.configured.instance.silence or 0)

    async def _watch(self, began: float) -> None:
        """Raise and clear alarms from evidence: broken plugins, failing runners, unusual silence.

        What stands at the start was said by the process before: it is cleared, unless it is found again.
        """
        said: dict[str, str] | None = None
        at = 0.0
        while True:
            self._look.clear()
            now = self.clock.now().timestamp()
            try:
                if said is None:
                    said = await self.store.read(alarms.standing, alarms.WATCHED)
                found = await self._found(began, now)
                if found != said or (found and now - at > SAY_AGAIN):
                    await self.store.write(_update, found, said.keys() - found.keys(), to_millis(self.clock.now()))
                    said, at = found, now
            except (StoreAway, CommitUnknown, OperationalError) as error:
                log.warning("alarms.later", why=str(error))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._look.wait(), LOOK)


def _quiet(instance: Instance, began: float, now: float) -> bool:
    silence = instance.configured.instance.silence
    return silence is not None and now - (instance.last_message or began) > silence


def _troubles(instance: Instance, now: float) -> list[tuple[str, str]]:
    """(alarm key, words) of what is wrong with an instance now."""
    found = []
    if instance.broken:
        found.append((f"broken:{instance.id}", f"{instance.id} can't run: {instance.broken}"))
    elif _fails(instance, now):
        found.append((f"failing:{instance.id}", f"{instance.id} fails and is restarted: {instance.last_error}"))
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
