"""Derive anew what came from envelopes: after a parser was mended, say (R4).

Keeps every id, sends nothing, and overrides no agent: only what `parse` says of a message is written again (subject,
text, folds, HTML, language, attachments). Who it is from, which query it stands in and how that was judged stay.
"""

from collections import Counter
from collections.abc import Sequence
from hashlib import sha256

from msgspec import Struct
from sqlalchemy import Connection

from context_store import rederive
from context_store.audit import NewEvent, add_events
from context_store.text import canonical
from context_store.times import to_millis
from hub.draft import as_json, kept_fields
from hub.rooms import Rooms
from hub.wanted import item_hash
from hub.workers import Parsed
from plugins import Media, Message

PAGE = 100


class _Again(Struct, frozen=True):
    """A message as its envelope says it now."""

    key: bytes
    item: Message


async def reprocess(hub: Rooms, actor: str, ids: Sequence[int], since: int | None) -> dict[str, int]:
    """Counts: `envelopes` read, `messages` written again, `new` items that are not recorded, `failed` to parse."""
    counts: Counter[str] = Counter({"envelopes": 0, "messages": 0, "new": 0, "failed": 0})
    after = 0
    while page := await hub.store.read(rederive.settled_envelopes, ids, since, after, PAGE):
        parsed = await hub.parsers.parse([hub.blobs.fill(envelope) for envelope in page])
        counts["envelopes"] += len(page)
        counts["failed"] += sum(bool(one.cause) for one in parsed)
        counts.update(await hub.store.write(_write_again, hub, actor, _messages(parsed)))
        after = page[-1].id
    return dict(counts)


def _messages(parsed: Sequence[Parsed]) -> list[_Again]:
    found = []
    for one in parsed:
        for item in one.items:
            key = item_hash(one.envelope.instance, item, one)
            if isinstance(item, Message) and key is not None:
                found.append(_Again(key, item))
    return found


def _write_again(conn: Connection, hub: Rooms, actor: str, again: Sequence[_Again]) -> dict[str, int]:
    known = rederive.messages_of_items(conn, [one.key for one in again])
    edited = rederive.edited_messages(conn, list(known.values()))
    wanted = {known[one.key]: one.item for one in again if one.key in known and known[one.key] not in edited}
    rederive.rewrite(conn, [_row(number, item) for number, item in wanted.items()])
    _attach_again(conn, hub, wanted)
    if wanted:
        body = {"messages": [str(number) for number in wanted]}
        event = NewEvent(
            id=hub.store.ids.next(),
            kind="messages.reprocessed",
            subject_id=0,
            actor=f"agent:{actor}",
            at=to_millis(hub.clock.now()),
            body=body,
        )
        add_events(conn, [event])
    return {"messages": len(wanted), "new": sum(one.key not in known for one in again)}


def _row(number: int, item: Message) -> tuple[object, ...]:
    return (
        number,
        canonical(item.subject, 2000),
        canonical(item.text),
        as_json(item.folds),
        canonical(item.html),
        item.language[:35],
        item.automatic,
        kept_fields(item),
    )


def _attach_again(conn: Connection, hub: Rooms, wanted: dict[int, Message]) -> None:
    """Attachments are replaced where their bytes are others now; what only the provider has is left alone."""
    old = rederive.attachments_of(conn, list(wanted))
    changed = {
        number: item.media
        for number, item in wanted.items()
        if all(media.data is not None for media in item.media)
        and [sha for _, sha in old.get(number, [])] != [_sha(media) for media in item.media]
    }
    if not changed:
        return
    now = to_millis(hub.clock.now())
    hub.blobs.put(conn, [media.data or b"" for media_list in changed.values() for media in media_list], now)
    rows = [
        (number, n, _sha(m), canonical(m.name, 500), canonical(m.type, 200), len(m.data or b""), m.content_id, m.ref)
        for number, media_list in changed.items()
        for n, m in enumerate(media_list)
    ]
    rederive.replace_attachments(conn, list(changed), rows)
    gone = Counter(sha for number in changed for _, sha in old.get(number, []) if sha is not None)
    hub.blobs.release(conn, gone)


def _sha(media: Media) -> bytes:
    return sha256(media.data or b"").digest()
