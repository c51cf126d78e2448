"""Walk-in and telephone desk: an agent writes down who came or rang, about what, and how it ended.

The agent's words are an envelope like any other: `contact` makes it, the journal keeps it, `parse` reads it. The agent
vouches for the person (A1, the issuer is this instance, the evidence the agent's login). Who it is stands in what was
typed: a mail address, a telephone number (E.164), a user whom the agent picked, each also as `Name <address>`; or
a bare name, which is an identity of this one contact and is never taken for another's.

Nothing is sent from here: answers go through the instance that reaches the address.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta, Struct

from plugins import (
    MOST_TEXT,
    Capabilities,
    Channel,
    Claim,
    Connector,
    Contact,
    Envelope,
    Identity,
    Instant,
    Item,
    Malformed,
    Message,
    Skipped,
    canonical_email,
    hookimpl,
    one_line,
    plausible,
)

MOST_ABOUT = 500
NAMED = re.compile(r"(?P<name>[^<>]*)<(?P<address>[^<>]+)>")
MAIL = re.compile(r"[^\s@<>\"(),:;\[\]\\]{1,64}@[^\s@<>]+\.[^\s@<>.]+")
DIALLED = re.compile(r"[+0-9][0-9\s()./–-]*")
E164 = re.compile(r"\+[1-9][0-9]{6,14}")
"""ITU-T E.164 §6.2: fifteen digits at most, the first of the country code is not 0."""


class DeskSettings(Struct, frozen=True, kw_only=True):
    """Settings of kind `desk`."""

    channel: Annotated[
        Literal["walk-in", "phone"], Meta(description="How people come to this desk: in person, or by telephone.")
    ] = "walk-in"


class _Record(Struct, frozen=True, kw_only=True):
    """What the journal keeps."""

    key: Annotated[str, Meta(min_length=1)]
    agent: Annotated[str, Meta(max_length=1024)]
    who: Identity
    about: str
    name: Annotated[str, Meta(max_length=1024)] = ""
    text: str = ""
    settled: bool = False
    at: Instant | None = None


_record = msgspec.json.Decoder(_Record)


class DeskConnector:
    """Contacts that an agent records."""

    contract: ClassVar[int] = 1
    kind: ClassVar[str] = "desk"
    settings_type: ClassVar[type[DeskSettings]] = DeskSettings
    isolate: ClassVar[bool] = False
    capabilities: ClassVar[Capabilities] = Capabilities()

    def __init__(self, instance: str, settings: DeskSettings) -> None:
        self._instance = instance
        self._settings = settings

    @property
    def channel(self) -> Channel:
        """By the setting: a counter and a telephone are two instances."""
        return self._settings.channel

    def contact(self, contact: Contact, at: datetime) -> Envelope:
        """The agent's words as they will be kept."""
        about = one_line(contact.about, MOST_ABOUT)
        if not about:
            raise Malformed("say what it is about")
        if len(contact.text) > MOST_TEXT:
            raise Malformed(f"the text is longer than {MOST_TEXT} characters")
        who, name = (contact.user, "") if contact.user else _identity(contact)
        record = _Record(
            key=contact.key, agent=contact.agent, who=who, name=name, about=about, text=contact.text.strip(),
            settled=contact.settled, at=contact.at,
        )  # fmt: skip
        return Envelope(key=contact.key, raw=msgspec.json.encode(record), at=at, lane=f"{who.scheme} {who.value}")

    def parse(self, envelope: Envelope) -> Iterator[Item]:
        """One message; `recorded by` and `outcome` are fields that rules and agents see."""
        try:
            said = _record.decode(envelope.raw)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            yield Skipped(reason=f"not a contact of the desk: {str(error)[:500]}", park=True)
            return
        yield Message(
            key=said.key,
            sender=Claim(identity=said.who, name=said.name, assurance=1, issuer=self._instance, evidence=said.agent),
            at=plausible(said.at, envelope.at),
            subject=said.about,
            text=said.text or said.about,
            kind="call" if self.channel == "phone" else "form",
            fields={"recorded by": said.agent, "outcome": "answered" if said.settled else "open"},
            settled=said.settled,
        )


def _identity(contact: Contact) -> tuple[Identity, str]:
    """(who, what they are called). A bare name is unknown to all other contacts, so it is kept under this one's key."""
    said = one_line(contact.who, 300)
    named = NAMED.fullmatch(said)
    name, address = (named["name"].strip(' "'), named["address"].strip()) if named else ("", said)
    if "@" in address:
        if not MAIL.fullmatch(address):
            raise Malformed(f"{address} is no mail address")
        return Identity(scheme="email", value=canonical_email(address)), name
    if DIALLED.fullmatch(address):
        return Identity(scheme="tel", value=_number(address)), name
    if named:
        raise Malformed(f"{address} is neither a mail address nor a telephone number")
    if not said:
        raise Malformed("say who it is: a name, a mail address or a telephone number")
    return Identity(scheme="desk", value=contact.key), said


def _number(dialled: str) -> str:
    """As E.164: `0041 (0)44 123 45 67` → `+41441234567`. What only means something in one country is refused."""
    digits = re.sub(r"[^+0-9]", "", dialled.replace("(0)", ""))
    number = f"+{digits[2:]}" if digits.startswith("00") else digits
    if not E164.fullmatch(number):
        raise Malformed(f"{dialled} is no whole telephone number: begin it with the country, such as +41 44 123 45 67")
    return number


@hookimpl
def register_connectors() -> Sequence[type[Connector]]:
    """Kind `desk`."""
    return [DeskConnector]
