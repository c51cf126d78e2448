"""The shapes that console and CLI read: frozen structs, filled from rows in `views.py` and `evidence.py`."""

from typing import Any, TypeVar

from msgspec import Struct

from context_store.opinions import Opinion
from plugins import Fold, Identity

StructT = TypeVar("StructT", bound=Struct)


def fill(kind: type[StructT], row: Any, **more: Any) -> StructT:
    """A struct from the row's columns of the same names; `more` stands for those that need decoding."""
    return kind(**{name: getattr(row, name) for name in kind.__struct_fields__ if name not in more}, **more)


class Person(Struct, frozen=True, kw_only=True):
    """An identity and whose it is."""

    user_id: int
    user_name: str
    identity_id: int
    scheme: str
    value: str
    name: str
    assurance: int

    @property
    def label(self) -> str:
        """The best name there is."""
        return self.user_name or self.name or self.value


class QueryRow(Struct, frozen=True, kw_only=True):
    """A query in a list; triage and state are the root's."""

    id: int
    reference: str
    subject: str
    state: str
    type: str
    service: str
    impact: str
    urgency: str
    priority: str
    value_stream: str
    channel: str
    instance: str
    team: str
    target: str
    tags: tuple[str, ...]
    language: str
    assignee_id: int | None
    assignee: str
    person: Person
    opened_at: int
    updated_at: int
    last_in_at: int | None
    automatic: bool
    version: int


class QueryFilter(Struct, frozen=True, kw_only=True):
    """What a list is narrowed to; "" narrows nothing. `state` may be `active`."""

    state: str = ""
    channel: str = ""
    team: str = ""
    assignee_id: int = 0
    user_id: int = 0
    text: str = ""
    """The beginning of the subject, the user's name or the address, whatever the case of its ASCII letters."""


class AttachmentView(Struct, frozen=True, kw_only=True):
    """An attachment without its bytes."""

    message_id: int
    n: int
    sha256: bytes | None
    name: str
    type: str
    size: int
    content_id: str


class MessageView(Struct, frozen=True, kw_only=True):
    """A message as people read it."""

    id: int
    query_id: int
    reference: str
    """Of its conversation's query."""
    person: Person
    envelope_id: int | None
    instance: str
    channel: str
    kind: str
    direction: str
    private: bool
    automatic: str
    assurance: int
    standing: str
    at: int
    recorded_at: int
    author: str
    subject: str
    text: str
    folds: tuple[Fold, ...]
    html: bool
    recipients: tuple[Identity, ...]
    delivery: str
    edited_at: int | None
    deleted_at: int | None
    attachments: tuple[AttachmentView, ...] = ()
    cut: bool = False
    """Only the beginning of the text is here."""


class EventView(Struct, frozen=True, kw_only=True):
    """What happened; `body` is empty once it was erased."""

    id: int
    kind: str
    subject_id: int
    actor: str
    at: int
    body: dict[str, Any]
    sealed: bool


class OutboxView(Struct, frozen=True, kw_only=True):
    """Work that leaves the house."""

    id: int
    kind: str
    destination: str
    query_id: int
    message_id: int | None
    state: str
    cause: str
    attempts: int
    due_at: int
    created_at: int
    settled_at: int | None
    maybe_duplicate: bool


class DecisionView(Struct, frozen=True, kw_only=True):
    """A triage decision as it is stored: facts and outcome are routing's JSON."""

    id: int
    query_id: int
    message_id: int | None
    rule_set: str
    facts: bytes
    outcome: bytes
    author: str
    at: int


class TicketView(Struct, frozen=True, kw_only=True):
    """The record of a query in a ticketing tool."""

    target: str
    ticket: str
    ext_id: str
    state: str
    updated_at: int


class JoinView(Struct, frozen=True, kw_only=True):
    """Why another conversation belongs to this matter."""

    reference: str
    via: str
    author: str
    created_at: int
    revoked_at: int | None


class HoldView(Struct, frozen=True, kw_only=True):
    """Why a query does not go on; kind: hold, park or spam."""

    query_id: int
    kind: str
    reason: str
    author: str
    at: int


class ClockView(Struct, frozen=True, kw_only=True):
    """A promise of time; times are UTC milliseconds."""

    promise: str
    """first_response or resolution."""
    begun_at: int
    promised: int
    """Milliseconds of business time."""
    due_at: int | None
    warned_at: int | None
    breached_at: int | None
    ended_at: int | None
    paused: bool
    """It waits for the user."""


class QueryView(Struct, frozen=True, kw_only=True):
    """One matter, whole: every conversation that is joined to it."""

    query: QueryRow
    messages: tuple[MessageView, ...]
    earlier: bool
    """There are messages before the first one here."""
    joins: tuple[JoinView, ...]
    decisions: tuple[DecisionView, ...]
    tickets: tuple[TicketView, ...]
    outbox: tuple[OutboxView, ...]
    events: tuple[EventView, ...]
    clocks: tuple[ClockView, ...] = ()
    opinions: tuple[Opinion, ...] = ()
    """Beside its decisions."""
    hold: HoldView | None = None


class Journey(Struct, frozen=True, kw_only=True):
    """One user: identities, queries, and messages over all channels, newest first."""

    user_id: int
    name: str
    organisation: str
    language: str
    vip: bool
    identities: tuple[Person, ...]
    queries: tuple[QueryRow, ...]
    messages: tuple[MessageView, ...]
    more: bool
    events: tuple[EventView, ...]
