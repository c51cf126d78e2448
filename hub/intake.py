"""Receive: an envelope is journaled, and only then does its source hear that we have it (R1–R3, R10, R11).

`accept` is the whole HTTP side of a webhook, `receive` what runners call. Waiting envelopes share a commit: one task
takes whatever came while the last commit ran or the loop was busy (no timer), so a batch grows with the load. A commit
whose outcome is unknown is answered 503, never "not recorded": the retry meets the dedupe key.
"""

import asyncio
import shutil
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog
from sqlalchemy.exc import OperationalError
from structlog.contextvars import bind_contextvars, unbind_contextvars

from context_store import CommitUnknown, Store, StoreAway, StoreBroken, StoreError
from context_store.blobs import BlobStore
from context_store.crashpoints import crashpoint, protected
from context_store.journal import INLINE, Journaled, NewCursor, NewEnvelope, journal
from context_store.pending import pending_count
from context_store.references import receipt_of
from context_store.times import to_millis
from hub.config import Limits
from hub.fabric import Fabric
from hub.instances import Instance
from hub.rows import row_of
from hub.telemetry import Telemetry
from plugins import (
    Busy,
    Clock,
    Desk,
    Envelope,
    Malformed,
    NotAuthentic,
    Received,
    Reply,
    Request,
    StaleKeys,
    WrongTime,
)

log = structlog.get_logger("trunkline.intake")

DEADLINE = 2.4
"""Seconds until a webhook is answered, come what may: Slack gives up at 3."""
BATCH = 512
TURNS = 3
"""Of the event loop, without anything new, before a commit begins that several share: what is read in them fills the
batch, and no commit runs beside the reading. At 64 connections a webhook costs 1.17 of the floor so, else 1.40."""
LULL = 0.02
"""Seconds that a commit waits for company at most: a turn of a busy loop may take 50 ms, and those that come one by one
would be told to come later."""
UNAUTHENTIC = Reply(status=401, body=b"not authentic\n")
"""The same for a bad signature and an instance that does not exist: nobody learns which."""


@dataclass(slots=True)
class _Waiting:
    envelopes: list[NewEnvelope]
    cursors: list[NewCursor]
    size: int
    done: "asyncio.Future[list[Journaled]]"
    deadline: float | None
    """Of the loop's time, after which its source is told to come again."""


def intake_topic(*, isolated: bool) -> str:
    """What a pipeline waits for."""
    return "intake.isolated" if isolated else "intake"


