"""One step's one effect, and what to do when nobody knows whether it was had (R7).

class A   key_life: the far side honours the step's key, so the same request again is safe while the key lives
class B   find_lag: ask the far side for what the step made, once its search is sure to show it
class C   neither: try again and flag a possible duplicate; a text that arrives twice beats one that never does
harmless  twice is the same as once
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import msgspec
from msgspec import Struct

from context_store.crashpoints import crashpoint, protected
from context_store.outbox import StepRow, Work
from context_store.times import to_millis
from hub.attempt import StepAttempt, verdict
from hub.egress import Client
from hub.instances import Instance
from hub.pace import Pace
from plugins import Clock, Done, LeaseLost, Retry, Step, Uncertain

DEADLINE = 120.0
"""Seconds for one attempt as a whole."""


class Result(Struct, frozen=True):
    """A step that is done; `doubtful` if it may have been done twice."""

    done: Done
    doubtful: bool = False

    def json(self) -> str:
        """As the step's row keeps it."""
        return msgspec.json.encode(self.done).decode()

    @classmethod
    def stored(cls, done: str) -> "Result":
        """From the step's row."""
        return cls(msgspec.json.decode(done, type=Done))


class Effects:
    """Performs steps through the instance's own `perform` and `find`."""

    def __init__(
        self, client: Client, instances: Mapping[str, Instance], pace: Pace, clock: Clock, lease: float
    ) -> None:
        """`lease` bounds an attempt, so that two nodes never perform one step at once."""
        self._client = client
        self._pace = pace
        self._instances = instances
        self._clock = clock
        self._deadline = min(DEADLINE, lease * 20)
        self._doubtful: set[int] = set()
        self._unknown: set[int] = set()

    def doubtful(self, outbox: int) -> bool:
        """Was a second try made without knowing of the first? Asked once, when the work is settled."""
        found = outbox in self._doubtful
        self._doubtful.discard(outbox)
        return found

    def unknown(self, outbox: int) -> bool:
        """May an earlier try have had its effect, whatever became of this one? Asked once, when it is settled."""
        found = outbox in self._unknown
        self._unknown.discard(outbox)
        return found

    def lag(self, work: Work) -> float | None:
        """Seconds until `find` can be believed for the step that is in question."""
        step = next((s for s in work.steps if s.done is None), None)
        return None if step is None or step.find_lag is None else step.find_lag / 1000

    async def have(
        self, work: Work, row: StepRow, came: str, made: Sequence[Result], may: Callable[[], None]
    ) -> Result:
        """Perform the step, or learn that it was performed. Raises what the hub makes of the failure.

        `may` raises LeaseLost, which comes through: the work is another node's, and nothing more went out from here.
        """
        may()
        if came != "queued":
            self._unknown.add(work.id)
        instance = self._instances.get(work.destination)
        if instance is None or instance.connector is None:
            raise Retry("the destination is not running", after=60)
        attempt = self._attempt(work, row, instance, made, may)
        step = _step(row)
        if came != "queued" and protected("ask"):
            found = await self._ask(work, row, came, step, instance, attempt)
            if found is not None:
                self._unknown.discard(work.id)
                return found
        result = await self._perform(work, step, instance, attempt)
        self._unknown.discard(work.id)
        return result

    async def _ask(
        self, work: Work, row: StepRow, came: str, step: Step, instance: Instance, attempt: StepAttempt
    ) -> Result | None:
        """An earlier try may have had its effect: None says that another one is right."""
        now = to_millis(self._clock.now())
        if row.harmless or (row.key_life and row.begun_at is not None and now < row.begun_at + row.key_life):
            return None
        if row.find_lag is None:
            self._doubtful.add(work.id)
            self._unknown.discard(work.id)
            return None
        if came == "leased":  # a worker died just now: what it made may not be findable yet
            raise Uncertain("its worker stopped while the effect was out")
        try:
            async with asyncio.timeout(self._deadline):
                found = [_whole(done) for done in await instance.connector.find(step, attempt)]
        except (Exception, SystemExit, asyncio.CancelledError) as error:
            _ours(error)
            raise Uncertain(f"the far side could not be asked: {error}") from error
        if len(found) > 1:
            self._doubtful.add(work.id)
        if not found:
            self._unknown.discard(work.id)
        return Result(found[0], doubtful=len(found) > 1) if found else None

    async def _perform(self, work: Work, step: Step, instance: Instance, attempt: StepAttempt) -> Result:
        crashpoint("out.before_send")
        try:
            async with asyncio.timeout(self._deadline), self._pace.turn(work, step, instance):
                done = _whole(await instance.connector.perform(step, attempt))
        except LeaseLost:
            raise
        except (Exception, SystemExit, asyncio.CancelledError) as error:
            _ours(error)
            raise verdict(attempt, error) from error
        if attempt.state == "lost":  # the author took no answer for a success
            raise Uncertain("the effect went out and no answer came")
        crashpoint("out.sent")
        return Result(done, doubtful=work.id in self._doubtful)

    def _attempt(
        self, work: Work, row: StepRow, instance: Instance, made: Sequence[Result], may: Callable[[], None]
    ) -> StepAttempt:
        egress: Any = instance.egress
        return StepAttempt(
            self._client, self._clock, key=row.key, number=work.attempts, ticket=work.ticket,
            made=[result.done for result in made], blobs=egress.blob, tokens=egress.token, may=may,
        )  # fmt: skip


def _whole(done: Any) -> Done:
    """What a plugin returned, if it is what the contract says: constructors check nothing. Raises MsgspecError."""
    return msgspec.json.decode(msgspec.json.encode(done), type=Done)


def _ours(error: BaseException) -> None:
    """Being cancelled by the hub goes on; a CancelledError that the plugin brought about is its own failure."""
    task = asyncio.current_task()
    if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
        raise error


def _step(row: StepRow) -> Step:
    lag = None if row.find_lag is None else timedelta(milliseconds=row.find_lag).total_seconds()
    return Step(kind=row.kind, body=row.body, harmless=row.harmless, key_life=row.key_life / 1000, find_lag=lag)
