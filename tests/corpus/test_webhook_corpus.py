"""Every collected webhook payload through every connector: what becomes of it is said, and nothing ever raises.

Its own vendor's payloads become messages or are skipped by name; to all others they are what a stranger might send.
Run with `-s` to see the table.
"""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from bench.corpus import manifest
from plugins import Envelope, Item, Skipped
from plugins.testing.crossing import cross
from plugins.testing.stubs import START
from tests.connectors.test_desk import TestDesk as Desk
from tests.connectors.test_mastodon import TestMastodon as Mastodon
from tests.connectors.test_portal import TestPortal as Portal
from tests.connectors.test_slack import TestSlack as Slack
from tests.connectors.test_telegram import TestTelegram as Telegram
from tests.connectors.test_webhook import TestWebhook as Webhook
from tests.connectors.test_whatsapp import TestWhatsApp as WhatsApp
from tests.connectors.twilio.test_sms import TestTwilioSms as TwilioSms
from tests.connectors.twilio.test_voice import TestTwilioVoice as TwilioVoice
from tests.connectors.webchat.test_parse import TestWebchat as Webchat

KITS = (Slack, Webchat, Portal, TwilioVoice, TwilioSms, Telegram, WhatsApp, Mastodon, Desk, Webhook)
INSIDE = ("payload", "json", "activity", "raw", "entry")
"""Where collections keep the payload itself beside its source."""


def payloads() -> Iterator[tuple[str, bytes]]:
    """(collection, bytes): each file as it is, and each payload that a file collects."""
    folder = manifest.folder()
    assert folder is not None
    for file in sorted((folder / "webhooks").rglob("*")):
        if file.is_file():
            raw, name = file.read_bytes(), file.relative_to(folder / "webhooks").parts[0]
            yield name, raw
            if file.suffix == ".json":
                yield from ((name, each) for each in _collected(json.loads(raw), name))


def _collected(told: Any, name: str) -> Iterator[bytes]:
    """The elements of lists, and of a table by kind."""
    if isinstance(told, dict) and "source" not in told:
        for each in told.values():
            if name in ("slack_bolt_python", "pywa"):
                yield from _collected(each, name) if isinstance(each, list) else [json.dumps(each).encode()]
    elif isinstance(told, list):
        for each in told:
            inner = next((each[key] for key in INSIDE if isinstance(each, dict) and key in each), each)
            yield inner.encode() if isinstance(inner, str) else json.dumps(inner).encode()


PAYLOADS = list(payloads())
LEAST = {
    "slack": {"its own": {"message": 1, "edited": 1}, "slack_bolt_python": {"message": 2, "edited": 2}},
    "telegram": {"its own": {"message": 6, "fact": 1}, "telegram_teloxide": {"message": 2, "fact": 2}},
    "whatsapp": {"its own": {"message": 4, "edited": 4, "fact": 1}, "pywa": {"edited": 2}},
    "mastodon": {"its own": {"message": 209}},
}
"""Kind → collection → what must be read of it, counted on 2026-11-22; the rest holds nothing that people said to us.

Web chat takes others' payloads as lines and is not counted; of the other kinds nothing was collected.
"""


@pytest.mark.parametrize("kit", KITS, ids=lambda kit: kit.cls.kind)
def test_every_payload_is_read_or_skipped_with_its_reason(kit):
    made, table = kit().make(), {}
    facts = ({}, dict(kit()._samples()[0].facts))
    given = [("its own", envelope) for _, envelope in kit().payloads()]
    given += [(name, Envelope(key="k", raw=raw, at=START, facts=each)) for name, raw in PAYLOADS for each in facts]
    for name, envelope in given:
        table.setdefault(name, Counter()).update(map(_word, _items(made, envelope)))
    wanted = LEAST.get(kit.cls.kind, {})
    assert {name: Counter(least) - table[name] for name, least in wanted.items()} == {
        name: Counter() for name in wanted
    }
    print()
    for name, words in table.items():
        print(f"{kit.cls.kind:13} {name:18} {'  '.join(f'{n} {word}' for word, n in words.most_common())}")


def _items(made: Any, envelope: Envelope) -> list[Item]:
    items = list(made.parse(envelope))
    cross(items, list[Item])
    assert items
    return items


def _word(item: Item) -> str:
    if not isinstance(item, Skipped):
        return type(item).__name__.lower()
    assert item.reason.strip()
    return "parked" if item.park else "skipped"
