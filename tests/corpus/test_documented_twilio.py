"""The stand-ins say nothing that Twilio's own specifications do not say, as far as those go (no Messages API)."""

import re

from connectors.channels.twilio import calls, sms
from plugins.testing.standins.twilio import ACCOUNT, STATES, TwilioSms
from tests.shared import shared

SPECS = {name: shared(f"specs/twilio_oai/spec/json/twilio_{name}_v1.json") for name in ("conversations", "voice")}


def schema(name: str, kind: str):
    return SPECS[name]["components"]["schemas"][kind]


def test_states_of_messages_are_those_of_the_specification():
    told = set(schema("conversations", "conversation_message_receipt_enum_delivery_status")["enum"])
    assert told <= STATES
    assert told <= sms._STATES.keys()


def test_identifiers_have_the_form_of_the_specification():
    text = str(SPECS)
    for kind, made in (("AC", ACCOUNT), ("CA", TwilioSms().sid("CA"))):
        (pattern,) = set(re.findall(rf"\^{kind}\[[^\]]+\]\{{32\}}\$", text))
        assert re.fullmatch(pattern, made)
        assert re.fullmatch(pattern, made.upper())
    assert calls.SID.fullmatch(TwilioSms().sid("CA").upper())
