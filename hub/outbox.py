"""Work that leaves the house: claim, plan once, have one effect a step, settle (R6–R8).

Only the first open row of a lane runs. What an error means is named by its class: `Retry` comes again later, `Refuse`
is parked and the lane goes on, `Pause` holds the destination and raises an alarm, and an effect that went out without
an answer is `uncertain`: `effects.py` asks the far side before any second try. Results are settled in batches.
"""

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError
from structlog.contextvars import bind_contextvars

from context_store import CommitUnknown, Store, StoreAway, StoreBroken
from context_store import outbox as rows
from context_store.crashpoints import crashpoint, protected
from context_store.outbox import UNKNOWN, Settled, StepRow, Work
from context_store.text import canonical
from hub.config import Delivery
from hub.effects import Effects, Result
from hub.fabric import Fabric
from hub.instances import Instance
from hub.keys import Keys
from hub.mask import Mask
from hub.needs import Needs
from hub.pace import TooSoon, Turns
from hub.results import Settlement, finished, settle_all
from hub.telemetry import Telemetry
from plugins import Clock, LeaseLost, Outgoing, Pause, Refuse, Retry, Step, TicketWork, TrunklineError, Uncertain

log = structlog.get_logger("trunkline.outbox")

BREAKER = 5
"""Failures in a row after which a destination rests."""
REST = 300.0
"""Seconds that a destination rests at most."""
AFTER_MOST = 86_400.0
"""A far side that asks for more patience than a day is asked again after a day."""

UNREACHED = frozenset({
    "bad_address", "recipient_refused", "recipient_unknown", "recipient_blocked", "must_write_first", "window_closed",
})  # fmt: skip
"""What ends an acknowledgement without a person's help: anybody may give us an address that is none, and nobody waits
for a word that can't reach them."""

_plans = msgspec.json.Decoder(list[Step])
_works: msgspec.json.Decoder[Outgoing | TicketWork] = msgspec.json.Decoder(Outgoing | TicketWork)


@dataclass(slots=True)
class _Health:
    """What happened at a destination lately."""

    failures: int = 0
    held_until: float = 0.0


