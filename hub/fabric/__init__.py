"""What the parts of the hub, and several nodes of one installation, tell each other. Never the truth (R12).

Everything here may be lost at any moment without loss, duplicate or change of order: whoever waits looks into the store
again after a while by itself. So no method waits for Redis longer than `BOUND`, and none raises because of it.

There are no leases here on purpose. Every promise that needs one (a lane in work, a runner that must be the only one,
outgoing work, the sealer, the indexer, a node's number) has it in the store, where the writes that it guards can check
it in their own transaction; a lock in Redis would be gone with a flush, and nothing would refuse its old holder.
"""

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

BOUND = 0.25
"""Seconds that anybody waits for the other nodes at most."""
PRESENCE = 30.0
"""Seconds after which somebody who was looking at something is held to have gone."""


Limit = tuple[str, int, float]
"""(key, n, seconds): at most n in any so many seconds."""


class Following(Protocol):
    """One who follows topics."""

    async def news(self, seconds: float) -> Collection[str]:
        """What was told since the last time, each word once; nothing after `seconds` without any."""


class Fabric(Protocol):
    """One for each process: `local.LocalFabric` alone, `redis.RedisFabric` among several nodes."""

    trouble: str
    """Why the other nodes can't be reached, in words for an alarm; "" while they can, or if there are none."""

    async def start(self) -> None:
        """Begin to connect; the hub does not wait for it."""

    async def close(self) -> None:
        """Let go."""

    def wake(self, topic: str) -> None:
        """There is work, on every node: a wake-up while nobody waits is kept until somebody does."""

    async def wait(self, topic: str, seconds: float) -> None:
        """Return at the next wake-up, or after `seconds`: a wake-up may be lost, work is found in the store."""

    def tell(self, topic: str, what: str = "") -> None:
        """A word for all who follow the topic now, on every node; "" says: look into the store. Nothing is kept."""

    def following(self, *topics: str) -> AbstractContextManager[Following]:
        """Hear what is told from here on, under any of the topics."""

    def announce(self, seq: int) -> None:
        """Events up to this number are in the store."""

    async def beyond(self, after: int, seconds: float) -> None:
        """Return when an event beyond `after` was announced, or after `seconds`: then read the store (`live`)."""

    def allow(self, key: str, most: int, seconds: float) -> bool:
        """Count one for `key`; False once `most` were counted on all nodes in the current window.

        Decided at once from what this node knows: nodes learn of each other's counts a moment later, and while they
        can't each counts alone.
        """

    async def turn(self, limits: Sequence[Limit]) -> Sequence[float]:
        """Seconds until each limit lets one more through, in their order; all 0: it was counted for each of them.

        Exact on all nodes while they reach each other: never more than n in any so many seconds; without, each node
        counts alone.
        """

    async def turned(self, limits: Sequence[Limit]) -> None:
        """What was let through has happened only now, and counts from here: on its way it may have been held up."""

    def look(self, subject: str, who: str) -> None:
        """`who` looks at it; say so again within `PRESENCE` seconds."""

    async def lookers(self, subject: str) -> Sequence[str]:
        """Who looks at it now, on all nodes, in order of their names."""
