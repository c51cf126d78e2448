"""Rows for the store's tests."""

from context_store import Store
from context_store.journal import Journaled, NewCursor, NewEnvelope, journal
from context_store.text import hash_key, lane_of


def envelope(store: Store, key: str, raw: bytes = b"body", instance: str = "mail", lane: str = "") -> NewEnvelope:
    return NewEnvelope(
        id=store.ids.next(),
        instance=instance,
        key_hash=hash_key(instance, key),
        body_hash=hash_key(raw),
        lane=lane_of(instance, lane),
        facts="{}",
        raw=raw,
        raw_sha=None,
        size=len(raw),
        received_at=store.now(),
    )


async def keep(store: Store, *batch: NewEnvelope, cursors: tuple[NewCursor, ...] = ()) -> list[Journaled]:
    return await store.write(journal, batch, cursors, store.node, store.now(), urgent=True)
