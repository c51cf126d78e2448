"""One message's path, from the journal to its query, top to bottom.

    claim → parse → look up → for each item: recognise → thread → validate → triage → record → wake the outbox

A batch is judged in one store thread on what one look-up found, and written in one transaction which re-checks keys
and versions; if another node was faster the batch is judged again. Intake order is kept inside a lane because
batches are claimed and judged in it. A failing envelope never blocks those behind it: the batch is halved until it
stands alone, tried five times, and parked with its cause and trace (R5, R8, R9).
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy import Connection

from context_store import CommitUnknown, DamagedBlob, Store, StoreAway, StoreBroken
from context_store.audit import add_events
from context_store.blobs import BlobStore
from context_store.crashpoints import crashpoint
from context_store.lookups import gather
from context_store.pending import Outcome, PendingEnvelope, claim_envelopes, settle, still_pending
from context_store.record import Batch, Stale, record
from context_store.times import to_millis
from hub.config import Config
from hub.draft import Draft
from hub.fabric import Fabric
from hub.instances import Instance
from hub.intake import Intake, intake_topic
from hub.items import Judge
from hub.keys import Keys
from hub.lines import topics_of
from hub.mask import Mask
from hub.recognise import Directory
from hub.telemetry import Telemetry
from hub.triage import Judging
from hub.wanted import wanted
from hub.workers import Parsed, Parsers, large
from plugins import Clock

log = structlog.get_logger("trunkline.pipeline")

TRIES = 5
WORKERS = 2
"""An envelope that cost so many workers is parked."""
STALE_TRIES = 20
ISOLATED_BATCH = 32
PAUSE = 0.05
"""Seconds after a batch: each costs some 4 ms whatever its size, so what comes meanwhile shares the next. What comes
to an idle hub does not wait, and neither does a backlog."""


@dataclass(slots=True)
class Pipeline:
    """Runs until stopped; one for each process."""

    store: Store
    blobs: BlobStore
    fabric: Fabric
    intake: Intake
    parsers: Parsers
    instances: Mapping[str, Instance]
    rules: Callable[[], Judging]
    directory: Directory
    keys: Keys
    config: Config
    telemetry: Telemetry
    mask: Mask
    clock: Clock
    isolated: bool = False
    """Which envelopes it takes: those parsed in worker processes, or all others. A hub runs one of each."""
    stopping: bool = False

    async def run(self) -> None:
        """Take what is pending until told to stop; trouble with the store is waited out, never skipped."""
        while not self.stopping:
            try:
                claimed = await self.batch()
                if not claimed:
                    await self.fabric.wait(intake_topic(isolated=self.isolated), self.config.delivery.poll)
                elif claimed < self._most:
                    await self.clock.sleep(PAUSE)
            except (StoreAway, CommitUnknown) as error:
                log.warning("pipeline.store_away", why=str(error))
                await self.clock.sleep(1)

    async def batch(self) -> int:
        """Claim what is pending and take it all the way; returns how many envelopes were claimed."""
        async with self.store.holding(self._claim) as pending:
            if pending:
                crashpoint("parse.begin")
                began = time.perf_counter()
                await self.take(pending)
                self.telemetry.processed(time.perf_counter() - began, isolated=self.isolated)
                self.fabric.wake("outbox")
                self.fabric.wake("events")
            return len(pending)

    def _claim(self, conn: Connection) -> tuple[PendingEnvelope, ...]:
        return claim_envelopes(conn, self._most, isolated=self.isolated)

    @property
    def _most(self) -> int:
        """Few at once where each may take seconds: what is parsed already is not kept waiting for the slowest."""
        return min(self.config.limits.batch, ISOLATED_BATCH) if self.isolated else self.config.limits.batch

    async def take(self, pending: Sequence[PendingEnvelope]) -> None:
        """Parse, judge and record; what fails to parse is tried again or parked, the others go on."""
        whole = pending
        if any(envelope.raw_sha for envelope in pending):
            whole, damaged = await asyncio.to_thread(self._with_bytes, pending)
            await self._note_failures(damaged)
        for part in (whole,) if self.isolated else _quick_first(whole):
            parsed = await self.parsers.parse(part)
            await self._note_failures([p for p in parsed if p.cause])
            if good := [p for p in parsed if not p.cause]:
                await self._record(good)

    async def _record(self, parsed: Sequence[Parsed]) -> None:
        """One transaction for all; a poisoned one among them is found by halving."""
        try:
            batch = await self._judge_and_write(parsed)
        except (StoreAway, CommitUnknown, StoreBroken):
            raise
        except Exception as error:  # noqa: BLE001  # whatever one envelope brings must not stop the others
            if len(parsed) == 1:
                failed = Parsed(parsed[0].envelope, cause="record_failed", trace=self.mask.trace(error))
                await self._note_failures([failed])
                return
            middle = len(parsed) // 2
            await self._record(parsed[:middle])
            await self._record(parsed[middle:])
            return
        self.intake.pending -= len(batch.done) + len(batch.parked)

    async def _judge_and_write(self, parsed: Sequence[Parsed]) -> Batch:
        rules = self.rules()  # one version judges the whole batch (R14)
        for _ in range(STALE_TRIES):
            judging = time.perf_counter()
            draft = await self.store.read(self._judge, parsed, rules)
            batch = draft.batch
            await self._keep_large(batch)
            crashpoint("record.begin")
            began = time.perf_counter()
            try:
                await self.store.write(_write, batch)
            except Stale as error:
                log.info("pipeline.judged_again", envelopes=[p.envelope.id for p in parsed], why=str(error)[:200])
                left = await self.store.read(still_pending, [p.envelope.id for p in parsed])
                parsed = [p for p in parsed if p.envelope.id in left]  # the others are done by another node
                continue
            self.telemetry.recorded(len(parsed), time.perf_counter() - began)
            if self.telemetry.traces is not None:
                self.telemetry.traces.recorded(batch, judging, began)
            crashpoint("record.committed")
            for topic in topics_of(draft):
                self.fabric.tell(topic)
            return batch
        raise Stale(f"other nodes were faster {STALE_TRIES} times")

    def _judge(self, conn: Connection, parsed: Sequence[Parsed], judging: Judging) -> Draft:
        """Look up, then go through the items in intake order (in a store thread, off the event loop)."""
        now = self.clock.now()
        known = gather(conn, wanted(parsed, self.keys, self.config.threading, to_millis(now), judging), to_millis(now))
        judge = Judge(Draft(self.store, known, now), judging, self.instances, self.directory, self.keys, self.config)
        for one in parsed:
            judge.envelope(one)
        return judge.draft

    # ---- around the path -------------------------------------------------------------------------------

    def _with_bytes(self, pending: Sequence[PendingEnvelope]) -> tuple[list[PendingEnvelope], list[Parsed]]:
        """Large raw bytes lie in the folder; what is damaged there is parked, not skipped."""
        whole: list[PendingEnvelope] = []
        damaged: list[Parsed] = []
        for envelope in pending:
            try:
                whole.append(self.blobs.fill(envelope))
            except DamagedBlob as error:
                damaged.append(Parsed(envelope, cause="raw_damaged", trace=str(error)))
        return whole, damaged

    async def _keep_large(self, batch: Batch) -> None:
        """Large attachments are files before their rows are (R4)."""
        if batch.large:
            await asyncio.to_thread(lambda: [self.blobs.stow(data) for data in batch.large.values()])

    async def _note_failures(self, failed: Sequence[Parsed]) -> None:
        """Count the try; park at the fifth, or at the second lost worker; the rest comes again with the next batch."""
        if not failed:
            return
        outcomes = [_outcome(p) for p in failed]
        parked = sum(o.state == "parked" for o in outcomes)
        for p, o in zip(failed, outcomes, strict=True):
            self.telemetry.failed(p.cause)
            event = "envelope.parked" if o.state == "parked" else "envelope.failed"
            log.warning(event, envelope=p.envelope.id, instance=p.envelope.instance, cause=p.cause, attempts=o.attempts)
        crashpoint("park.before_commit")
        await self.store.write(settle, outcomes, self.store.node, to_millis(self.clock.now()))
        self.intake.pending -= parked


def _quick_first(envelopes: Sequence[PendingEnvelope]) -> tuple[Sequence[PendingEnvelope], ...]:
    """First those that a large one would only hold up; then the large ones, with what follows them in their lanes."""
    lanes = set[int]()
    quick, slow = list[PendingEnvelope](), list[PendingEnvelope]()
    for envelope in envelopes:
        if large(envelope):
            lanes.add(envelope.lane)
        (slow if envelope.lane in lanes else quick).append(envelope)
    return tuple(part for part in (quick, slow) if part)


def _write(conn: Connection, batch: Batch) -> None:
    record(conn, batch, add_events)
    crashpoint("record.before_commit")


def _outcome(parsed: Parsed) -> Outcome:
    envelope = parsed.envelope
    attempts, lost = envelope.attempts + 1, envelope.workers_lost + parsed.worker_lost
    # what is deterministic fails alike every time: a parser that raised on these bytes is not asked again
    hopeless = parsed.cause in ("parse_failed", "instance_missing", "raw_damaged")
    parked = hopeless or attempts >= TRIES or lost >= WORKERS
    return Outcome(
        id=envelope.id, state="parked" if parked else "pending", cause=parsed.cause, trace=parsed.trace,
        attempts=attempts, workers_lost=lost,
    )  # fmt: skip
