# ruff: noqa: D102  # as `hub.operations` says of each
"""What the web needs of `hub.operations`, said once: pages can be tried against a store and these few words alone."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from hub.rooms import Rooms
from plugins import Identity, Media


class Operations(Protocol):
    """`hub.operations`: what an agent can do, in console and CLI alike. Every one is told who acts.

    They raise LookupError for what isn't there and ValueError for what can't be done, in words for the agent.
    """

    async def reply(
        self,
        hub: Rooms,
        actor: str,
        query: str,
        text: str,
        *,
        public: bool = True,
        to_message: int | None = None,
        once: str = "",
        files: Sequence[Media] = (),
    ) -> Any: ...
    async def recipient(
        self, hub: Rooms, actor: str, reference: str, to_message: int | None = None
    ) -> tuple[Identity, str]: ...
    async def typing(self, hub: Rooms, actor: str, reference: str, to_message: int | None = None) -> None: ...
    async def set_query(self, hub: Rooms, actor: str, reference: str, changes: Mapping[str, Any]) -> Any: ...
    async def note(self, hub: Rooms, actor: str, reference: str, text: str, *, once: str = "") -> Any: ...
    async def let_go(self, hub: Rooms, actor: str, reference: str, target: str = "") -> Any: ...
    async def issue_pin(self, hub: Rooms, actor: str, reference: str) -> Mapping[str, str]: ...
    async def record_contact(
        self, hub: Rooms, actor: str, instance: str, who: str, about: str, text: str = "", outcome: str = "open",
        *, once: str = "",
    ) -> Mapping[str, str]: ...  # fmt: skip
    async def release(self, hub: Rooms, actor: str, ids: Sequence[int]) -> Any: ...