@dataclass(slots=True)
class Outbox:
    """Runs until stopped; on every node, since claims are leased in the store."""

    store: Store
    fabric: Fabric
    instances: Mapping[str, Instance]
    effects: Effects
    needs: Needs
    keys: Keys
    config: Delivery
    telemetry: Telemetry
    mask: Mask
    clock: Clock
    stopping: bool = False
    _health: dict[str, _Health] = field(default_factory=dict)
    _running: dict[int, tuple[int, asyncio.Task[None]]] = field(default_factory=dict)
    _until: dict[int, float] = field(default_factory=dict)
    """Work → until when its lease surely holds, on this machine's own clock."""
    _turns: Turns = field(default_factory=Turns)
    _results: list[Settlement] = field(default_factory=list)
    _settled: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Claim and start work while there is room; store trouble is waited out."""
        self._running.clear()
        async with asyncio.TaskGroup() as group:
            settling, renewing = group.create_task(self._settle_loop()), group.create_task(self._renew_loop())
            while not self.stopping:
                try:
                    started = await self._start_some(group)
                except (StoreAway, CommitUnknown, OperationalError) as error:
                    log.warning("outbox.store_away", why=str(error))
                    await self.clock.sleep(1)
                    continue
                if not started:
                    await self.fabric.wait("outbox", self._turns.next(self._now(), self.config.poll))
            if self._running:
                await asyncio.wait([task for _, task in self._running.values()])
            renewing.cancel()
            self._settled.set()
            await settling

    # ---- claim and plan --------------------------------------------------------------------------------

    async def _start_some(self, group: asyncio.TaskGroup) -> int:
        room = self.config.concurrency - len(self._running)
        if room <= 0:
            return 0
        now, asked = self._now(), time.monotonic()
        held = [name for name, health in self._health.items() if health.held_until > now] + self._turns.full(now)
        until, running = now + int(self.config.lease * 1000), list(self._running)
        works = await self.store.write(rows.claim, now, until, room, (), held, running)
        if not works:
            return 0
        crashpoint("outbox.claimed")
        for work in await self._plan(works):
            task = group.create_task(self._work(work), name=f"outbox-{work.id}")
            self._running[work.id] = (work.fence, task)
            self._until[work.id] = asked + self.config.lease
        return len(works)

    async def _plan(self, works: Sequence[Work]) -> list[Work]:
        """Steps of the work that has none yet, stored before the first of them is tried."""
        new = [work for work in works if not work.steps and work.kind != "need"]
        if not new:
            return list(works)
        planned = dict(
            zip((w.id for w in new), await asyncio.to_thread(lambda: [self._steps(w) for w in new]), strict=True)
        )
        ready = []
        for work in works:
            steps = planned.get(work.id, work.steps)
            if isinstance(steps, TrunklineError):
                self._conclude(work, steps)
            elif work.id in planned:  # whoever held it before has tried nothing
                ready.append(msgspec.structs.replace(work, steps=steps, came="queued"))
            else:
                ready.append(work)
        fresh = [work for work in ready if work.id in planned]
        await self.store.write(_keep_plans, fresh, self._now())
        return ready

    def _steps(self, work: Work) -> tuple[StepRow, ...] | TrunklineError:
        instance = self.instances.get(work.destination)
        if instance is None or instance.connector is None:
            return Retry("the destination is not running", after=60)
        try:
            plan = instance.connector.plan(_works.decode(work.body))
            steps = _plans.decode(msgspec.json.encode(plan))  # constructors check nothing
        except TrunklineError as error:
            return error
        except (Exception, SystemExit) as error:  # noqa: BLE001  # a plugin's bug parks its work, with the trace
            refused = Refuse("plan_failed", str(error))
            refused.__cause__ = error
            return refused
        if not steps:
            return Refuse("nothing_to_do", "the plan has no steps")
        return tuple(_row(work, n, step, self.keys) for n, step in enumerate(steps))

    # ---- one piece of work -----------------------------------------------------------------------------

    async def _work(self, work: Work) -> None:
        bind_contextvars(
            outbox=work.id, message=work.message_id
        )  # its task's own: whatever is logged on the way has it
        try:
            if work.kind == "need":
                await self.needs.meet(work, self.instances.get(work.destination))
                self._conclude(work, None)
            else:
                await self._have_effects(work)
        except LeaseLost:
            self._leave(work)
        except TrunklineError as error:
            self._conclude(work, error)
        except (StoreAway, CommitUnknown) as error:
            self._conclude(work, Retry(f"the store is away: {error}"))
        except StoreBroken:
            raise
        except (Exception, SystemExit) as error:  # the work waits or is parked, the hub goes on
            log.exception("outbox.work_failed", destination=work.destination)
            refused = Refuse("hub_error", str(error))
            refused.__cause__ = error
            self._conclude(work, refused)

    async def _have_effects(self, work: Work) -> None:
        """Step after step; each one's result is stored before the next begins."""
        done: list[Result] = []
        came = work.came
        for step in work.steps:
            if step.done is not None:
                done.append(Result.stored(step.done))
                continue
            async with self.telemetry.step(work, step):
                result = await self.effects.have(work, step, came, done, lambda: self._may(work))
            done.append(result)
            came = "queued"
            following = next((s for s in work.steps if s.n > step.n), None)
            if following is not None and not await self._keep_step(work, result, (step.n, following.n)):
                self._leave(work)
                return
        self._succeeded(work.destination)
        self._results.append(Settlement.of_success(work, done, self._now()))
        self._settled.set()

    def _may(self, work: Work) -> None:
        """A node that stood still for longer than the lease has no effect any more: another one may have it."""
        if protected("lease-out") and time.monotonic() > self._until.get(work.id, 0):
            raise LeaseLost("the lease was not renewed in time")

    def _leave(self, work: Work) -> None:
        """The lease was lost: whoever has it goes on."""
        log.warning("outbox.lease_lost", destination=work.destination)
        self._running.pop(work.id, None)

    async def _keep_step(self, work: Work, result: Result, ns: tuple[int, int]) -> bool:
        """Until it is stored, however long the store is away: what was done must not be done again."""
        while True:
            try:
                return await self.store.write(_step_done, work, result, ns, self._now())
            except (StoreAway, CommitUnknown) as error:
                log.warning("outbox.step_later", why=str(error))
                await self.clock.sleep(1)

    def _conclude(self, work: Work, error: TrunklineError | None) -> None:
        """What the error's class says about this row, its lane and its destination."""
        now = self._now()
        due, state, cause = now, "done", None
        early = isinstance(error, TooSoon)
        if isinstance(error, TooSoon):
            due, cause = self._turns.later(work.destination, error, now), "rate"
            state = "uncertain" if self.effects.unknown(work.id) else "queued"
        elif isinstance(error, Retry | Pause | Uncertain):
            state, due, cause = self._again(work, error, now)
        elif error is not None:
            state, cause = "parked", canonical(str(error.code), 200) if isinstance(error, Refuse) else "refused"
            if cause in UNREACHED and _automatic(work):
                state = "cancelled"
        if isinstance(error, Retry | Pause | Uncertain):
            if not early:
                self._stumbled(work.destination, error)
        elif error is None:
            self._succeeded(work.destination)
        settled = Settled(
            id=work.id, fence=work.fence, state=state, due_at=due, cause=cause,
            trace=self.mask.trace(error) if error and not early else None, tried=not early,
            maybe_duplicate=work.maybe_duplicate or self.effects.doubtful(work.id),
        )  # fmt: skip
        self._results.append(Settlement.of_failure(work, settled, now))
        self._settled.set()

    def _again(self, work: Work, error: Retry | Pause | Uncertain, now: int) -> tuple[str, int, str]:
        """(state, due, cause): later by schedule and jitter, by the far side's word, or parked at the horizon."""
        unknown = self.effects.unknown(work.id) or isinstance(error, Uncertain)
        if now >= work.horizon_at:
            return "parked", now, UNKNOWN if unknown else "horizon"
        pause = self.config.schedule[min(work.attempts, len(self.config.schedule)) - 1]
        wait = random.uniform(0.1, 1) * pause  # noqa: S311  # jitter, not a secret
        wait = max(wait, min(_seconds(error), AFTER_MOST))
        if unknown:
            return "uncertain", now + int(max(wait, self.effects.lag(work) or 0) * 1000), UNKNOWN
        return "queued", now + int(wait * 1000), "paused" if isinstance(error, Pause) else "retry"

    # ---- destinations ----------------------------------------------------------------------------------

    def _stumbled(self, destination: str, error: Retry | Pause | Uncertain) -> None:
        """Credentials hold the destination at once, other failures when they repeat."""
        health = self._health.setdefault(destination, _Health())
        health.failures += 1
        if isinstance(error, Pause):
            health.held_until = self._now() + 1000 * min(REST, _seconds(error) or 60)
            text = f"{destination} refuses our credentials or quota: {error}. Its work waits."
            self._results.append(Settlement.of_alarm(f"paused:{destination}", canonical(self.mask(text), 4000)))
        elif health.failures >= BREAKER:
            doubled = self.config.schedule[0] * 2 ** min(health.failures - BREAKER, 30)  # a float ends at 1024
            health.held_until = self._now() + 1000 * min(REST, doubled)
        instance = self.instances.get(destination)
        if instance is not None:
            instance.failed(error)

    def _succeeded(self, destination: str) -> None:
        health = self._health.get(destination)
        if health is None or health.failures:  # None: an alarm of the time before the start may stand
            self._health[destination] = _Health()
            self._results.append(Settlement.of_calm(f"paused:{destination}"))
        instance = self.instances.get(destination)
        if instance is not None:
            instance.answered()

    # ---- settle ------------------------------------------------------------------------------------------

    async def _settle_loop(self) -> None:
        """Ends when the outbox stops and nothing runs any more."""
        while self._running or not self.stopping:
            await self._settled.wait()
            self._settled.clear()
            await self._flush()

    async def _flush(self) -> None:
        """All results so far in one transaction; if the store is away they stay, and the leases are kept."""
        while self._results:
            batch, self._results = self._results, []
            try:
                await self._settle(batch)
            except (StoreAway, CommitUnknown, OperationalError) as error:
                log.warning("outbox.settle_later", why=str(error))
                self._results = batch + self._results
                await self.clock.sleep(1)

    async def _settle(self, batch: Sequence[Settlement]) -> None:
        """One that can't be written is parked alone; settled twice is settled once, by its fence."""
        crashpoint("out.before_settle")
        try:
            await self.store.write(settle_all, batch, self.store.ids.next, self._now())
        except (StoreAway, CommitUnknown, StoreBroken, OperationalError):
            raise
        except Exception as error:
            log.exception("outbox.settle_failed", outbox=[one.settled.id for one in batch if one.settled])
            if len(batch) == 1:
                batch = [one for one in batch if one.settled is not None and one.settled.cause != UNKNOWN]
            for one in batch:
                await self._settle([one] if len(batch) > 1 else [one.not_written(self.mask.trace(error), self._now())])
            return
        crashpoint("out.recorded")
        for one in batch:
            if one.settled is None:
                continue
            self._running.pop(one.settled.id, None)
            if one.settled.tried:
                self.telemetry.tried(one.work.destination if one.work else "", one.settled.state)
        self.fabric.wake("outbox")
        self.fabric.wake("events")

    async def _renew_loop(self) -> None:
        while True:
            await self.clock.sleep(self.config.lease / 3)
            held = [(number, fence) for number, (fence, _) in self._running.items()]
            self._until = {number: until for number, until in self._until.items() if number in self._running}
            if held:
                until, asked = self._now() + int(self.config.lease * 1000), time.monotonic()
                try:
                    for number in await self.store.write(rows.renew, held, until):
                        self._until[number] = asked + self.config.lease
                except (StoreAway, CommitUnknown, OperationalError) as error:
                    log.warning("outbox.renew_failed", why=str(error))

    def _now(self) -> int:
        """The store's: leases must end at the same moment for all nodes."""
        return self.store.now()


