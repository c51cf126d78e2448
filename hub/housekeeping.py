"""Once a minute what time made due, once an hour the blob folder: files that no row names are removed."""

from dataclasses import dataclass

import structlog
from sqlalchemy.exc import OperationalError

from context_store import CommitUnknown, Store, StoreAway
from context_store.blobs import BlobStore
from context_store.housekeeping import keep_house
from context_store.record import Stale
from context_store.times import to_millis
from hub.communicate.fallback import Fallback
from plugins import Clock

log = structlog.get_logger("trunkline.housekeeping")

ROUND = 60.0
SWEEP_EVERY = 60


@dataclass(slots=True)
class Housekeeping:
    """Every node does it: all of it is safe to do twice."""

    store: Store
    blobs: BlobStore
    fallback: Fallback
    clock: Clock

    async def run(self) -> None:
        """Until cancelled."""
        rounds = 0
        while True:
            await self.clock.sleep(ROUND)
            rounds += 1
            now = self.clock.now()
            try:
                expired = await self.store.write(keep_house, to_millis(now))
                if expired:
                    log.warning("items.waited_in_vain", items=expired)
                await self.fallback.due()
                if rounds % SWEEP_EVERY == 0:
                    await self.store.read(self.blobs.sweep, now.timestamp())
            except (StoreAway, CommitUnknown, OperationalError, Stale) as error:
                log.warning("housekeeping.later", why=str(error))
