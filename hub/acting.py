"""What operations share: the matter that a reference names, a draft of one action, and the event that it leaves."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection

from context_store import answering
from context_store.answering import Matter
from context_store.audit import NewEvent, add_events
from context_store.lookups import Wanted, gather
from context_store.references import canonical_reference
from context_store.times import to_millis
from hub.draft import Draft, identity_hash, mailbox_hash
from hub.rooms import Rooms
from hub.wanted import lately
from plugins import Identity

TRIES = 20
"""How often an action is tried again where somebody else was faster."""


async def matter_of(hub: Rooms, text: str) -> Matter:
    """The root that a reference names. Raises LookupError."""
    reference = canonical_reference(text)
    matter = None if reference is None else await hub.store.read(answering.matter, reference)
    if matter is None:
        raise LookupError(f"there is no query {text}")
    return matter


def draft_of(conn: Connection, hub: Rooms, matter: Matter, to: Identity | None = None) -> Draft:
    """Everything known of the matter and of whom it is said to, and room for new rows."""
    now = hub.clock.now()
    wanted = Wanted(queries={matter.id}, automatic_since=lately(to_millis(now)))
    if to is not None:
        wanted.identities.add(identity_hash(to))
        wanted.mailboxes.add(mailbox_hash(to))
    return Draft(hub.store, gather(conn, wanted, to_millis(now)), now)


def moment(at: str | datetime | None) -> datetime | None:
    """ISO 8601, since over the local socket times come as text; without an offset the hub's own zone counts.

    None and "" are none. Raises ValueError.
    """
    try:
        found = datetime.fromisoformat(at) if isinstance(at, str) and at else at or None
        return found.astimezone() if isinstance(found, datetime) else None
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{at!r} is no time: expected e.g. 2026-11-21T08:00+01:00") from error


def leave(conn: Connection, hub: Rooms, kind: str, subject: int, actor: str, body: Mapping[str, Any]) -> None:
    """An event by an agent, in the transaction that did it."""
    event = NewEvent(
        id=hub.store.ids.next(), kind=kind, subject_id=subject, actor=f"agent:{actor}",
        at=to_millis(hub.clock.now()), body=msgspec.to_builtins(body),
    )  # fmt: skip
    add_events(conn, [event])
