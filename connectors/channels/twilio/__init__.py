"""Twilio: text messages (kind `twilio_sms`)."""

from collections.abc import Sequence

from connectors.channels.twilio.sms import TwilioSmsConnector
from plugins import Connector, hookimpl


@hookimpl
def register_connectors() -> Sequence[type[Connector]]:
    """Kind `twilio_sms`."""
    return [TwilioSmsConnector]
