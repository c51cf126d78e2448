"""Queries whose sender is still on the way to what it is about: kept back by the hub, judged again as more comes."""

from collections.abc import Collection
from dataclasses import dataclass, field

import msgspec
from sqlalchemy import Connection, exists, select

from context_store import tables as t

HUB = "hub"
"""Author of a hold that the hub itself ends."""

_h, _e, _m, _q = t.holds.c, t.events.c, t.messages.c, t.queries.c


@dataclass(slots=True)
class Underway:
    """What has been said so far, oldest first."""

    texts: list[str] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)


def underway(conn: Connection, roots: Collection[int]) -> dict[int, Underway]:
    """Root → what was said, of those that the hub keeps back and that no agent has changed."""
    touched = exists().where(_e.subject_id == _h.query_id, _e.kind == "query.set")
    kept = select(_h.query_id).where(_h.query_id.in_(roots), _h.author == HUB, _h.ended_at.is_(None), ~touched)
    found = {number: Underway() for number in conn.scalars(kept)}
    if found:
        said = select(_q.root_id, _m.text, _m.fields).join(t.queries, _q.id == _m.query_id)
        inbound = said.where(_q.root_id.in_(found), _m.direction == "in").order_by(_m.id)
        for root, text, fields in conn.execute(inbound):
            found[root].texts.append(text)
            found[root].fields |= msgspec.json.decode(fields, type=dict[str, str])
    return found
