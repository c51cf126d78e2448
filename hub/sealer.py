"""Gives recorded events their `seq` and chains them (design §7), then shows them to observers."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import structlog
from sqlalchemy.exc import OperationalError

from context_store import CommitUnknown, Store, StoreAway
from context_store.audit import SealedEvent, publish_head, seal, sealed_events
from context_store.crashpoints import crashpoint
from context_store.times import from_millis, to_millis
from hub.fabric import Fabric
from hub.indexer import SEALED
from plugins import Clock, Event
from plugins.manager import Plugins

log = structlog.get_logger("trunkline.sealer")

PAUSE = 0.05
"""Seconds between two blocks: each costs two flushes whatever its size, so what comes meanwhile shares the next."""


@dataclass(slots=True)
class Sealer:
    """One for each process; the store lets only one of them seal."""

    store: Store
    fabric: Fabric
    plugins: Plugins
    heads: Path
    clock: Clock
    stopping: bool = False

    async def run(self) -> None:
        """Seal what is there, then wait for more."""
        while not self.stopping:
            try:
                more = await self.seal()
            except (StoreAway, CommitUnknown, OperationalError) as error:
                log.warning("sealer.store_away", why=str(error))
                more = False
                await self.clock.sleep(1)
            if more:
                await self.clock.sleep(PAUSE)
            else:
                await self.fabric.wait("events", 2)

    async def seal(self) -> bool:
        """One block; True if there may be more."""
        head = await self.store.write(seal, to_millis(self.clock.now()))
        if head is None:
            return False
        crashpoint("seal.committed")
        self.fabric.wake(SEALED)
        self.fabric.announce(head.last_seq)
        await asyncio.to_thread(publish_head, self.heads, head)
        if self.plugins.observed:
            self._show(await self.store.read(sealed_events, head.n))
        return True

    def _show(self, events: Sequence[SealedEvent]) -> None:
        for event in events:
            body = msgspec.json.decode(event.body) if event.body else {}
            self.plugins.observe(
                Event(
                    seq=event.seq, kind=event.kind, at=from_millis(event.at), subject=str(event.subject_id), facts=body
                )
            )
