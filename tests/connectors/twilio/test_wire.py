"""X-Twilio-Signature, both ways: the vectors of Twilio's own libraries."""

from typing import Any
from urllib.parse import urlencode

import pytest

from connectors.channels.twilio import wire
from plugins import NotAuthentic, Request, Secret
from plugins.testing.stubs import START

TOKEN = Secret("12345")
URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
CALL = {
    "CallSid": "CA1234567890ABCDE", "Digits": "1234", "From": "+14158675309", "To": "+18005551212",
    "Caller": "+14158675309",
}  # fmt: skip
AS_IS, WITH_PORT, PLAIN = "RSOYDt4T1cUTdK1PDd93/VVr8B8=", "kvajT1Ptam85bY51eRf/AJRuM3w=", "0ZXoZLH/DfblKGATFgpif+LLRf4="
REPEATED = [("Sid", "CA123"), ("SidAccount", "AC123"), ("Digits", "5678"), ("Digits", "1234"), ("Digits", "1234")]
JSON = b'{"property": "value", "boolean": true}'
JSON_URL = URL + "&bodySHA256=0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620"
FORM = "application/x-www-form-urlencoded"


def asked(url: str, signature: str, body: bytes, kind: str = FORM, method: str = "POST") -> Request:
    headers = {"x-twilio-signature": signature, "content-type": kind}
    return Request(method=method, url=url, headers=headers, body=body, at=START)


def lists(pairs: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


SMS = {
    "AccountSid": "AC00000000000000000000000000000001", "Body": "hello", "From": "+15550001111",
    "MessageSid": "SM00000000000000000000000000000001", "NumMedia": "0", "To": "+15550002222",
}  # fmt: skip


@pytest.mark.parametrize(
    ("token", "url", "form", "signature"),
    [
        ("12345", URL, lists(CALL.items()), AS_IS),
        ("12345", URL.replace(".com", ".com:443"), lists(CALL.items()), WITH_PORT),
        ("12345", URL.replace("https", "http").replace(".com", ".com:80"), lists(CALL.items()), PLAIN),
        ("12345", URL, lists(REPEATED), "IK+Dwps556ElfBT0I3Rgjkr1wJU="),
        ("12345", JSON_URL, None, "a9nBmqA0ju/hNViExpshrM61xv4="),
        ("hub-test-token", "https://hub.example.org/in/twilio/sms", lists(SMS.items()), "lGQKIeZfEpydnWkD97lVYs6b5Uw="),
    ],
)
def test_we_sign_as_twilio_does(token, url, form, signature):
    assert wire.sign(token, url, form) == signature


@pytest.mark.parametrize(
    ("url", "signature"),
    [
        (URL, AS_IS),
        (URL, WITH_PORT),
        (URL.replace(".com", ".com:443"), AS_IS),
        (URL.replace(".com", ".com:443"), WITH_PORT),
        (URL.replace("https", "http"), PLAIN),
    ],
)
def test_default_port_may_stand_in_the_url_or_not(url, signature):
    assert wire.verify(asked(url, signature, urlencode(CALL).encode()), [TOKEN]) == CALL


def test_repeated_parameters_count_once_each():
    request = asked(URL, "IK+Dwps556ElfBT0I3Rgjkr1wJU=", urlencode(REPEATED).encode())
    assert wire.verify(request, [TOKEN])["Digits"] == "5678"


def test_json_is_signed_by_its_digest_in_the_url():
    request = asked(JSON_URL, "a9nBmqA0ju/hNViExpshrM61xv4=", JSON, "application/json")
    assert wire.verify(request, [TOKEN]) == {}
    for body in (JSON + b" ", b"", JSON.replace(b" ", b"")):
        with pytest.raises(NotAuthentic):
            wire.verify(asked(JSON_URL, "a9nBmqA0ju/hNViExpshrM61xv4=", body, "application/json"), [TOKEN])


def test_signed_url_without_a_digest_covers_no_body():
    url = "https://mycompany.com/x"
    with pytest.raises(NotAuthentic):
        wire.verify(asked(url, wire.sign("12345", url, None), JSON, "application/json"), [TOKEN])


def test_get_has_its_parameters_in_the_url():
    assert wire.verify(asked(URL, wire.sign("12345", URL, {}), b"", method="GET"), [TOKEN]) == {}


def test_second_token_verifies_while_they_rotate():
    assert wire.verify(asked(URL, AS_IS, urlencode(CALL).encode()), [Secret("new"), TOKEN])
    with pytest.raises(NotAuthentic):
        wire.verify(asked(URL, AS_IS, urlencode(CALL).encode()), [Secret("new")])


def test_empty_values_are_signed_too():
    form = {"Body": "", "From": "+15550001111"}
    request = asked(URL, wire.sign("12345", URL, lists(form.items())), b"Body=&From=%2B15550001111")
    assert wire.verify(request, [TOKEN]) == form
    with pytest.raises(NotAuthentic):
        wire.verify(asked(URL, AS_IS, b"Body=&From=%2B15550001111"), [TOKEN])


@pytest.mark.parametrize("body", [b"a=%ff", b"\xff", b"&".join(b"a=1" for _ in range(501))])
def test_form_that_nobody_sends_is_not_authentic(body):
    with pytest.raises(NotAuthentic):
        wire.verify(asked(URL, AS_IS, body), [TOKEN])
