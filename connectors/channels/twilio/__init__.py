"""Twilio: text messages (kind `twilio_sms`) and calls (kind `twilio_voice`), two classes over one wire."""

from collections.abc import Sequence

from connectors.channels.twilio.sms import TwilioSmsConnector
from connectors.channels.twilio.voice import TwilioVoiceConnector
from plugins import Connector, hookimpl


@hookimpl
def register_connectors() -> Sequence[type[Connector]]:
    """Kinds `twilio_sms` and `twilio_voice`."""
    return [TwilioSmsConnector, TwilioVoiceConnector]
