# ruff: noqa: D102  # a property's type says what it is
"""What the web needs of the hub, said once: pages can be tried against a store and these few words alone."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from context_store import Store
from context_store.blobs import BlobStore
from hub.config import Config
from hub.helping import Shelf
from hub.instances import Instance
from hub.keys import Keys
from hub.port import Port
from hub.rules import Rules
from hub.telemetry import Telemetry
from plugins import Clock, Identity, Reply, Request


class Intake(Protocol):
    """The HTTP side of a webhook; never raises contract errors."""

    @property
    def full(self) -> bool: ...
    def admit(self, instance_id: str, peer: str) -> Reply | None: ...
    async def accept(self, instance_id: str, request: Request) -> Reply: ...


class Fabric(Protocol):
    """Limits that are counted together."""

    def allow(self, key: str, most: int, seconds: float) -> bool: ...


class Hub(Protocol):
    """`hub.app.Hub`, as far as pages see it."""

    @property
    def config(self) -> Config: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def store(self) -> Store: ...
    @property
    def blobs(self) -> BlobStore: ...
    @property
    def instances(self) -> Mapping[str, Instance]: ...
    @property
    def ports(self) -> Mapping[str, Port]: ...
    @property
    def intake(self) -> Intake: ...
    @property
    def telemetry(self) -> Telemetry: ...
    @property
    def keys(self) -> Keys: ...
    @property
    def rules(self) -> Rules: ...
    @property
    def shelf(self) -> Shelf: ...
    @property
    def fabric(self) -> Fabric: ...


class Operations(Protocol):
    """`hub.operations`: what an agent can do, in console and CLI alike. Every one is told who acts.

    They raise LookupError for what isn't there and ValueError for what can't be done, in words for the agent.
    """

    async def reply(
        self,
        hub: Any,
        actor: str,
        query: str,
        text: str,
        *,
        public: bool = True,
        to_message: int | None = None,
        once: str = "",
    ) -> Any: ...
    async def recipient(
        self, hub: Any, actor: str, reference: str, to_message: int | None = None
    ) -> tuple[Identity, str]: ...
    async def set_query(self, hub: Any, actor: str, reference: str, changes: Mapping[str, Any]) -> Any: ...
    async def note(self, hub: Any, actor: str, reference: str, text: str, *, once: str = "") -> Any: ...
    async def let_go(self, hub: Any, actor: str, reference: str, target: str = "") -> Any: ...
    async def record_contact(
        self, hub: Any, actor: str, instance: str, who: str, about: str, text: str = "", outcome: str = "open",
        *, once: str = "",
    ) -> Mapping[str, str]: ...  # fmt: skip
    async def release(self, hub: Any, actor: str, ids: Sequence[int]) -> Any: ...
