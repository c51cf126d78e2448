import base64
import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from connectors.channels.webhook import WebhookConnector
from plugins import (
    Envelope,
    Identity,
    Media,
    Message,
    NotAuthentic,
    Outgoing,
    Refuse,
    Reply,
    Request,
    Secret,
    Skipped,
    standard_sign,
)
from plugins.testing.conformance import ConnectorConformance
from plugins.testing.stubs import START, StubAttempt

KEYS = {
    name: "whsec_" + base64.b64encode(f"canary-{name}".ljust(24, "-").encode()).decode() for name in ("A", "B", "OUT")
}
ANN = {"scheme": "email", "value": "ann@acme.test", "name": "Ann"}
FULL = {
    "type": "message",
    "id": "chat-42-7",
    "at": "2026-11-21T11:59:00+01:00",
    "sender": ANN,
    "thread": "chat-42",
    "subject": "VPN down",
    "text": "AnyConnect fails since 8 \u00e9",
    "kind": "sms",
    "private": False,
    "language": "en",
    "replies_to": ["chat-42-6"],
    "tokens": ["tok"],
    "fields": {"floor": "3"},
    "attachments": [{"name": "log.txt", "type": "text/plain", "data": base64.b64encode(b"bytes").decode()}],
}


def signed(body, key="msg_1", secret=KEYS["A"], at=START):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = standard_sign([Secret(secret)], key=key, at=at, body=raw)
    return Request(method="POST", url="https://hub.acme.test/in/hook/", headers=headers, body=raw, at=at)


class TestWebhook(ConnectorConformance):
    cls = WebhookConnector
    table = {
        "secrets": ["env:A", "env:B"],
        "scheme": "email",
        "issuer": "acme-crm",
        "deliver_url": "https://crm.acme.test/hook",
        "deliver_secret": "env:OUT",
    }
    signature_header = "webhook-signature"

    def secret(self, name):
        return KEYS[name]

    def requests(self):
        return [
            signed(FULL, "msg_1"),
            signed([FULL, {"sender": ANN, "text": "b"}], "msg_2", KEYS["B"]),
            signed({"sender": ANN}, "msg_3"),
        ]

    def hostile_envelopes(self):
        for number, body in enumerate(([FULL] * 501, [{}] * 500, [[FULL]], {**FULL, "sender": {**ANN, "x": 1}})):
            yield f"batch {number}", self.make().verify(signed(body))


@pytest.fixture
def hook():
    return TestWebhook().make()


def parse(hook, body):
    return list(hook.parse(hook.verify(signed(body))))


def test_request_that_the_reference_implementation_signed_is_accepted(hook):
    body = json.dumps(FULL)
    signature = Webhook(KEYS["B"]).sign("msg_9", START, body)
    headers = {
        "webhook-id": "msg_9",
        "webhook-timestamp": str(int(START.timestamp())),
        "webhook-signature": signature,
    }
    request = Request(method="POST", url="https://h/in/hook/", headers=headers, body=body.encode(), at=START)
    assert hook.verify(request).key == "msg_9"


def test_every_field_reaches_the_message(hook):
    [message] = parse(hook, FULL)
    assert message == Message(
        key="chat-42-7",
        digest=message.digest,
        thread="chat-42",
        sender=message.sender,
        at=datetime(2026, 11, 21, 10, 59, tzinfo=UTC),
        text="AnyConnect fails since 8 \u00e9",
        subject="VPN down",
        kind="sms",
        private=False,
        language="en",
        replies_to=("chat-42-6",),
        tokens=("tok",),
        fields={"floor": "3"},
        media=(Media(name="log.txt", type="text/plain", data=b"bytes"),),
    )


def test_same_id_with_other_content_has_another_digest_and_with_the_same_none(hook):
    said = {"id": "1", "sender": ANN, "text": "a"}
    [one, same, other] = (parse(hook, each)[0] for each in (said, dict(reversed(said.items())), said | {"text": "b"}))
    assert (one.key, one.digest) == (same.key, same.digest)
    assert other.key == one.key
    assert other.digest != one.digest


def test_sender_of_the_bound_scheme_is_authenticated_by_its_issuer(hook):
    [message] = parse(hook, {"sender": ANN})
    assert (message.sender.assurance, message.sender.issuer) == (1, "acme-crm")


def test_sender_of_any_other_scheme_is_only_claimed(hook):
    [message] = parse(hook, {"sender": {"scheme": "slack", "value": "T1:U7"}})
    assert (message.sender.assurance, message.sender.issuer) == (0, "")


def test_nobody_is_authenticated_without_a_bound_scheme():
    hook = type("Unbound", (TestWebhook,), {"table": {"secrets": ["env:A"]}})().make()
    [message] = parse(hook, {"sender": ANN})
    assert message.sender.assurance == 0


