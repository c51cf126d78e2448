"""Triage as it was decided, and what agents made of it: history for backtests and suggestions, paged by key.

Ids carry the time of recording, so a page begins where the last one ended and a window needs no index on time.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, Select, func, select

from context_store import tables as t
from context_store.ids import EPOCH_MS
from context_store.lookups import KnownUser
from context_store.shapes import fill

PAGE = 200
"""Rows: facts hold up to 100,000 characters of text and as much quoted, so a page of the worst is tens of MB."""

_d = t.decisions.c


class Decided(Struct, frozen=True, kw_only=True):
    """A decision by rules; `facts` and `outcome` are routing's JSON."""

    id: int
    query_id: int
    root_id: int
    """Of the matter; another than `query_id` for a conversation that was joined to it."""
    reference: str
    facts: str
    outcome: str
    model: str = ""
    """Which model's opinion stands beside it."""
    opinion: str = ""


class Correction(Struct, frozen=True, kw_only=True):
    """An agent's change of a query."""

    id: int
    query_id: int
    said: Mapping[str, Any]
    """Field → what the agent set."""


def before(moment: int) -> int:
    """The greatest id that is older than a moment (UTC milliseconds)."""
    return (max(moment - EPOCH_MS, 0) << 22) - 1


def how_many(conn: Connection, after: int) -> int:
    """Decisions by rules with an id above `after`."""
    return conn.scalar(select(func.count()).where(_d.id > after, _d.author == "rules")) or 0


def newest(conn: Connection, after: int, most: int) -> int:
    """The id after which at most `most` decisions by rules stand: `after`, or a later one."""
    wanted = select(_d.id).where(_d.id > after, _d.author == "rules").order_by(_d.id.desc()).offset(most).limit(1)
    return conn.scalar(wanted) or after


def decided(conn: Connection, after: int, page: int = PAGE, *, beside: str = "") -> Iterator[Decided]:
    """Decisions by rules with an id above `after`, oldest first; `beside`: those with an opinion of that source."""
    columns = (_d.id, _d.query_id, t.queries.c.root_id, t.queries.c.reference, _d.facts, _d.outcome)
    wanted = select(*columns).join(t.queries, t.queries.c.id == _d.query_id).where(_d.author == "rules")
    if beside:
        o = t.opinions.c
        wanted = wanted.add_columns(o.model, o.body.label("opinion"))
        wanted = wanted.join(t.opinions, (o.decision_id == _d.id) & (o.source == beside))
    for row in _paged(conn, wanted, _d.id, after, page):
        yield Decided(**row._mapping)


def corrections(conn: Connection, after: int, page: int = PAGE) -> Iterator[Correction]:
    """What agents set, oldest first, without what was erased."""
    e = t.events.c
    wanted = select(e.id, e.subject_id, e.body).where(
        e.kind == "query.set", e.actor.startswith("agent:"), e.body.is_not(None)
    )
    for row in _paged(conn, wanted, e.id, after, page):
        yield Correction(id=row.id, query_id=row.subject_id, said=_said(row.body))


AGENT = "agent"


def who_set(conn: Connection, query: int, field: str) -> str:
    """Of a root's field: AGENT, a rule, or what it followed from; "": nobody knows, or an agent took it back."""
    e = t.events.c
    told = select(e.body).where(
        e.subject_id == query, e.kind == "query.set", e.actor.startswith("agent:"), e.body.is_not(None)
    )
    for body in conn.scalars(told.order_by(e.id.desc())):
        event = msgspec.json.decode(body)
        if field in event.get("set_by", {}):
            return str(event["set_by"][field])
        if field in event["is"]:
            return AGENT if event["is"][field] else ""
    judged = select(_d.outcome).where(_d.query_id == query, _d.author == "rules").order_by(_d.id.desc()).limit(1)
    outcome = conn.scalar(judged)
    return str(msgspec.json.decode(outcome).get("set_by", {}).get(field, "")) if outcome else ""


def _said(body: str) -> dict[str, Any]:
    """Of an agent's change what the agent said, without what followed by itself (`set_by`)."""
    event = msgspec.json.decode(body)
    return {field: value for field, value in event["is"].items() if field not in event.get("set_by", {})}


def _paged(conn: Connection, wanted: Select[Any], key: Any, after: int, page: int) -> Iterator[Any]:
    while True:
        rows = conn.execute(wanted.where(key > after).order_by(key).limit(page)).all()
        yield from rows
        if len(rows) < page:
            return
        after = rows[-1].id


class StoredMessage(Struct, frozen=True, kw_only=True):
    """A message as it is stored, with its sender and what is known of the user: to judge it without effect."""

    id: int
    query_id: int
    reference: str
    envelope_id: int | None
    instance: str
    channel: str
    kind: str
    direction: str
    automatic: str
    assurance: int
    at: int
    recorded_at: int
    subject: str
    text: str
    folds: str
    language: str
    recipients: str
    fields: str
    scheme: str
    value: str
    name: str
    user: KnownUser
    attachments: tuple[tuple[str, str, int], ...]
    """(name, type, bytes)"""
    decision_id: int | None
    """By rules, if it was judged: messages that open a query are."""


def stored_message(conn: Connection, number: int) -> StoredMessage | None:
    """None: there is no such message."""
    m, i, u, a = t.messages.c, t.identities.c, t.users.c, t.attachments.c
    row = conn.execute(
        select(t.messages, t.queries.c.reference, i.scheme, i.value, i.name, i.user_id)
        .join(t.queries, t.queries.c.id == m.query_id)
        .join(t.identities, i.id == m.identity_id)
        .where(m.id == number)
    ).first()
    if row is None:
        return None
    known = select(u.id, u.name, func.coalesce(t.organisations.c.slug, ""), u.language, u.vip, u.fields)
    user = conn.execute(known.select_from(t.users.outerjoin(t.organisations)).where(u.id == row.user_id)).one()
    judged = select(_d.id).where(_d.query_id == row.query_id, _d.message_id == number, _d.author == "rules")
    attached = conn.execute(select(a.name, a.type, a.size).where(a.message_id == number).order_by(a.n))
    return fill(
        StoredMessage, row, user=KnownUser(*user), attachments=tuple((*one,) for one in attached),
        decision_id=conn.scalar(judged.order_by(_d.id.desc()).limit(1)),
    )  # fmt: skip
