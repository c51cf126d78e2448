"""What rules can ask of a message.

Facts are stored with each decision for years: fields are only ever added, with a default, and keep their meaning.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

import msgspec
from msgspec import Struct

FACTS = 2
"""Rises when a fact is added: one younger than the stored `Facts.version` was not captured, which is not missing."""


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
