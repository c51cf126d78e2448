"""Keeps the search index behind what is recorded (design §7): found a moment later, and recording never waits."""

from dataclasses import dataclass

import structlog
from sqlalchemy.exc import OperationalError

from context_store import CommitUnknown, Store, StoreAway
from context_store.search import due, put
from context_store.times import to_millis
from hub.fabric import Fabric
from plugins import Clock

log = structlog.get_logger("trunkline.indexer")

SEALED = "sealed"
"""The topic that the sealer wakes: events have numbers, which the index follows."""


@dataclass(slots=True)
class Indexer:
    """One for each process; the store lets only one of them index."""

    store: Store
    fabric: Fabric
    clock: Clock
    stopping: bool = False

    async def run(self) -> None:
        """Index what is there, then wait for more."""
        while not self.stopping:
            try:
                more = await self.index()
            except (StoreAway, CommitUnknown, OperationalError) as error:
                log.warning("indexer.store_away", why=str(error))
                more = False
                await self.clock.sleep(1)
            if not more:
                await self.fabric.wait(SEALED, 2)

    async def index(self) -> bool:
        """One batch; True if there may be more. Terms are made in a reader's thread: the writer only writes."""
        async with self.store.holding(due) as batch:
            if batch is None:
                return False
            await self.store.write(put, batch, to_millis(self.clock.now()))
            return True
