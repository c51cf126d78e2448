"""What routing takes and gives: facts in, a decision out, and the rule set between them.

`Facts` and `Decision` are stored for years: fields are only ever added, with a default, and keep their meaning.
From a decision's facts every "why" and "why not" is computed again, so nothing else of a run is kept.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    from routing.calendars import Calendar
    from routing.catalogue import Catalogue
    from routing.conditions import All
    from routing.index import Index

ENGINE = 1
"""Rises when the same file and facts would give another decision: stored in each decision, part of the hash."""

FACTS = 2
"""Rises when a fact is added: one younger than the stored `Facts.version` was not captured, which is not missing."""

QueryType = Literal["incident", "request", "consultation", "complaint", "compliment", "feedback", "unknown"]
Impact = Literal["person", "team", "department", "organisation"]
Urgency = Literal["low", "medium", "high", "critical"]
Priority = Literal["P1", "P2", "P3", "P4", "P5"]

Report = Callable[[str, str, str], None]
"""Collects one problem of a file: (key, what is wrong, what is allowed)."""


class Sender(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The identity that the message came from, canonical as in `plugins.Identity`."""

    address: str | None = None
    scheme: str | None = None
    name: str | None = None
    """As the sender writes it: a claim, whatever the assurance."""


class Person(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of the user whom the sender was recognised as."""

    organisation: str | None = None
    groups: tuple[str, ...] | None = None
    vip: bool | None = None
    language: str | None = None
    region: str | None = None
    contract: str | None = None
    fields: Mapping[str, str] = {}
    """Whatever else the directory says of the user."""
    as_of: datetime | None = None
    """When the directory said all this."""


class Attachment(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One attachment, by what its channel says of it; its bytes are not looked at."""

    name: str = ""
    type: str = "application/octet-stream"
    size: int | None = None
    """Bytes; None while they are not fetched yet."""


class History(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the user had with us before this message; None is not counted yet."""

    open_queries: int | None = None
    contacts: tuple[int, ...] | None = None
    """Messages of theirs in each of the last periods of 24 hours, newest first, this one left out."""
    same_subject: int | None = None
    """Those with the same subject, folded and without `Re:`, in the time that `contacts` covers."""


class Facts(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything that rules can ask of a message: typed, closed, stored with the decision.

    None is missing: not known, not said, not applicable. An empty string is missing too; an empty tuple is known to be
    empty. Text is as the message has it: comparing forms are made when it is judged.
    """

    version: int = msgspec.field(default_factory=lambda: FACTS)
    """Always stored: what was captured depends on it."""
    channel: str | None = None
    instance: str | None = None
    direction: Literal["in", "out"] = "in"
    kind: str | None = None
    subject: str | None = None
    body: str | None = None
    """The new part of the body, without quotes and signature: rules call subject and this `text`."""
    quoted: str | None = None
    sender: Sender | None = None
    user: Person | None = None
    """None: the sender was not recognised as a user."""
    assurance: int | None = None
    attachments: tuple[Attachment, ...] | None = None
    automatic: str | None = None
    """`plugins.Message.automatic`; "" is known to be written by a person."""
    language: str | None = None
    fields: Mapping[str, str] = {}
    tags: tuple[str, ...] | None = None
    """Tags of the query before this decision."""
    at: datetime | None = None
    """When the message was received, with its zone: business hours are asked of it."""
    recipients: tuple[str, ...] | None = None
    """Addresses that it was sent to."""
    service: str | None = None
    """Chosen by the user, or known from the query, before this decision."""
    history: History | None = None
    announced: tuple[str, ...] | None = None
    """Services with an active announcement; an empty tuple is known to be none."""
    major_incidents: tuple[str, ...] | None = None
    """Services with a major incident."""


class Outcome(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What triage says of a query; None where neither a rule nor the default sets it."""

    type: QueryType
    impact: Impact
    urgency: Urgency
    priority: Priority
    target: str
    service: str | None = None
    value_stream: str | None = None
    team: str | None = None
    tags: tuple[str, ...] = ()
    language: str | None = None
    hold: str | None = None
    """Why the query waits for a person to validate it."""
    acknowledgement: str | None = None
    """Name of the template that the sender is answered with."""
    article: str | None = None
    """Name of the help article that is offered to the agent and, where the channel can, to the user."""
    park: str | None = None
    """Why a person must look before anything else happens."""
    spam: bool = False


class Decision(Struct, frozen=True, kw_only=True):
    """A judged message, as it is stored."""

    facts: Facts
    rules: tuple[str, ...]
    """Names of the rules that matched, in their order, up to and with the one that stopped."""
    outcome: Outcome
    set_by: Mapping[str, str]
    """Outcome field → the rule that set it, or `default`, or `matrix`. Tags singly: `tags.vip`."""
    rule_set: str
    """`RuleSet.hash`."""
    engine: int


class Rule(Struct, frozen=True, kw_only=True, gc=False):
    """One `[[rule]]`."""

    name: str
    when: "All"
    sets: Mapping[str, str | bool]
    tags: tuple[str, ...] = ()
    stop: bool = False
    note: str = ""
    group: str = ""
    """Its guard stands in `when` already."""
    line: int = 0
    """Of its header in the file; 0 if not known."""
    marks: Mapping[str, str] = {}
    """What it adds to `Decision.set_by`: made by `__post_init__`, so that deciding need not."""

    def __post_init__(self) -> None:
        """Field and tag → this rule's name."""
        marks = dict.fromkeys([*self.sets, *(f"tags.{tag}" for tag in self.tags)], self.name)
        msgspec.structs.force_setattr(self, "marks", marks)


class Mention(Struct, frozen=True, kw_only=True, gc=False):
    """A name of something outside the file, which the hub checks: does this team, target, service, … exist?"""

    kind: str
    """`target`, `team`, `service`, `value_stream`, `instance`, `template`, `article`."""
    name: str
    """As the file has it; an instance folded (`routing.fold`), as conditions compare it."""
    file: str
    """With the line, as `Problem.file` has it: `rules.toml:12`."""
    key: str


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RuleSet:
    """A file that was accepted; immutable, so one message is judged by one version of it."""

    file: str
    source: bytes
    hash: str
    """SHA-256 over engine version and the file's bytes, in hex."""
    rules: tuple[Rule, ...]
    default: Rule
    matrix: Mapping[str, Mapping[str, str]]
    index: "Index"
    named: tuple[Mention, ...]
    calendars: Mapping[str, "Calendar"]
    catalogue: "Catalogue"

    def mentions(self) -> Sequence[Mention]:
        """Every name that the hub should hold against its configuration, with its place."""
        return self.named