class Intake:
    """The one door in."""

    def __init__(
        self, store: Store, blobs: BlobStore, fabric: Fabric, instances: Mapping[str, Instance],
        desk: Callable[[Instance], Desk], limits: Limits, telemetry: Telemetry, clock: Clock,
    ) -> None:  # fmt: skip
        """`start` begins the journal task; `stop` ends it when nothing waits."""
        self._store = store
        self._blobs = blobs
        self._instances = instances
        self._desk = desk
        self._fabric = fabric
        self._limits = limits
        self._telemetry = telemetry
        self._clock = clock
        self._waiting: deque[_Waiting] = deque()
        self._writing: Sequence[_Waiting] = ()
        self._alarm: asyncio.TimerHandle | None = None
        self._bytes = 0
        self._count = 0
        self._arrived = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop  # asked of asyncio each time it would cost a system call
        self._task: asyncio.Task[None] | None = None
        self._counting: asyncio.Task[None] | None = None
        self._space = (0.0, True)
        self.pending = 0
        """Envelopes on disk that are not processed yet; the pipeline counts them down."""
        self.closing = False

    # ---- webhooks ------------------------------------------------------------------------------------

    def admit(self, instance_id: str, peer: str) -> Reply | None:
        """Called before a body is read: the answer, if it must not be. Unknown instances are counted like any other."""
        if self.full:
            return _later(503, 5)
        instance = self._instances.get(instance_id)
        broken = instance is not None and instance.owes("webhook")
        known = instance.id if instance is not None and (broken or instance.has("webhook")) else ""
        if not self.allow(known, peer):
            return _later(429, 60)
        return _later(503, 30) if broken else None  # its source keeps the message until the plugin is mended

    def allow(self, instance_id: str, peer: str, what: str = "") -> bool:
        """Count one request of a peer, or `what`, which has the same limit to itself; False beyond it."""
        return self._fabric.allow(f"peer:{instance_id}:{peer}{what and ':'}{what}", self._limits.peer_per_minute, 60)

    async def turn(self, instance_id: str, peer: str) -> None:
        """Return when one more of the peer is allowed: what came over an open connection is taken later, not lost."""
        while not self.allow(instance_id, peer) and not self.closing:
            await self._clock.sleep(0.5)

    async def accept(self, instance_id: str, request: Request) -> Reply:
        """Verify, journal, answer. Every error becomes the status that says what the source must do."""
        instance = self._instances.get(instance_id)
        if instance is None or not instance.has("webhook"):
            return UNAUTHENTIC
        deadline = self._loop.time() + DEADLINE
        try:
            envelope = await _verified(instance, request, deadline)
            if isinstance(envelope, Reply):
                return _told(instance, envelope)
            crashpoint("rx.verified")
            new = await self._rows(instance.id, [envelope], deadline)
            (kept,) = await self._kept(new, [], deadline)
        except NotAuthentic as error:
            if isinstance(error, WrongTime):
                self._telemetry.skewed(instance.id)
            log.info("webhook.refused", instance=instance.id, why=str(error))
            return UNAUTHENTIC
        except Malformed as error:
            return Reply(status=400, body=f"{error}\n".encode())
        except (Busy, StaleKeys, TimeoutError, CommitUnknown, StoreAway, StoreBroken) as error:
            log.warning("webhook.later", instance=instance.id, why=type(error).__name__, detail=str(error))
            error.__traceback__ = None  # it stays with the row that waits, and would hold this frame and the request
            return _later(503, getattr(error, "after", None) or 5)
        except (Exception, SystemExit) as error:  # a bug in verify: the source keeps the message and comes again
            log.exception("webhook.verify_failed", instance=instance.id)
            instance.failed(error)
            return _later(503, 30)
        instance.answered(message=True, at=request.at)
        crashpoint("in.before_ack")
        accepted: Reply = instance.connector.accepted
        if not instance.has("answering"):
            return accepted
        return await self._respond(instance, envelope, _received(kept, new[0]), deadline)

    async def _respond(self, instance: Instance, envelope: Envelope, received: Received, deadline: float) -> Reply:
        accepted: Reply = instance.connector.accepted
        try:
            async with asyncio.timeout_at(deadline):
                bind_contextvars(envelope=received.id, instance=instance.id)  # what a connector logs names it
                reply: Reply = await instance.connector.respond(envelope, received, self._desk(instance))
        except (Exception, SystemExit) as error:  # it is on disk: the plain acknowledgement is true
            log.exception("webhook.respond_failed", instance=instance.id, envelope=received.id)
            instance.failed(error)
            return accepted
        finally:
            unbind_contextvars("envelope", "instance")
        return reply

    # ---- the journal -----------------------------------------------------------------------------------

    async def receive(
        self, instance: str, envelopes: Sequence[Envelope], *, cursor: bytes | None = None, name: str = "",
        wait: bool = True, fence: int = 0,
    ) -> list[Received]:  # fmt: skip
        """Return when all are on disk, the cursor with them. Full: waits, or raises Busy if not `wait`.

        `fence` is that of the instance's lease: raises LeaseLost if the cursor is another node's now.
        """
        while wait and not self.closing and self._busy():
            await self._clock.sleep(0.5)
        new = await self._rows(instance, envelopes)
        cursors = [] if cursor is None else [NewCursor(instance, name, cursor, fence)]
        if cursors and not protected("cursor"):
            await self._store.write(journal, [], cursors, self._store.node, to_millis(self._clock.now()))
        return [_received(*one) for one in zip(await self._kept(new, cursors), new, strict=True)]

    async def _rows(
        self, instance: str, envelopes: Sequence[Envelope], deadline: float | None = None
    ) -> list[NewEnvelope]:
        """Large bytes are hashed off the loop and are files before their rows are, by `deadline` of the loop's time.

        Raises Busy.
        """
        if busy := self._busy():
            raise Busy(busy, after=5)
        if not any(len(envelope.raw) > INLINE for envelope in envelopes):
            return self._made(instance, envelopes)
        async with asyncio.timeout_at(deadline):
            return await asyncio.to_thread(lambda: [self._stow(row) for row in self._made(instance, envelopes)])

    def _made(self, instance: str, envelopes: Sequence[Envelope]) -> list[NewEnvelope]:
        known, ids = self._instances.get(instance), self._store.ids
        isolated = known is not None and known.isolated
        return [row_of(instance, envelope, ids.next(), isolated=isolated) for envelope in envelopes]

    def _kept(
        self, new: list[NewEnvelope], cursors: list[NewCursor], deadline: float | None = None
    ) -> "asyncio.Future[list[Journaled]]":
        """Put them behind what waits for the disk. Who gives up takes nothing back: they go with their batch."""
        size = sum(envelope.size for envelope in new)
        waiting = _Waiting(new, cursors, size, self._loop.create_future(), deadline)
        self._waiting.append(waiting)
        self._bytes += size
        self._count += len(new)
        self._arrived.set()
        if deadline is not None and (self._alarm is None or deadline < self._alarm.when()):
            self._ring_at(deadline)
        if not protected("ack"):
            waiting.done.set_result([Journaled(envelope.id, fresh=True) for envelope in new])
        return waiting.done

    def _ring_at(self, deadline: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self._loop.call_at(deadline, self._late)

    def _late(self) -> None:
        """One timer for all that wait, since nearly all are journaled long before: a timer each would cost more."""
        self._alarm = None
        left = []
        for waiting in (*self._writing, *self._waiting):
            if waiting.deadline is None or waiting.done.done():
                continue
            if waiting.deadline <= self._loop.time():
                waiting.done.set_exception(TimeoutError())
            else:
                left.append(waiting.deadline)
        if left:
            self._ring_at(min(left))

    def _stow(self, envelope: NewEnvelope) -> NewEnvelope:
        if envelope.size <= INLINE or envelope.raw is None:
            return envelope
        return envelope._replace(raw=None, raw_sha=self._blobs.stow(envelope.raw))

    @property
    def full(self) -> bool:
        """Would a webhook be told to come later?"""
        return bool(self._busy())

    def _busy(self) -> str:
        if self.closing:
            return "the hub is stopping"
        if self._count >= self._limits.waiting or self._bytes >= self._limits.waiting_bytes:
            return "too much waits for the disk"
        if self.pending >= self._limits.pending:
            return "too much waits to be processed"
        at, enough = self._space
        if time.monotonic() - at > 1:
            enough = shutil.disk_usage(self._store.folder).free > self._limits.disk_reserve
            self._space = (time.monotonic(), enough)
        return "" if enough else "the disk is nearly full"

    @property
    def started(self) -> bool:
        """Is anything journaled? Not in a process that only opened the store for one command."""
        return self._task is not None

    def start(self) -> None:
        """Begin to journal."""
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.create_task(self._run(), name="journal")
        if self._store.dialect == "postgresql":
            self._counting = asyncio.create_task(self._count_on(), name="pending")

    async def stop(self) -> None:
        """Refuse what is new, finish what waits."""
        self.closing = True
        self._arrived.set()
        if self._task is not None:
            await self._task
        if self._counting is not None:
            self._counting.cancel()

    async def _count_on(self) -> None:
        """Other nodes journal and process, too: what is pending on all of them is asked of the store."""
        while True:
            with suppress(StoreError, OperationalError):
                self.pending = await self._store.read(pending_count)
            await self._clock.sleep(1)

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                await self._lull()
                self._writing = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
                await self._commit(self._writing)
            self._writing = ()  # and no name else: an idle hub would hold its last batch, up to 64 MiB
            if self.closing:
                return

    async def _lull(self) -> None:
        """Return when nothing more comes in, or a batch is full; at once where one came alone."""
        seen, until = 0, self._loop.time() + LULL
        await asyncio.sleep(0)
        while 1 < len(self._waiting) < BATCH and seen < len(self._waiting) and self._loop.time() < until:
            seen = len(self._waiting)
            for _ in range(TURNS):
                await asyncio.sleep(0)

    async def _commit(self, batch: Sequence[_Waiting]) -> None:
        try:
            await self._write(batch)
        except (CommitUnknown, StoreAway, StoreBroken) as error:
            self._fail(batch, error.with_traceback(None))
        except Exception as error:  # noqa: BLE001  # one bad row must not fail its neighbours
            if len(batch) == 1:
                self._fail(batch, error)
                return
            for one in batch:
                await self._commit([one])

    async def _write(self, batch: Sequence[_Waiting]) -> None:
        envelopes = [envelope for waiting in batch for envelope in waiting.envelopes]
        cursors = [cursor for waiting in batch for cursor in waiting.cursors]
        now, began = to_millis(self._clock.now()), time.perf_counter()
        rows = await self._store.write(journal, envelopes, cursors, self._store.node, now, urgent=True)
        took = time.perf_counter() - began
        self._telemetry.journaled(len(envelopes), took)
        if self._telemetry.traces is not None:
            self._telemetry.traces.received(envelopes, rows, took)
        crashpoint("in.committed")
        self.pending += sum(row.fresh for row in rows)
        at = 0
        for waiting in batch:
            self._release(waiting)
            if not waiting.done.done():
                waiting.done.set_result(list(rows[at : at + len(waiting.envelopes)]))
            at += len(waiting.envelopes)
        for isolated in {envelope.isolated for envelope in envelopes}:
            self._fabric.wake(intake_topic(isolated=isolated))

    def _fail(self, batch: Sequence[_Waiting], error: Exception) -> None:
        numbers = [envelope.id for waiting in batch for envelope in waiting.envelopes]
        log.error("journal.failed", envelopes=numbers, why=repr(error))
        for waiting in batch:
            self._release(waiting)
            if not waiting.done.done():
                waiting.done.set_exception(error)

    def _release(self, waiting: _Waiting) -> None:
        self._bytes -= waiting.size
        self._count -= len(waiting.envelopes)


def _received(row: Journaled, envelope: NewEnvelope) -> Received:
    return Received(id=row.id, fresh=row.fresh, receipt=receipt_of(row.id, envelope.key_hash))


async def _verified(instance: Instance, request: Request, deadline: float) -> Envelope | Reply:
    """A large body is hashed off the loop: 25 MB take 70 ms."""
    verify: Callable[[Request], Envelope | Reply] = instance.connector.verify
    small = len(request.body) <= INLINE
    try:
        if small:
            return verify(request)
        async with asyncio.timeout_at(deadline):
            return await asyncio.to_thread(verify, request)
    except StaleKeys:
        if not instance.has("keyed"):
            raise
    async with asyncio.timeout_at(deadline):
        await instance.connector.renew_keys(instance.egress)
        return verify(request) if small else await asyncio.to_thread(verify, request)


def _told(instance: Instance, reply: Reply) -> Reply:
    """Raises NotAuthentic instead of "not here": who guesses names hears the same of all; sites are known anyway."""
    if reply.status in {404, 405} and not instance.has("site"):
        raise NotAuthentic(f"its connector says {reply.status}")
    return reply


def _later(status: int, after: float) -> Reply:
    return Reply(status=status, body=b"later\n", headers=(("Retry-After", str(max(1, round(after)))),))
