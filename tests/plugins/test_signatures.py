import base64
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st

from plugins.errors import NotAuthentic
from plugins.model import Request, Secret
from plugins.signatures import check_age, hmac_sign, hmac_verify, standard_key, standard_sign, standard_verify

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
OLD = Secret("whsec_" + base64.b64encode(b"o" * 24).decode())
NEW = Secret("whsec_" + base64.b64encode(b"n" * 32).decode())
BODY = '{"text": "caf\u00e9"}'.encode()
# Standard Webhooks' own test vector: its python and js suites hold it.
KNOWN = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
KNOWN_HEADERS = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
DATA = Path(os.environ.get("TRUNKLINE_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
VECTORS = DATA / "signatures" / "signature_vectors" / "vectors.json"


def request(headers, body=BODY, at=AT):
    return Request(method="POST", url="https://hub.acme.test/in/hook", headers=headers, body=body, at=at)


def signed(*secrets, key="msg_1", at=AT, body=BODY):
    return standard_sign(secrets or (NEW,), key=key, at=at, body=body)


def test_known_vector_is_made_and_accepted():
    at = datetime.fromtimestamp(1614265330, UTC)
    body = b'{"test": 2432232314}'
    assert standard_sign([KNOWN], key=KNOWN_HEADERS["webhook-id"], at=at, body=body) == KNOWN_HEADERS
    assert standard_verify(request(KNOWN_HEADERS, body, at), [KNOWN]) == "msg_p5jXN8AQM9LWM0D4loKWxJek"


@given(st.text(st.characters(codec="utf-8")))
def test_reference_implementation_accepts_what_we_sign(text):
    now = datetime.now(UTC)
    headers = signed(at=now, body=text.encode())
    standardwebhooks.Webhook(NEW.reveal()).verify(text.encode(), headers, json_parse=False)


@given(st.text(st.characters(codec="utf-8")))
def test_we_accept_what_the_reference_implementation_signs(text):
    signature = standardwebhooks.Webhook(NEW.reveal()).sign("msg_1", AT, text)
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(int(AT.timestamp())), "webhook-signature": signature}
    assert standard_verify(request(headers, text.encode()), [NEW]) == "msg_1"


def test_either_key_verifies_while_keys_rotate():
    assert standard_verify(request(signed(OLD)), [NEW, OLD]) == "msg_1"
    assert standard_verify(request(signed(OLD, NEW)), [NEW]) == "msg_1"


def test_signatures_of_unknown_versions_are_passed_over():
    headers = signed()
    headers["webhook-signature"] = "v1a,abc v9 " + headers["webhook-signature"]
    assert standard_verify(request(headers), [NEW]) == "msg_1"


@pytest.mark.parametrize("seconds", [-300, 300])
def test_timestamp_within_five_minutes_is_accepted(seconds):
    assert standard_verify(request(signed(), at=AT + timedelta(seconds=seconds)), [NEW])


@pytest.mark.parametrize("seconds", [-301, 301])
def test_stale_and_future_requests_are_refused(seconds):
    with pytest.raises(NotAuthentic):
        standard_verify(request(signed(), at=AT + timedelta(seconds=seconds)), [NEW])


GOOD = standard_sign([NEW], key="msg_1", at=AT, body=BODY)


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("webhook-signature", ""),
        ("webhook-signature", "v1"),
        ("webhook-signature", "v1,"),
        ("webhook-signature", GOOD["webhook-signature"][:-1]),
        ("webhook-signature", GOOD["webhook-signature"].replace("v1,", "v2,")),
        ("webhook-signature", ", ".join([GOOD["webhook-signature"]] * 2)),
        ("webhook-signature", "v1,\u00e9\u20ac\udcff"),
        ("webhook-timestamp", ""),
        ("webhook-timestamp", "nan"),
        ("webhook-timestamp", "1" * 400),
        ("webhook-timestamp", "\u0661"),
        ("webhook-timestamp", "-1"),
        ("webhook-id", ""),
        ("webhook-id", "msg_2"),
        ("webhook-id", "msg_1, msg_1"),
        ("webhook-id", "a.b"),
        ("webhook-id", "msg_1\udcff"),
    ],
)
def test_odd_headers_are_not_authentic_and_nothing_else(header, value):
    with pytest.raises(NotAuthentic):
        standard_verify(request({**GOOD, header: value}), [NEW])


