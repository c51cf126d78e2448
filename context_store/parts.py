"""Parts of a text of ours that went out in several steps, each with its own key and its own receipts."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, select

from context_store import tables as t
from context_store.among import among, rows
from context_store.outbox import SAID


@dataclass(slots=True)
class KnownPart:
    """One of them; `state` as that of a whole message."""

    outbox_id: int
    n: int
    state: str


_m, _o, _s = t.messages.c, t.outbox.c, t.steps.c
_parts = (
    select(_m.id.label("message"), _s.outbox_id, _s.n, _s.state)
    .select_from(t.messages.join(t.outbox, (_o.query_id == _m.query_id) & (_o.message_id == _m.id)).join(t.steps))
    .where(among(_m.id), _o.kind == "delivery")
    .order_by(_s.outbox_id, _s.n)
)


def parts_of(conn: Connection, messages: Collection[int]) -> dict[int, list[KnownPart]]:
    """Message → its parts in order, where there are several."""
    found = defaultdict[int, list[KnownPart]](list)
    for message, outbox_id, n, state in rows(conn, _parts, messages):
        found[message].append(KnownPart(outbox_id, n, SAID.get(state, state)))
    return {message: parts for message, parts in found.items() if len(parts) > 1}
