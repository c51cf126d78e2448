"""How fast a far side takes what we send: the rates that its connector declares, held on all nodes together.

What comes too early waits in the outbox, where its cause shows; its lane waits behind it, no other one does. A far side
that is not asked too often has no reason to refuse (429), and one refusal of a burst would otherwise be as many tries.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from heapq import heappop, heappush
from math import ceil

from context_store.outbox import Work
from hub.fabric import Fabric
from hub.instances import Instance
from plugins import Retry, Step


class TooSoon(Retry):
    """Nothing went out, and nothing failed: the step has its turn after so many seconds."""

    def __init__(self, after: float, whole: float) -> None:
        """`whole`: seconds for which nothing at all may go to this destination."""
        super().__init__("its turn has not come", after=after)
        self.wait = after
        self.whole = whole


class Pace:
    """Asked before each try of a step."""

    def __init__(self, fabric: Fabric) -> None:
        """It counts for all nodes."""
        self._fabric = fabric

    @asynccontextmanager
    async def turn(self, work: Work, step: Step, instance: Instance) -> AsyncIterator[None]:
        """One step counts for every rate of the connector, from its end. Raises TooSoon, or what `place` raises."""
        rates = instance.connector.capabilities.rates
        if not rates:
            yield
            return
        place = str(instance.connector.place(step)) if instance.has("placed") else ""
        keys = {"instance": work.destination, "lane": f"{work.destination}:{place or work.lane}"}
        limits = [(f"send:{keys[scope]}", n, float(seconds)) for scope, n, seconds in rates]
        waits = await self._fabric.turn(limits)
        if any(waits):
            whole = [wait for wait, (scope, _, _) in zip(waits, rates, strict=True) if scope == "instance"]
            raise TooSoon(max(waits), max(whole, default=0.0))
        try:
            yield
        finally:
            await self._fabric.turned(limits)


class Turns:
    """What this node knows of turns to come, so that it looks for work when there is some, and not before."""

    def __init__(self) -> None:
        """Nothing waits."""
        self._full: dict[str, int] = {}
        self._due: list[int] = []

    def later(self, destination: str, soon: TooSoon, now: int) -> int:
        """When it has its turn, in milliseconds as `now`; nothing is claimed for a destination while it is full."""
        due = now + ceil(soon.wait * 1000)
        if soon.whole:
            self._full[destination] = now + ceil(soon.whole * 1000)
        heappush(self._due, due)
        return due

    def full(self, now: int) -> list[str]:
        """Destinations that take nothing yet."""
        self._full = {name: until for name, until in self._full.items() if until > now}
        return list(self._full)

    def next(self, now: int, most: float) -> float:
        """Seconds until the next turn, `most` at the most."""
        while self._due and self._due[0] <= now:
            heappop(self._due)
        return min(most, (self._due[0] - now) / 1000) if self._due else most
