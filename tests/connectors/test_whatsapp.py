"""Kind `whatsapp`: the kit, and what is WhatsApp's own."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from connectors.channels.whatsapp import WhatsAppConnector
from plugins import (
    Edited,
    Envelope,
    Fact,
    Identity,
    Message,
    NotAuthentic,
    Receipt,
    Reply,
    Request,
    Secret,
    Skipped,
    hmac_sign,
    utf16_units,
)
from plugins.testing.standins.whatsapp import NUMBER, WhatsApp
from plugins.testing.stubs import START
from plugins.testing.vendor import VendorConformance
from tests.shared import shared, shared_folder

ANN = Identity(scheme="whatsapp", value="US.13491208655302741918")
TEMPLATE = {"name": "answer_waiting", "language": "en"}


class TestWhatsApp(VendorConformance):
    cls = WhatsAppConnector
    table = {"phone_number_id": NUMBER, "token": "env:TOKEN", "app_secret": "env:APP", "verify_token": "env:WORD"}
    signature_header = "x-hub-signature-256"
    signed_time = False

    def far(self):
        return WhatsApp(self.secret("TOKEN"), self.secret("APP"), self.secret("WORD"))

    def measure(self, text):
        return utf16_units(text)

    def requests(self):
        far = self.far()
        said = far.says("My phone is broken \u00e9")
        events = (said, far.edits(said, "My laptop"), far.status("wamid.out1", "delivered"))
        return [far.request(each) for each in events]

    def payloads(self) -> Iterator[tuple[str, Envelope]]:
        for name, hook in recorded():
            yield name, Envelope(key=name, raw=json.dumps(hook).encode(), at=START)


def recorded() -> Iterator[tuple[str, Any]]:
    """Notifications as collected, all addressed to our number; none where the shared data is absent."""
    folder = shared_folder()
    for file in sorted(folder.glob("webhooks/pywa/tests/data/updates/*.json")) if folder else ():
        for name, hook in json.loads(file.read_text()).items():
            for change in hook["entry"][0]["changes"]:
                if "metadata" in change["value"]:
                    change["value"]["metadata"]["phone_number_id"] = NUMBER
            yield f"{file.stem} {name}", hook


@pytest.fixture
def far() -> WhatsApp:
    return TestWhatsApp().far()


@pytest.fixture
def made() -> WhatsAppConnector:
    return TestWhatsApp().make()


def items(made: WhatsAppConnector, far: WhatsApp, event: Any) -> list[Any]:
    envelope = made.verify(far.request(event))
    assert isinstance(envelope, Envelope)
    return list(made.parse(envelope))


def read(made: WhatsAppConnector, far: WhatsApp, event: Any) -> Any:
    [item] = items(made, far, event)
    return item


def of_kind(far: WhatsApp, kind: str, content: Any, **more: Any) -> Any:
    event = far.says("")
    [said] = event["entry"][0]["changes"][0]["value"]["messages"]
    said |= {"type": kind, kind: content, **more}
    return event


# ---- in ----------------------------------------------------------------------------------------------------


def test_published_signatures_hold_and_all_else_is_refused():
    vectors = [each for each in shared("signatures/signature_vectors/vectors.json", []) if "meta" in each["scheme"]]
    secret = "hub-test-secret"  # a published vector
    body = (
        r'{"object":"whatsapp_business_account","entry":[{"id":"1001","changes":[{"field":"messages","value":'
        r'{"messages":[{"id":"wamid.TEST1","from":"15550001111","type":"text","text":{"body":"caf\u00e9"}}]}}]}]}'
    )
    derived = "sha256=e9be4f2bb8c61edaaddc38d7f351b35f61ea7bb91b786eeb9c9f77607f00ebbc"
    vectors.append({"secret": secret, "body": body, "signature": derived})
    for each in vectors:
        kit = TestWhatsApp()
        kit.secret = {"APP": each["secret"], "TOKEN": "t", "WORD": "w"}.get
        made, raw = kit.make(), each["body"].encode()
        asked = Request(
            method="POST",
            url="https://h.test/",
            headers={"x-hub-signature-256": each["signature"]},
            body=raw,
            at=START,
        )
        assert isinstance(made.verify(asked), Envelope)
        assert hmac_sign(Secret(each["secret"]), raw) == each["signature"]
        for odd in (raw.replace(rb"\u00e9", "\u00e9".encode()), json.dumps(json.loads(raw)).encode()):
            if odd != raw:
                with pytest.raises(NotAuthentic):
                    made.verify(msgspec.structs.replace(asked, body=odd))


@pytest.mark.parametrize("word", ["canary-WORD", "another", ""])
def test_challenge_is_repeated_to_who_knows_our_word(made, word):
    url = f"https://h.test/in/whatsapp/?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token={word}"
    asked = Request(method="GET", url=url, at=START)
    if word == "canary-WORD":
        answer = made.verify(asked)
        assert isinstance(answer, Reply)
        assert (answer.status, answer.body) == (200, b"1158201444")
    else:
        with pytest.raises(NotAuthentic):
            made.verify(asked)


def test_person_is_known_by_user_id_and_the_number_is_a_claim(made, far):
    item = read(made, far, far.says("Hello", context={"from": "1", "id": "wamid.out5"}))
    assert (item.sender.identity, item.sender.assurance, item.sender.name) == (ANN, 1, "Ann")
    assert (item.thread, item.replies_to, item.private) == (ANN.value, ("wamid.out5",), True)
    assert [(c.identity.scheme, c.identity.value) for c in item.claims] == [
        ("whatsapp", "15550001111"),
        ("tel", "+15550001111"),
    ]


def test_person_without_user_id_is_the_number(made, far):
    event = far.says("Hello")
    value = event["entry"][0]["changes"][0]["value"]
    del value["contacts"], value["messages"][0]["from_user_id"]
    assert read(made, far, event).sender.identity.value == "15550001111"


def test_person_who_hides_the_number_is_answered_by_user_id(made, far):
    event = far.says("Hello")
    value = event["entry"][0]["changes"][0]["value"]
    del value["contacts"][0]["wa_id"], value["messages"][0]["from"]
    item = read(made, far, event)
    assert (item.sender.identity, item.sender.name, item.claims) == (ANN, "Ann", ())
    assert json.loads(item.reply_via)["to"] == ""


@pytest.mark.parametrize(
    ("kind", "content", "text", "ref"),
    [
        ("image", {"id": "77", "mime_type": "image/jpeg", "caption": "The screen"}, "The screen", "77"),
        ("audio", {"id": "78", "mime_type": "audio/ogg; codecs=opus", "voice": True}, "", "78"),
        ("document", {"id": "79", "filename": "a.log", "mime_type": "text/plain"}, "", "79"),
        ("location", {"latitude": 1.5, "longitude": 2, "name": "Office"}, "Office\ngeo:1.5,2.0", None),
        ("contacts", [{"name": {"formatted_name": "Bob"}, "phones": [{"phone": "+1 555"}]}], "Bob +1 555", None),
        ("button", {"payload": "p1", "text": "Yes"}, "Yes", None),
        ("interactive", {"type": "list_reply", "list_reply": {"id": "l1", "title": "VPN"}}, "VPN", None),
        (
            "interactive",
            {"type": "nfm_reply", "nfm_reply": {"name": "flow", "body": "Sent", "response_json": '{"room": "4.12"}'}},
            'Sent\nroom: "4.12"',
            None,
        ),
        ("order", {"product_items": [{"product_retailer_id": "mouse", "quantity": 2}]}, "2 \u00d7 mouse", None),
    ],
)
def test_every_kind_of_content_is_put_into_words(made, far, kind, content, text, ref):
    item = read(made, far, of_kind(far, kind, content))
    assert isinstance(item, Message)
    assert item.text == text
    assert [media.ref for media in item.media] == ([ref] if ref else [])


def test_message_that_whatsapp_keeps_to_itself_is_shown_as_such(made, far):
    errors = [{"code": 131051, "title": "Message type unknown"}]
    item = read(made, far, of_kind(far, "unsupported", {}, errors=errors))
    assert "131051 Message type unknown" in item.text


@pytest.mark.parametrize(
    ("kind", "content", "more", "reason"),
    [
        ("reaction", {"message_id": "wamid.1", "emoji": "\U0001f44d"}, {}, "kind reaction"),
        ("dance", {}, {}, "kind dance"),
        ("system", {"type": "customer_identity_changed"}, {}, "customer_identity_changed"),
        ("text", {"body": "Hi all"}, {"group_id": "g1"}, "group"),
    ],
)
def test_what_is_no_message_for_the_desk_has_its_reason(made, far, kind, content, more, reason):
    item = read(made, far, of_kind(far, kind, content, **more))
    assert isinstance(item, Skipped)
    assert (reason in item.reason, item.park) == (True, False)


def test_new_number_of_a_person_is_a_fact(made, far):
    item = read(made, far, of_kind(far, "system", {"type": "user_changed_number", "wa_id": "15559999999"}))
    assert isinstance(item, Fact)
    assert (item.who, item.what, item.other) == (ANN, "same_as", Identity(scheme="whatsapp", value="15559999999"))


def test_revoked_message_is_a_deletion(made, far):
    item = read(made, far, of_kind(far, "revoke", {"original_message_id": "wamid.in9"}))
    assert isinstance(item, Edited)
    assert (item.of, item.text, item.by) == ("wamid.in9", None, ANN)


def test_edit_names_the_number_that_made_it_and_none_where_it_is_ours(made, far):
    changed = {"original_message_id": "wamid.in9", "message": {"type": "text", "text": {"body": "x"}}}
    event = of_kind(far, "edit", changed, **{"from": "15559998888", "from_user_id": ""})
    assert read(made, far, event).by == Identity(scheme="whatsapp", value="15559998888")
    value = event["entry"][0]["changes"][0]["value"]
    value["message_echoes"] = [{**value.pop("messages")[0], "to": "15550001111"}]
    item = read(made, far, event)
    assert (item.text, item.by) == ("x", None)


def test_message_that_our_side_wrote_in_the_app_is_ours_in_that_conversation(made, far):
    event = far.says("On my way")
    value = event["entry"][0]["changes"][0]["value"]
    [said] = value.pop("messages")
    value["message_echoes"] = [{**said, "from": "15550783881", "to": "15550001111", "to_user_id": ANN.value}]
    item = read(made, far, event)
    assert (item.direction, item.sender.identity, item.reply_via) == ("out", ANN, b"")


def test_batch_has_an_item_for_each_event_and_one_bad_event_spoils_no_other(made, far):
    event = far.says("one")
    value = event["entry"][0]["changes"][0]["value"]
    value["messages"] += [{"id": "wamid.x", "type": "text", "text": 5}, {**value["messages"][0], "id": "wamid.y"}]
    value["statuses"] = [{"id": "wamid.out1", "status": "read"}]
    found = items(made, far, event)
    assert [type(item).__name__ for item in found] == ["Message", "Skipped", "Message", "Receipt"]
    assert found[1].park


def test_event_for_another_number_is_left_to_its_instance(made, far):
    event = far.says("one")
    event["entry"][0]["changes"][0]["value"]["metadata"]["phone_number_id"] = "1"
    assert "another instance" in read(made, far, event).reason


@pytest.mark.parametrize(
    ("state", "said"), [("sent", "sent"), ("delivered", "delivered"), ("played", "read"), ("failed", "failed")]
)
def test_status_is_a_receipt_that_names_our_own_key(made, far, state, said):
    far.echoes["wamid.out1"] = "key-1"
    errors = [{"code": 131047, "title": "Re-engagement message", "error_data": {"details": "24 hours"}}]
    [item] = items(made, far, far.status("wamid.out1", state, **({"errors": errors} if state == "failed" else {})))
    assert isinstance(item, Receipt)
    assert (item.state, item.of) == (said, "key-1")
    assert item.reason == ("window_closed: 131047 Re-engagement message: 24 hours" if state == "failed" else "")


def test_template_without_the_answer_is_no_setting():
    _, problems = TestWhatsApp()._load({**TestWhatsApp.table, "template": {**TEMPLATE, "parameters": ["reference"]}})
    assert ["must carry the answer" in str(problem) for problem in problems] == [True]
