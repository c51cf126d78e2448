"""What the tests of kind `slack` share: the kit's settings, a stand-in, and connectors that talk to it."""

import json
from collections.abc import Iterator
from typing import Any

from connectors.channels.slack import SlackConnector
from connectors.channels.slack.markup import measure
from plugins import Envelope
from plugins.testing.standins.slack import TEAM, Slack
from plugins.testing.stubs import START
from plugins.testing.vendor import VendorConformance
from tests.shared import shared

ANN = f"{TEAM}:U0ANN"


class SlackKit(VendorConformance):
    cls = SlackConnector
    table = {"token": "env:TOKEN", "signing_secret": "env:SIGN"}
    signature_header = "x-slack-signature"

    def secret(self, name):
        return {"TOKEN": "xoxb-canary-TOKEN", "SIGN": "canary-SIGN", "APP": "xapp-canary-APP"}[name]

    def far(self):
        return Slack(self.secret("TOKEN"), self.secret("SIGN"), self.secret("APP"))

    def measure(self, text):
        return measure(text)

    def polling(self):
        return {"token": "env:TOKEN", "app_token": "env:APP"}

    def requests(self):
        far = self.far()
        said = far.says("My phone is broken \u00e9")
        events = (said, far.edits(said, "My laptop"), far.deletes(said), far.says("Hi", private=False))
        return [far.request(each) for each in events]

    def payloads(self) -> Iterator[tuple[str, Envelope]]:
        for name, raw in recorded():
            yield name, Envelope(key=name, raw=raw, at=START)


def recorded() -> Iterator[tuple[str, bytes]]:
    """What Slack's own libraries are tested with; none where the shared data is absent."""
    for kind, samples in shared("webhooks/slack_bolt_python/payloads.json", {}).items():
        for number, each in enumerate(samples):
            payload = each["payload"]
            yield f"{kind} {number}", payload.encode() if isinstance(payload, str) else json.dumps(payload).encode()


def loaded(table: Any) -> tuple[Any, Any]:
    """Settings and problems."""
    return SlackKit()._load(table)


def read(app: SlackConnector, far: Slack, event: Any) -> Any:
    envelope = app.verify(far.request(event))
    assert isinstance(envelope, Envelope)
    [item] = app.parse(envelope)
    return item


def live(far: Slack, *, socket: bool = False, **more: Any) -> SlackConnector:
    settings, problems = loaded({
        **(SlackKit().polling() if socket else SlackKit.table),
        "api_url": f"{far.url}/api",
        **more,
    })
    assert problems == []
    return SlackConnector("sample", settings)
