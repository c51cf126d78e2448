"""Signatures that vendors' own tests hold, as collected: genuine ones are taken, the others refused."""

from typing import Any
from urllib.parse import urlencode

import pytest

from connectors.channels.twilio import wire
from plugins import Envelope, NotAuthentic, Request, Secret, hmac_sign
from plugins.testing.stubs import START
from tests.connectors.slack_kit import SlackKit
from tests.shared import shared

FORM = "application/x-www-form-urlencoded"


def vectors(scheme: str) -> list[dict[str, Any]]:
    return [each for each in shared("signatures/signature_vectors/vectors.json") if each["scheme"] == scheme]


@pytest.mark.parametrize("vector", vectors("slack_v0"), ids=lambda each: each.get("why", "valid"))
def test_slack(vector: dict[str, Any]):
    kit = SlackKit()
    kit.secret = {"TOKEN": "xoxb-1", "SIGN": vector["secret"], "APP": "xapp-1"}.get
    stamp, body = vector["timestamp"], vector["body"].encode()
    headers = {"x-slack-signature": vector["signature"], "x-slack-request-timestamp": stamp}
    at = START.fromtimestamp(int(stamp), START.tzinfo)
    request = Request(method="POST", url="https://x.test/", headers=headers, body=body, at=at)
    if not vector["valid"]:
        with pytest.raises(NotAuthentic):
            kit.make().verify(request)
        return
    assert isinstance(kit.make().verify(request), Envelope)
    content = f"v0:{stamp}:{vector['body']}".encode()
    assert hmac_sign(Secret(vector["secret"]), content, prefix="v0=") == vector["signature"]


@pytest.mark.parametrize("vector", vectors("twilio"), ids=lambda each: each.get("why", "valid"))
def test_twilio(vector: dict[str, Any]):
    form = vector.get("params")
    pairs = form.items() if isinstance(form, dict) else map(tuple, form or ())
    body = urlencode(list(pairs)).encode() if form is not None else vector.get("body", "").encode()
    headers = {
        "x-twilio-signature": vector["signature"],
        "content-type": FORM if form is not None else "application/json",
    }
    request = Request(method="POST", url=vector["url"], headers=headers, body=body, at=START)
    try:
        wire.verify(request, [Secret(vector["secret"])])
        genuine = True
    except NotAuthentic:
        genuine = False
    assert genuine == vector["valid"]
