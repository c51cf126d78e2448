"""What an agent writes down becomes an envelope, and that a message."""

from datetime import timedelta

import msgspec
import pytest

from connectors.channels.desk import DeskConnector, DeskSettings
from plugins import Contact, Identity, Malformed, Message, Skipped
from plugins.testing.conformance import ConnectorConformance
from plugins.testing.stubs import START


def contact(who="Ann Kern <ann@acme.test>", about="VPN down", **more):
    return Contact(key=more.pop("key", "ada 1"), agent="ada", who=who, about=about, **more)


class TestDesk(ConnectorConformance):
    cls = DeskConnector
    table = {}

    def envelopes(self):
        made = self.make()
        return [
            made.contact(contact(), START),
            made.contact(contact("+41 44 123 45 67", text="They wait.", settled=True, key="ada 2"), START),
            made.contact(contact("A man in a hat", key="ada 3", at=START - timedelta(hours=1)), START),
        ]

    def hostile_envelopes(self):
        (one, *_) = self.envelopes()
        for raw in (b"", b"[]", b"{", b"\xff", b"[" * 100_000, one.raw.replace(b"email", b"E mail")):
            yield raw[:9].hex(), msgspec.structs.replace(one, raw=raw)


def read(who, channel="walk-in", **more):
    made = DeskConnector("desk", DeskSettings(channel=channel))
    (item,) = made.parse(made.contact(contact(who, **more), START))
    assert isinstance(item, Message)
    return item


@pytest.mark.parametrize(
    ("typed", "scheme", "value", "name"),
    [
        ("ann@acme.test", "email", "ann@acme.test", ""),
        (" Ann Kern <Ann@ACME.test> ", "email", "ann@acme.test", "Ann Kern"),
        ("+41 (0)44 123 45-67", "tel", "+41441234567", ""),
        ("0041 44 123 45 67", "tel", "+41441234567", ""),
        ("Bo <+4512345678>", "tel", "+4512345678", "Bo"),
        ("Bo from the second floor", "desk", "ada 1", "Bo from the second floor"),
    ],
)
def test_who_it_is_stands_in_what_was_typed(typed, scheme, value, name):
    sender = read(typed).sender
    assert (sender.identity, sender.name) == (Identity(scheme=scheme, value=value), name)


def test_agent_vouches_for_the_sender():
    sender = read("ann@acme.test").sender
    assert (sender.assurance, sender.issuer, sender.evidence) == (1, "desk", "ada")


def test_user_whom_the_agent_picked_is_the_sender():
    known = Identity(scheme="slack", value="U1")
    assert read("Ann <slack:U1>", user=known).sender.identity == known


def test_bare_names_of_two_contacts_are_two_identities():
    assert read("Ann", key="ada 1").sender.identity != read("Ann", key="ada 2").sender.identity


@pytest.mark.parametrize(
    ("typed", "about", "says"),
    [
        ("", "VPN", "who"),
        ("Ann", " \n", "about"),
        ("@ann", "VPN", "no mail address"),
        ("ann@acme", "VPN", "no mail address"),
        ("044 123 45 67", "VPN", "country"),
        ("+1", "VPN", "country"),
        ("Ann <somewhere>", "VPN", "neither"),
    ],
)
def test_what_says_too_little_is_refused_in_words(typed, about, says):
    with pytest.raises(Malformed, match=says):
        DeskConnector("desk", DeskSettings()).contact(contact(typed, about), START)


def test_telephone_desk_makes_calls():
    assert (read("Ann").kind, read("Ann", "phone").kind) == ("form", "call")


def test_time_of_the_contact_is_kept_unless_it_is_nonsense():
    assert read("Ann", at=START - timedelta(days=1)).at == START - timedelta(days=1)
    assert read("Ann", at=START + timedelta(days=9)).at == START


def test_outcome_and_agent_are_fields_for_rules():
    said = read("Ann", settled=True)
    assert said.settled
    assert said.fields == {"recorded by": "ada", "outcome": "answered"}


def test_damaged_record_is_parked():
    made = DeskConnector("desk", DeskSettings())
    envelope = made.contact(contact(), START)
    assert [item.park for item in made.parse(msgspec.structs.replace(envelope, raw=b"{}")) if isinstance(item, Skipped)]