def test_batch_keeps_its_order_and_numbers_its_keys(hook):
    items = parse(hook, [{"sender": ANN, "text": "a"}, {"sender": ANN, "text": "b", "id": "own"}])
    assert [(item.key, item.text) for item in items] == [("msg_1/0", "a"), ("own", "b")]


def test_unreadable_message_of_a_batch_is_parked_alone(hook):
    first, second, third = parse(hook, [{"sender": ANN}, {"sender": ANN, "txet": "a"}, {"sender": ANN}])
    assert isinstance(first, Message)
    assert isinstance(third, Message)
    assert second.park
    assert "`txet`" in second.reason


@pytest.mark.parametrize(
    "body", [b"", b"no json", b"[", b"[]", b"null", b'"text"', b"\xff", b"[" * 100_000, b'{"sender":' + b"[" * 100_000]
)
def test_signed_nonsense_is_stored_and_parked(hook, body):
    envelope = hook.verify(signed(body))
    assert isinstance(envelope, Envelope)
    [item] = hook.parse(envelope)
    assert isinstance(item, Skipped)
    assert item.park


@pytest.mark.parametrize("said", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-11-23T12:00:00Z"])
def test_implausible_time_becomes_the_time_of_receipt(hook, said):
    [message] = parse(hook, {"sender": ANN, "at": said})
    assert message.at == START


def test_lane_is_the_thread_else_the_sender_else_the_instance(hook):
    def lane(body):
        return hook.verify(signed(body)).lane

    assert lane({**FULL, "text": "other"}) == lane([FULL, FULL]) != ""
    assert lane({"sender": ANN}) == lane({"sender": {**ANN, "name": "A."}}) != lane(FULL)
    assert lane([FULL, {"sender": ANN}]) == lane(b"nonsense") == ""


def test_get_is_answered_and_nothing_kept(hook):
    reply = hook.verify(msgspec.structs.replace(signed(FULL), method="GET"))
    assert isinstance(reply, Reply)
    assert reply.status == 405


def test_channel_is_the_setting_and_decides_the_default_kind():
    table = {"secrets": ["env:A"], "channel": "phone"}
    hook = type("Phone", (TestWebhook,), {"table": table})().make()
    [message] = parse(hook, {"sender": ANN})
    assert (hook.channel, message.kind) == ("phone", "call")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"secrets": []}, "at least 1"),
        ({"issuer": ""}, "go together"),
        ({"deliver_url": "ftp://x"}, "deliver_url: expected a web address"),
        ({"channel": "telex"}, "one of"),
        ({"secrets": ["env:SHORT"]}, "24 to 64 bytes"),
    ],
)
def test_unusable_settings_are_named(change, words):
    kit = type("Changed", (TestWebhook,), {"table": {**TestWebhook.table, **change}})()
    kit.secret = lambda name: KEYS.get(name, "whsec_YWJj")
    _, problems = kit._load(kit.table)
    assert [words in str(problem) for problem in problems] == [True]


OUT = Outgoing(
    key="out-1", to=Identity(scheme="email", value="ann@acme.test"), text="Solved", thread="chat-42", replies_to=("m",)
)


async def test_answer_is_posted_signed_and_a_retry_has_the_same_id(hook):
    [step] = hook.plan(OUT)
    attempt = StubAttempt(key="step-7")
    await hook.perform(step, attempt)
    attempt.clock.at += timedelta(hours=1)
    done = await hook.perform(step, attempt)
    first, second = attempt.calls
    assert first.body == second.body == step.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == done.ref == "step-7"
    assert first.headers["webhook-timestamp"] != second.headers["webhook-timestamp"]
    assert first.headers["webhook-signature"] == Webhook(KEYS["OUT"]).sign("step-7", START, step.body.decode())
    told = json.loads(step.body)
    assert (told["thread"], told["text"], told["replies_to"]) == ("chat-42", "Solved", ["m"])
    assert step.key_life > 0


def test_instance_without_an_address_refuses_to_answer():
    hook = type("Mute", (TestWebhook,), {"table": {"secrets": ["env:A"]}})().make()
    with pytest.raises(Refuse) as caught:
        hook.plan(OUT)
    assert caught.value.code == "no_way_back"


def test_forged_signature_is_not_authentic(hook):
    with pytest.raises(NotAuthentic):
        hook.verify(signed(FULL, secret=KEYS["OUT"]))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*FULL, "value"]), inner, max_size=4),
    max_leaves=12,
)


@given(JSON, st.sampled_from([*FULL]))
def test_any_json_is_read_or_parked(value, name):
    hook = TestWebhook().make()
    for body in (value, {**FULL, name: value}):
        items = parse(hook, body)
        assert items
        assert msgspec.msgpack.encode(items)
