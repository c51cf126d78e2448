"""The reply route (design §5): an answer goes to the identity and instance of the message that it answers."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from plugins import Identity


class Route(Struct, frozen=True):
    """Who would get an answer, and through which instance."""

    instance: str
    to: Identity


class Speaker(Protocol):
    """What the route needs to know of a running instance."""

    id: str
    connector: Any
    roles: frozenset[str]

    @property
    def channel(self) -> str:
        """Its family of contact."""


def can_send(speaker: Speaker, scheme: str) -> bool:
    """Does this instance deliver to identities of that scheme?"""
    return "sender" in speaker.roles and scheme in speaker.connector.capabilities.sends_to


def route(speakers: Mapping[str, Speaker], instance: str, to: Identity) -> Route | None:
    """Through the instance that the message came from; a form or call falls back to one that reaches the scheme.

    None: nothing that is configured reaches this identity. Merges change nothing here: the identity is given.
    """
    own = speakers.get(instance)
    if own is not None and can_send(own, to.scheme):
        return Route(instance, to)
    others: Sequence[Speaker] = [s for s in speakers.values() if can_send(s, to.scheme)]
    return Route(others[0].id, to) if others else None


def reachable(speakers: Mapping[str, Speaker], channel: str, identities: Iterable[Identity]) -> Route | None:
    """Where a user is reached on the channel that they chose, by the first of their identities that can be.

    Not through a live connection: nobody may be there, and it is theirs to begin.
    """
    able = [one for one in speakers.values() if one.channel == channel and "socket" not in one.roles]
    for to in identities:
        for speaker in able:
            if can_send(speaker, to.scheme):
                return Route(speaker.id, to)
    return None