def _row(work: Work, n: int, step: Step, keys: Keys) -> StepRow:
    lag = None if step.find_lag is None else int(step.find_lag * 1000)
    # a delivery's is its message's: receipts may name it
    named = work.message_id if work.kind == "delivery" and work.message_id else work.id
    key = f"{keys.message_key(named)}-{n}"
    return StepRow(
        work.id, n, key, step.kind, step.body, step.harmless, int(step.key_life * 1000), lag, "planned", None, None
    )


def _automatic(work: Work) -> bool:
    return work.kind == "delivery" and msgspec.json.decode(work.body, type=Outgoing).automatic


def _keep_plans(conn: Connection, works: Sequence[Work], now: int) -> None:
    rows.keep_plan(conn, [step for work in works for step in work.steps])
    rows.begin(conn, works, now)


def _step_done(conn: Connection, work: Work, result: Result, ns: tuple[int, int], now: int) -> bool:
    """False: the lease was lost; the step is kept as done all the same, since it is; if twice, a person must know.

    `ns`: the step and the one after it.
    """
    mine = rows.holds(conn, work.id, work.fence)
    if not mine:
        rows.doubt(conn, [work.id])
    n, following = ns
    rows.finish_steps(conn, [finished(work, n, result)], [(work.id, following, now)] if mine else [])
    return mine


def _seconds(error: Retry | Pause | Uncertain) -> float:
    """What the far side asked for, if it is a number at all: a plugin may have read it from a header."""
    after = getattr(error, "after", None)
    return max(0.0, float(after)) if isinstance(after, int | float) and after == after else 0.0  # noqa: PLR0124  # NaN