@pytest.mark.parametrize("header", list(GOOD))
def test_missing_header_is_not_authentic(header):
    with pytest.raises(NotAuthentic):
        standard_verify(request({name: value for name, value in GOOD.items() if name != header}), [NEW])


def test_reserialised_and_flipped_bodies_are_refused():
    for body in (json.dumps(json.loads(BODY)).encode(), BODY[:-1] + b" ", b""):
        with pytest.raises(NotAuthentic):
            standard_verify(request(GOOD, body), [NEW])


def test_an_id_can_not_be_cut_in_a_second_way():
    moved = {**signed(body=b"1700000000.x"), "webhook-id": f"msg_1.{int(AT.timestamp())}"}
    with pytest.raises(NotAuthentic):
        standard_verify(request({**moved, "webhook-timestamp": "1700000000"}, b"x"), [NEW])
    with pytest.raises(ValueError, match="dot"):
        signed(key="a.b")


def test_blank_and_foreign_secrets_verify_nothing():
    blank = Secret("")
    for secrets in ([], [blank], [OLD]):
        with pytest.raises(NotAuthentic):
            standard_verify(request(GOOD), secrets)
    with pytest.raises(NotAuthentic):
        hmac_verify(hmac_sign(blank, BODY), BODY, [blank])


@pytest.mark.parametrize("value", ["", "whsec_", "whsec_!!!", "whsec_canary", "whsec_" + "A" * 400])
def test_unusable_secret_is_refused_without_showing_it(value):
    with pytest.raises(ValueError, match="Standard Webhooks secret") as caught:
        standard_key(Secret(value))
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("signature", ["", "sha256=", "sha1=abc", "\udcff", "sha256=" + "0" * 64])
def test_wrong_hex_signature_is_not_authentic(signature):
    with pytest.raises(NotAuthentic):
        hmac_verify(signature, BODY, [NEW])


def test_github_signs_the_body_in_hex():
    # GitHub docs, "Validating webhook deliveries"
    secret = Secret("It's a Secret to Everybody")
    known = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    assert hmac_sign(secret, b"Hello, World!") == known
    hmac_verify(known, b"Hello, World!", [OLD, secret])


def test_escaped_and_plain_unicode_are_different_bodies():
    plain, escaped = '{"t":"\u00e9"}'.encode(), b'{"t":"\\u00e9"}'
    with pytest.raises(NotAuthentic):
        hmac_verify(hmac_sign(NEW, plain), escaped, [NEW])


def _verify_hex(vector):
    secret, body = Secret(vector["secret"]), vector["body"].encode()
    if vector["scheme"] == "slack_v0":
        check_age(vector["timestamp"], datetime.fromtimestamp(int(vector["timestamp"]), UTC))
        content = f"v0:{vector['timestamp']}:".encode() + body
        return hmac_verify(vector["signature"], content, [secret], prefix="v0=")
    return hmac_verify(vector["signature"], body, [secret])


if VECTORS.exists():
    HEX = [
        v for v in json.loads(VECTORS.read_text()) if v["scheme"] in {"slack_v0", "github_sha256", "meta_hub_sha256"}
    ]

    @pytest.mark.parametrize("vector", HEX, ids=lambda vector: vector["scheme"] + str(vector["valid"]))
    def test_published_vectors_hold(vector):
        if vector["valid"]:
            _verify_hex(vector)
        else:
            with pytest.raises(NotAuthentic):
                _verify_hex(vector)
