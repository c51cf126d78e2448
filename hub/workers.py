"""Parsing: quick and trusted payloads in a thread, what is dangerous (mail) or large in worker processes with limits.

asyncio can't stop a bad parser, a process can be killed: an isolated `parse` gets its time, its memory and its own
address space, and whatever happens there costs the envelope one of two workers before it is parked (reliability.md
§0.4). Both ways return the items encoded, and decoding is what checks them: msgspec constructors check nothing.
"""

import asyncio
import multiprocessing
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, cast

import msgspec
from msgspec import Struct
from pebble import ProcessExpired, ProcessPool
from structlog.contextvars import bind_contextvars

from context_store.journal import INLINE
from context_store.pending import PendingEnvelope
from context_store.times import from_millis
from hub.config import ParseLimits
from hub.languages import tell_apart
from hub.mask import Mask
from hub.parsing import Recipe, parse_one, parse_there, start_worker
from plugins import Envelope, Item

_decoder = msgspec.msgpack.Decoder(list[Item])


class Parsed(Struct, frozen=True):
    """What `parse` made of an envelope; with `cause` it failed, and `worker_lost` tells how."""

    envelope: PendingEnvelope
    items: Sequence[Item] = ()
    cause: str = ""
    trace: str = ""
    worker_lost: bool = False


class Kept(Struct, frozen=True, kw_only=True):
    """What the journal's `facts` column holds beside the raw bytes: with them all that `parse` gets to see."""

    key: str
    facts: Mapping[str, str] = {}


def large(pending: PendingEnvelope) -> bool:
    """Too large to be parsed beside the event loop."""
    return pending.size > INLINE


def envelope_of(pending: PendingEnvelope) -> Envelope:
    """The contract's envelope, from the journal's row."""
    kept = msgspec.json.decode(pending.facts, type=Kept)
    return Envelope(key=kept.key, raw=pending.raw or b"", at=from_millis(pending.received_at), facts=kept.facts)


class Parsers:
    """Parses batches; `start` before, `stop` after."""

    def __init__(
        self, connectors: Mapping[str, Any], recipe: Recipe, limits: ParseLimits, languages: Sequence[str], mask: Mask
    ) -> None:
        """`connectors`: instance → connector object, as the hub built them; `languages`: what to tell apart."""
        self._languages = tuple(languages)
        self._mask = mask
        self._connectors = connectors
        self._recipe = recipe
        self._limits = limits
        self._pool: ProcessPool | None = None

    def start(self) -> None:
        """Workers stand ready before the first mail comes; a hub without mail has none."""
        if any(connector.isolate for connector in self._connectors.values()):
            self._workers().schedule(os.getpid)

    def _workers(self) -> ProcessPool:
        if self._pool is None:
            self._pool = ProcessPool(
                max_workers=self._limits.workers,
                max_tasks=0,
                initializer=start_worker,
                initargs=(self._recipe,),
                context=multiprocessing.get_context("spawn"),
            )
        return self._pool

    async def stop(self) -> None:
        """Workers hold nothing that is not on disk: they are stopped, not awaited."""
        if self._pool is not None:
            self._pool.stop()  # type: ignore[no-untyped-call]
            await asyncio.to_thread(self._pool.join)

    async def parse(self, envelopes: Sequence[PendingEnvelope]) -> list[Parsed]:
        """In the order given; every failure is told, none raised."""
        quick = [e for e in envelopes if not self._apart(e)]
        slow = [e for e in envelopes if self._apart(e)]
        async with asyncio.TaskGroup() as group:
            here = group.create_task(self._in_thread(quick))
            there = [group.create_task(self._in_worker(e)) for e in slow]
        parsed = {p.envelope.id: p for p in [*here.result(), *(task.result() for task in there)]}
        done = [parsed[e.id] for e in envelopes]
        if len(self._languages) < 2:  # there is nothing to tell apart
            return done
        told = await tell_apart([one.items for one in done], self._languages, self._workers().schedule)
        return [msgspec.structs.replace(one, items=items) for one, items in zip(done, told, strict=True)]

    def _apart(self, envelope: PendingEnvelope) -> bool:
        """In a process of its own: one call over megabytes holds the interpreter, whatever thread it runs in."""
        connector = self._connectors.get(envelope.instance)
        return connector is not None and (bool(connector.isolate) or large(envelope))

    async def _in_thread(self, envelopes: Sequence[PendingEnvelope]) -> list[Parsed]:
        if not envelopes:
            return []
        try:
            async with asyncio.timeout(self._limits.seconds * 2):
                return await asyncio.to_thread(lambda: [self._here(e) for e in envelopes])
        except TimeoutError:  # one of them hangs: each alone, where it can be killed
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._in_worker(e)) for e in envelopes]
            return [task.result() for task in tasks]

    def _here(self, envelope: PendingEnvelope) -> Parsed:
        connector = self._connectors.get(envelope.instance)
        if connector is None:
            return Parsed(
                envelope, cause="instance_missing", trace="the instance is not configured, or its plugin broke"
            )
        bind_contextvars(envelope=envelope.id, instance=envelope.instance)  # what the connector logs names it
        try:
            return Parsed(envelope, _decoder.decode(parse_one(connector, envelope_of(envelope))))
        except (Exception, SystemExit) as error:  # noqa: BLE001  # whatever a parser raises parks its envelope
            return self._failed(envelope, error)

    async def _in_worker(self, envelope: PendingEnvelope) -> Parsed:
        args, seconds = (envelope.instance, envelope_of(envelope)), self._limits.seconds
        # in a thread: the first call starts the workers
        future = await asyncio.to_thread(self._workers().schedule, parse_there, args=args, timeout=seconds)
        try:
            items = await asyncio.wrap_future(cast("Future[Any]", future))
            return Parsed(envelope, await asyncio.to_thread(_decoder.decode, items))
        except FutureTimeout:
            text = f"no result within {self._limits.seconds:g} s; its worker was killed"
            return Parsed(envelope, cause="parse_timeout", trace=text, worker_lost=True)
        except ProcessExpired as error:
            return Parsed(envelope, cause="parse_crashed", trace=f"its worker died: {error}", worker_lost=True)
        except MemoryError as error:
            return Parsed(envelope, cause="parse_memory", trace=self._mask.trace(error), worker_lost=True)
        except Exception as error:  # noqa: BLE001  # whatever a parser raises parks its envelope
            return self._failed(envelope, error)

    def _failed(self, envelope: PendingEnvelope, error: BaseException) -> Parsed:
        return Parsed(envelope, cause="parse_failed", trace=self._mask.trace(error))
