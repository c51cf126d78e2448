"""What only the provider can tell, fetched by durable jobs: media, the ticket as it is now, a profile (design §3.3)."""

import asyncio
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection

from context_store import Store
from context_store.attachments import attach
from context_store.blobs import BlobStore
from context_store.outbox import Work
from context_store.times import to_millis
from hub.instances import Instance
from hub.intake import Intake
from plugins import Identity, Refuse, Retry


class Need(Struct, frozen=True):
    """The body of a `need` row. `ref` is the media's, the ticket's, or `scheme:value`; `n` counts attachments."""

    what: str
    ref: str
    n: int = 0


class Needs:
    """Meets them; the answer is a new envelope, or the bytes of an attachment."""

    def __init__(self, store: Store, blobs: BlobStore, intake: Intake) -> None:
        self._store = store
        self._blobs = blobs
        self._intake = intake

    async def meet(self, work: Work, instance: Instance | None) -> None:
        """Raises Retry, Refuse, Pause as the plugin does; asking twice does no harm."""
        if instance is None or instance.connector is None:
            raise Retry("the instance is not running", after=60)
        need = msgspec.json.decode(work.body, type=Need)
        connector: Any = instance.connector
        if need.what == "media" and instance.has("fetches"):
            data = await connector.fetch(need.ref, instance.egress)
            await asyncio.to_thread(self._blobs.stow, data)
            await self._store.write(self._attach, work.message_id or 0, need.n, data)
        elif need.what == "ticket" and instance.has("readable"):
            envelope = await connector.read(need.ref, instance.egress)
            await self._intake.receive(instance.id, [envelope])
        elif need.what == "profile" and instance.has("profiles"):
            scheme, _, value = need.ref.partition(":")
            envelope = await connector.profile(Identity(scheme=scheme, value=value), instance.egress)
            await self._intake.receive(instance.id, [envelope])
        else:
            raise Refuse("cannot_fetch", f"{instance.kind} has no way to fetch {need.what}")

    def _attach(self, conn: Connection, message: int, n: int, data: bytes) -> None:
        (sha,) = self._blobs.put(conn, [data], to_millis(self._store.clock.now()))
        attach(conn, message, n, sha, len(data))
