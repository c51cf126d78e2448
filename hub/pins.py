"""PINs as agents hand them out: `trunkline query pin`, and `{pin}` in the text of an acknowledgement."""

from sqlalchemy import Connection

from context_store import pins
from context_store.answering import Matter
from context_store.lookups import KnownQuery
from context_store.times import to_millis
from hub.acting import leave, matter_of
from hub.draft import Draft
from hub.rooms import Rooms


async def issue_pin(hub: Rooms, actor: str, reference: str) -> dict[str, str]:
    """A PIN that continues the query by telephone, for a day; the ones before it end. It is shown once."""
    matter = await matter_of(hub, reference)
    if matter.state == "closed":
        raise ValueError(f"{matter.reference} is closed: nothing continues it")
    pin = await hub.store.write(_issue, hub, matter, actor)
    hub.fabric.wake("events")
    return {"reference": matter.reference, "pin": pin}


def drawn(draft: Draft, query: KnownQuery) -> str:
    """A PIN for an acknowledgement, kept with it."""
    pin, row = pins.draw(query.root_id, draft.now)
    draft.batch.insert("tokens", **row)
    return shown(pin)


def shown(pin: str) -> str:
    """In groups of three, as people read digits."""
    return " ".join(pin[at : at + 3] for at in range(0, len(pin), 3))


def _issue(conn: Connection, hub: Rooms, matter: Matter, actor: str) -> str:
    pin = pins.issue(conn, matter.id, to_millis(hub.clock.now()))
    leave(conn, hub, "pin.issued", matter.id, actor, {})
    return pin
