"""What console and CLI read of queries and people: frozen structs, paged by key, a fixed number of statements each.

Pages go by (time, id) or by id, never by offset: a row that arrives while somebody reads shifts nothing. Ids carry the
time of recording, so `id` is time order, and a sender who lies about the date can't rewrite the order of a history.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from string import ascii_lowercase, ascii_uppercase
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, and_, func, or_, select

from context_store import tables as t
from context_store.clocks import clock_views
from context_store.holds import standing
from context_store.opinions import opinions_of
from context_store.shapes import (
    AttachmentView,
    DecisionView,
    EventView,
    JoinView,
    Journey,
    MessageView,
    OutboxView,
    Person,
    QueryFilter,
    QueryRow,
    QueryView,
    TicketView,
    fill,
)
from plugins import Fold, Identity

ACTIVE = ("new", "open", "pending", "on_hold")
PAGE = 50
_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)


_q, _i, _u, _m = t.queries.c, t.identities.c, t.users.c, t.messages.c
_person = (
    _u.id.label("user_id"), _u.name.label("user_name"), _i.id.label("person_id"), _i.scheme, _i.value,
    _i.name.label("identity_name"), _i.assurance.label("identity_assurance"),
)  # fmt: skip
_queries = (
    select(t.queries, func.coalesce(t.agents.c.name, "").label("assignee"), *_person)
    .join(t.identities, _i.id == _q.identity_id)
    .join(t.users, _u.id == _i.user_id)
    .outerjoin(t.agents, t.agents.c.id == _q.assignee_id)
)


def _messages(letters: int | None) -> Select[Any]:
    """With one letter more than wanted, so that a cut is seen."""
    text = _m.text if letters is None else func.substr(_m.text, 1, letters + 1).label("text")
    return (
        select(
            *(column for column in _m if column.name not in {"html", "reply_via", "key_hash", "key", "text"}),
            text,
            (_m.html != "").label("has_html"),
            _q.reference,
            *_person,
        )
        .join(t.queries, _q.id == _m.query_id)
        .join(t.identities, _i.id == _m.identity_id)
        .join(t.users, _u.id == _i.user_id)
    )


def _person_of(row: Any) -> Person:
    return fill(Person, row, identity_id=row.person_id, name=row.identity_name, assurance=row.identity_assurance)


def _query_row(row: Any) -> QueryRow:
    return fill(QueryRow, row, tags=msgspec.json.decode(row.tags, type=tuple[str, ...]), person=_person_of(row))


# ---- lists of queries --------------------------------------------------------------------------------


def beginning(conn: Connection, column: Any, text: str) -> ColumnElement[bool]:
    """Text that begins so, whatever the case of its ASCII letters; the search index is for everything else.

    SQLite's lower() knows no other letters, PostgreSQL's all of the database's locale unless told "C": so they find
    the same.
    """
    escaped = text.translate(_LOWER).replace("!", "!!").replace("%", "!%").replace("_", "!_")
    plain = column.collate("C") if conn.dialect.name == "postgresql" else column
    return func.lower(plain).like(escaped + "%", escape="!")


def _narrow(conn: Connection, statement: Select[Any], wanted: QueryFilter) -> Select[Any]:
    if wanted.state:
        statement = statement.where(_q.state.in_(ACTIVE if wanted.state == "active" else (wanted.state,)))
    for column, value in ((_q.channel, wanted.channel), (_q.team, wanted.team)):
        if value:
            statement = statement.where(column == value)
    if wanted.assignee_id:
        statement = statement.where(_q.assignee_id == wanted.assignee_id)
    if wanted.user_id:
        statement = statement.where(_i.user_id == wanted.user_id)
    if wanted.text:
        columns = (_q.subject, _u.name, _i.value)
        statement = statement.where(or_(*(beginning(conn, column, wanted.text) for column in columns)))
    return statement


def list_queries(
    conn: Connection, wanted: QueryFilter, before: tuple[int, int] | None = None, limit: int = PAGE
) -> tuple[QueryRow, ...]:
    """Matters (not the conversations joined to them), the last touched first.

    `before`: (updated_at, id) of the last row of the page before.
    """
    statement = _narrow(conn, _queries.where(_q.root_id == _q.id), wanted)
    if before:
        at, number = before
        statement = statement.where(or_(_q.updated_at < at, and_(_q.updated_at == at, _q.id < number)))
    statement = statement.order_by(_q.updated_at.desc(), _q.id.desc()).limit(limit)
    return tuple(map(_query_row, conn.execute(statement)))


def find_query(conn: Connection, reference: str) -> int | None:
    """The root of the matter that this canonical reference belongs to."""
    return conn.execute(select(_q.root_id).where(_q.reference == reference)).scalar()


def reference_of_query(conn: Connection, query_id: int) -> str | None:
    """The reference of the matter that a conversation belongs to."""
    root = select(_q.root_id).where(_q.id == query_id).scalar_subquery()
    return conn.execute(select(_q.reference).where(_q.id == root)).scalar()


# ---- messages ----------------------------------------------------------------------------------------


def _attachments(conn: Connection, ids: Collection[int]) -> dict[int, list[AttachmentView]]:
    found: dict[int, list[AttachmentView]] = defaultdict(list)
    if ids:
        a = t.attachments.c
        columns = (a.message_id, a.n, a.sha256, a.name, a.type, a.size, a.content_id)
        stand = select(*columns).join(t.messages).where(a.message_id.in_(ids), _m.deleted_at.is_(None))
        for row in conn.execute(stand.order_by(a.message_id, a.n)):
            found[row.message_id].append(fill(AttachmentView, row))
    return found


def _message_views(conn: Connection, rows: Sequence[Any], letters: int | None) -> tuple[MessageView, ...]:
    attached = _attachments(conn, [row.id for row in rows])
    return tuple(
        fill(
            MessageView,
            row,
            html=bool(row.has_html),
            person=_person_of(row),
            folds=msgspec.json.decode(row.folds, type=tuple[Fold, ...]),
            recipients=msgspec.json.decode(row.recipients, type=tuple[Identity, ...]),
            attachments=tuple(attached[row.id]),
            text=row.text[:letters],
            cut=letters is not None and len(row.text) > letters,
        )
        for row in rows
    )


def message_html(conn: Connection, message_id: int) -> str | None:
    """The HTML body, None if there is no such message."""
    return conn.execute(select(_m.html).where(_m.id == message_id)).scalar()


def message_text(conn: Connection, message_id: int) -> str | None:
    """The whole text, None if there is no such message."""
    return conn.execute(select(_m.text).where(_m.id == message_id)).scalar()


def attachment(conn: Connection, message_id: int, n: int) -> AttachmentView | None:
    """One attachment of a message."""
    return next((each for each in _attachments(conn, [message_id])[message_id] if each.n == n), None)


# ---- one query, one user -----------------------------------------------------------------------------


def _events(conn: Connection, subjects: Collection[int], limit: int) -> tuple[EventView, ...]:
    e = t.events.c
    columns = (e.id, e.kind, e.subject_id, e.actor, e.at, e.body, e.seq)
    rows = conn.execute(select(*columns).where(e.subject_id.in_(subjects)).order_by(e.id.desc()).limit(limit))
    return tuple(
        fill(EventView, row, body=msgspec.json.decode(row.body) if row.body else {}, sealed=row.seq is not None)
        for row in rows
    )


_o = t.outbox.c
OUTBOX_COLUMNS = (
    _o.id, _o.kind, _o.destination, _o.query_id, _o.message_id, _o.state, func.coalesce(_o.cause, "").label("cause"),
    _o.attempts, _o.due_at, _o.created_at, _o.settled_at, _o.maybe_duplicate,
)  # fmt: skip


def outbox_view(row: Any) -> OutboxView:
    """A row of `OUTBOX_COLUMNS`."""
    return fill(OutboxView, row)


def _decision(row: Any) -> DecisionView:
    return fill(DecisionView, row, facts=row.facts.encode(), outcome=row.outcome.encode())


def get_decision(conn: Connection, decision_id: int) -> tuple[DecisionView, bytes | None] | None:
    """A decision and the source of the rule set that made it, if that is still there."""
    row = conn.execute(
        select(t.decisions, t.rule_sets.c.source)
        .outerjoin(t.rule_sets, t.rule_sets.c.hash == t.decisions.c.rule_set)
        .where(t.decisions.c.id == decision_id)
    ).first()
    return (_decision(row), row.source) if row else None


def _joins(conn: Connection, root: int) -> tuple[JoinView, ...]:
    j = t.query_joins.c
    rows = conn.execute(
        select(_q.reference, j.via, j.author, j.created_at, j.revoked_at)
        .join(t.queries, _q.id == j.query_id)
        .where(j.into_id == root)
        .order_by(j.id)
    )
    return tuple(fill(JoinView, row) for row in rows)


def show_query(
    conn: Connection, root: int, before: int | None = None, limit: int = 200, letters: int | None = None
) -> QueryView | None:
    """The matter with the newest `limit` messages before message `before`, oldest first.

    `letters`: of each text; None for whole ones.
    """
    row = conn.execute(_queries.where(_q.id == root)).first()
    if row is None:
        return None
    members = list(conn.execute(select(_q.id).where(_q.root_id == root)).scalars())
    wanted = _messages(letters).where(_m.query_id.in_(members), *([_m.id < before] if before else []))
    newest = conn.execute(wanted.order_by(_m.id.desc()).limit(limit + 1)).all()
    d, k = t.decisions.c, t.tickets.c
    decisions = conn.execute(select(t.decisions).where(d.query_id.in_(members)).order_by(d.id.desc()).limit(20)).all()
    tickets = conn.execute(
        select(k.target, k.ticket, k.ext_id, k.state, k.updated_at).where(k.query_id.in_(members)).order_by(k.id)
    )
    outbox = conn.execute(select(*OUTBOX_COLUMNS).where(_o.query_id.in_(members)).order_by(_o.id.desc()).limit(100))
    return QueryView(
        query=_query_row(row),
        messages=_message_views(conn, newest[:limit][::-1], letters),
        earlier=len(newest) > limit,
        joins=_joins(conn, root),
        decisions=tuple(map(_decision, decisions)),
        tickets=tuple(fill(TicketView, ticket) for ticket in tickets),
        outbox=tuple(map(outbox_view, outbox)),
        events=_events(conn, members, 100),
        clocks=clock_views(conn, root),
        hold=standing(conn, root),
        opinions=opinions_of(conn, [each.id for each in decisions]),
    )


def show_user(
    conn: Connection, user_id: int, before: int | None = None, limit: int = PAGE, letters: int | None = None
) -> Journey | None:
    """A user's journey: `limit` messages before message `before`, newest first; `letters` as in `show_query`."""
    user = conn.execute(
        select(t.users, func.coalesce(t.organisations.c.name, "").label("organisation"))
        .outerjoin(t.organisations, t.organisations.c.id == _u.organisation_id)
        .where(_u.id == user_id)
    ).first()
    if user is None:
        return None
    people = conn.execute(select(*_person).join(t.users, _u.id == _i.user_id).where(_u.id == user_id).order_by(_i.id))
    identities = tuple(map(_person_of, people))
    mine = [person.identity_id for person in identities]
    wanted = _messages(letters).where(_m.identity_id.in_(mine), *([_m.id < before] if before else []))
    rows = conn.execute(wanted.order_by(_m.id.desc()).limit(limit + 1)).all()
    queries = conn.execute(_queries.where(_q.identity_id.in_(mine)).order_by(_q.id.desc()).limit(limit))
    return fill(
        Journey,
        user,
        user_id=user.id,
        vip=bool(user.vip),
        identities=identities,
        queries=tuple(map(_query_row, queries)),
        messages=_message_views(conn, rows[:limit], letters),
        more=len(rows) > limit,
        events=_events(conn, [user_id], PAGE),
    )
