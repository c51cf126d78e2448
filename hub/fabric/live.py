"""Live events for whoever looks on: pages, sockets. The store is the truth, the fabric only says that there is more."""

from collections.abc import AsyncGenerator

from context_store import Store
from context_store.audit import SealedEvent, events_beyond
from hub.fabric import Fabric

PAGE = 200
LOOK = 15.0
"""Seconds after which the store is asked even if nothing was announced."""


async def live(store: Store, fabric: Fabric, after: int) -> AsyncGenerator[SealedEvent, None]:
    """Every event beyond `after`, in order of `seq`, without a gap; on any node.

    Whoever was cut off goes on with the last number that they saw. Raises what the store raises.
    """
    while True:
        events = await store.read(events_beyond, after, PAGE)
        for event in events:
            after = event.seq
            yield event
        if len(events) < PAGE:
            await fabric.beyond(after, LOOK)
