"""Signature vectors that vendors publish, and derived ones for schemes that publish none: made, accepted, and refused.

Sources: the tests of python-slack-sdk, standard-webhooks and octokit; GitHub's and Atlassian's documentation.
Twilio's stand with its connector (`tests/connectors/twilio/test_wire.py`), Meta's with `whatsapp`.
"""

import json
from datetime import UTC, datetime

import pytest

from plugins import NotAuthentic, Request, Secret, hmac_sign, hmac_verify, standard_verify

SLACK = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar"
    b"&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com"
    b"%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a1"
    b"4d10d2c447fce8b6703c"
)
MESSENGER = (
    b'{"object":"page","entry":[{"id":"PAGE1","time":1700000000000,"messaging":[{"sender":{"id":"PSID1"},'
    b'"recipient":{"id":"PAGE1"},"timestamp":1700000000000,"message":{"mid":"m_1","text":"hi"}}]}]}'
)
ESCAPED = (
    rb'{"object":"whatsapp_business_account","entry":[{"id":"1001","changes":[{"field":"messages","value":'
    rb'{"messages":[{"id":"wamid.TEST1","from":"15550001111","type":"text","text":{"body":"caf\u00e9"}}]}}]}]}'
)
PLAIN = ESCAPED.replace(rb"\u00e9", "\u00e9".encode())
OURS, GITHUB = "hub-test-secret", "It's a Secret to Everybody"
VECTORS = {
    "slack": ("8f742231b10e8888abcd99yyyzzz85a5", b"v0:1531420618:" + SLACK, "v0=",
              "a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"),
    "github": (GITHUB, b"Hello, World!", "sha256=", "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"),
    "octokit": ("mysecret", b'{"foo":"bar"}', "sha256=",
                "4864d2759938a15468b5df9ade20bf161da9b4f737ea61794142f3484236bda3"),
    "jira": (GITHUB, b"Hello World!", "sha256=", "a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9"),
    "meta, escaped": (OURS, ESCAPED, "sha256=", "e9be4f2bb8c61edaaddc38d7f351b35f61ea7bb91b786eeb9c9f77607f00ebbc"),
    "meta, plain": (OURS, PLAIN, "sha256=", "734ff348f712388c8930d3f4913272bcac572c765bee11f693d3ba845edf8d92"),
    "messenger": (OURS, MESSENGER, "sha256=", "3b14ca05e7cc558266f2fdadc98f6bfb64d2deb210bab88be7195293557d9a9a"),
    "jambonz": (OURS, b'1700000000.{"ticket_id":42,"status":"open"}', "",
                "89cbd8676925f48e0798e1d66af6c6580e6978345fa58468d2319b8ab6d8d7f8"),
}  # fmt: skip
STANDARD = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
RIGHT = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
WRONG = "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc="


@pytest.mark.parametrize("name", VECTORS)
def test_vector_is_made_and_accepted(name):
    secret, content, prefix, digest = VECTORS[name]
    assert hmac_sign(Secret(secret), content, prefix=prefix) == prefix + digest
    hmac_verify(prefix + digest, content, [Secret(secret)], prefix=prefix)


@pytest.mark.parametrize("name", VECTORS)
def test_nothing_but_the_vector_is_accepted(name):
    secret, content, prefix, digest = VECTORS[name]
    right, whole = Secret(secret), prefix + digest
    flipped = bytes([content[-1] ^ 1])
    negatives = [
        *((whole, odd, right) for odd in (content[:-1] + flipped, content[:-1], content + b"\n", b"")),
        *((odd, content, right) for odd in ("", prefix, "", digest[:-1], "sha1=" + digest, "v9=" + digest, whole[:-2])),
        (whole, content, Secret(secret[:-1])),
        (whole, content, Secret("")),
    ]
    if content.startswith(b"{"):
        negatives.append((whole, json.dumps(json.loads(content)).encode(), right))
    for signature, body, key in negatives:
        with pytest.raises(NotAuthentic):
            hmac_verify(signature, body, [key], prefix=prefix)


def test_escaped_and_plain_body_have_signatures_of_their_own():
    for name, other in (("meta, escaped", PLAIN), ("meta, plain", ESCAPED)):
        _, _, prefix, digest = VECTORS[name]
        with pytest.raises(NotAuthentic):
            hmac_verify(prefix + digest, other, [Secret(OURS)], prefix=prefix)


@pytest.mark.parametrize("listed", [f"{WRONG} {RIGHT}", f"v2,{WRONG[3:]} {RIGHT}", RIGHT])
def test_one_right_signature_in_the_list_is_enough(listed):
    assert standard_verify(_standard(listed), [STANDARD]) == "msg_p5jXN8AQM9LWM0D4loKWxJek"


@pytest.mark.parametrize("listed", [WRONG, f"v2,{RIGHT[3:]}", f"v2,{WRONG[3:]}", RIGHT[3:], ""])
def test_list_without_a_right_signature_of_a_known_version_is_refused(listed):
    with pytest.raises(NotAuthentic):
        standard_verify(_standard(listed), [STANDARD])


def _standard(listed: str) -> Request:
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": listed,
    }
    at = datetime.fromtimestamp(1614265330, UTC)
    return Request(method="POST", url="https://h.test/", headers=headers, body=b'{"test": 2432232314}', at=at)
