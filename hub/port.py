"""What a running connector holds of the hub: the contract's `HubPort`, one for each instance."""

import asyncio
import random
from collections.abc import AsyncGenerator, Sequence
from copy import copy
from datetime import timedelta
from typing import Self

import structlog

from context_store import Store, alarms, pins
from context_store.announcements import announcements
from context_store.blobs import BlobStore
from context_store.crashpoints import crashpoint
from context_store.cursors import read_cursor
from context_store.followed import PAGE, continues, last_line, lines_after, reference_for
from context_store.references import receipt_of
from context_store.secrets import Vault
from context_store.text import hash_key
from context_store.times import to_millis
from hub.attempt import HubEgress, Renew
from hub.dialled import Dialled
from hub.draft import thread_hash
from hub.egress import Client
from hub.fabric import Fabric
from hub.instances import Instance
from hub.intake import Intake
from hub.lines import thread_topic
from plugins import Call, Clock, Envelope, LeaseLost, Line, Link, Received, Signal

log = structlog.get_logger("trunkline.port")

LOST = -1
EARLY_MS = 60_000
HOUR = 3600
PINS_AN_HOUR = 100
"""Tries of all callers of all instances, right and wrong ones: nine digits alone name a query (`pins`), wherever they
are entered, so that another telephone number gives nobody more guesses."""
POLL = 60.0
"""Seconds after which a feed looks again even if it was told nothing (R12); ten thousand of them share one store."""


class Port(HubEgress):
    """The hub, as far as one instance sees it."""

    def __init__(
        self, instance: str, store: Store, blobs: BlobStore, vault: Vault, client: Client, fabric: Fabric,
        clock: Clock,
    ) -> None:  # fmt: skip
        super().__init__(client, clock, blobs=self._blob, tokens=self._token)
        self._instance = instance
        self._store = store
        self._blob_store = blobs
        self._vault = vault
        self._fabric = fabric
        self._renewing = asyncio.Lock()
        self.fence = 0
        """Of the lease under which the runner runs; 0: it needs none, LOST: it has it no more."""
        self.intake: Intake
        self.evidence: Instance
        self.peer: str | None = None
        """Whose envelopes these are, where somebody else opened the connection (`of`)."""

    def of(self, peer: str) -> Self:
        """As one accepted connection has it: what it brings counts as its peer's, on any node and under no lease."""
        port = copy(self)
        port.peer, port.fence = peer, 0
        return port

    # ---- in ------------------------------------------------------------------------------------------

    async def receive(
        self, *envelopes: Envelope, cursor: bytes | None = None, name: str = "", wait: bool = True
    ) -> Sequence[Received]:
        """As the protocol says."""
        if self.fence == LOST:
            raise LeaseLost(f"another node may run {self._instance} now")
        if self.peer is not None:
            for _ in envelopes:
                await self.intake.turn(self._instance, self.peer)
        received = await self.intake.receive(
            self._instance, envelopes, cursor=cursor, name=name, wait=wait, fence=self.fence
        )
        crashpoint("port.received")  # a mailbox's move comes after this
        self.evidence.answered(message=bool(envelopes))
        return received

    async def cursor(self, name: str = "") -> bytes | None:
        """As the protocol says."""
        return await self._store.read(read_cursor, self._instance, name)

    def alive(self) -> None:
        """As the protocol says."""
        self.evidence.answered()

    async def dial(self, call: Call) -> Link:
        """As the protocol says."""
        return Dialled(await self._client.dial(call), self.alive)

    # ---- the desk --------------------------------------------------------------------------------------

    async def reference(self, envelope: Envelope) -> str:
        """As the protocol says."""
        key = hash_key(self._instance, envelope.key)
        found = await self._store.read(reference_for, key)
        if found is None:
            return ""
        number, reference = found
        return reference or receipt_of(number, key)

    async def notices(self) -> Sequence[str]:
        """As the protocol says; the newest first."""
        return [one.text for one in await self._store.read(announcements, to_millis(self.clock.now()))]

    async def redeem(self, token: str, envelope: Envelope) -> bool:
        """As the protocol says; ten tries an hour for who stands in the envelope's lane, `PINS_AN_HOUR` everywhere."""
        if not self._fabric.allow(f"redeem:{self._instance}:{envelope.lane}", 10, 3600):
            return False
        if not self._fabric.allow("redeem", PINS_AN_HOUR, HOUR):
            await self._guessed()
            return False
        if len(token) == pins.DIGITS and token.isdecimal():
            return await self._store.write(pins.open_by, token, envelope.key, to_millis(self.clock.now()))
        return await self._store.read(continues, hash_key("continue", token), to_millis(self.clock.now()))

    async def _guessed(self) -> None:
        """Right ones are refused too now: a person must know. Said once a minute, so that guesses cost us nothing."""
        if not self._fabric.allow("redeem:said", 1, 60):
            return
        now = self.clock.now()
        end = now.replace(minute=0, second=0, microsecond=0) + timedelta(seconds=HOUR)  # a window of the fabric
        until = end.strftime("%Y-%m-%d %H:%M UTC")
        log.warning("pins.refused", instance=self._instance, until=until, tries=PINS_AN_HOUR)
        what = f"all PINs are refused, right ones too, until {until}: {PINS_AN_HOUR} were tried this hour"
        what = f"{what}, the last at {self._instance}"
        await self._store.write(alarms.raise_, alarms.PINS, what, to_millis(now))

    async def last(self, thread: str) -> int:
        """As the protocol says."""
        return await self._store.read(last_line, thread_hash(self._instance, thread))

    async def feed(self, thread: str, after: int) -> AsyncGenerator[Line | Signal, None]:
        """As the protocol says."""
        key = thread_hash(self._instance, thread)
        with self._fabric.following(thread_topic(key)) as following:  # before the first look: nothing falls between
            while True:
                lines = await self._store.read(lines_after, key, after)
                for line in lines:
                    after = line.seq
                    yield line
                while len(lines) < PAGE:
                    news = await following.news(POLL * random.uniform(0.5, 1))  # noqa: S311  # spreads the looks
                    for what in filter(None, news):
                        yield Signal(what=what)
                    if not news or "" in news:
                        break

    def signal(self, thread: str, what: str) -> None:
        """As the protocol says."""
        self._fabric.tell(thread_topic(thread_hash(self._instance, thread)), what)

    # ---- for plugins ---------------------------------------------------------------------------------

    async def _blob(self, sha256: str) -> bytes:
        return await self._store.read(self._blob_store.get, bytes.fromhex(sha256))

    async def _token(self, name: str, renew: Renew) -> bytes:
        """Renewed a minute before it expires, and stored before anybody uses it."""
        async with self._renewing:
            kept = await self._store.read(self._vault.get, self._instance, name)
            if kept is not None and kept[1] - to_millis(self.clock.now()) > EARLY_MS:
                return kept[0]
            value, expires = await renew(kept[0] if kept else None)
            await self._store.write(self._vault.put, self._instance, name, value, to_millis(expires))
            return value
