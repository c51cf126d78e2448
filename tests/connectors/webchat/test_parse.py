"""What arrives as items: lines, files and marks; the kit's checks."""

import json

import msgspec
import pytest

from connectors.channels.webchat import Webchat
from connectors.channels.webchat.sessions import Ticket, make_ticket
from plugins import (
    Envelope,
    Identity,
    Malformed,
    Message,
    NotAuthentic,
    Outgoing,
    Receipt,
    Refuse,
    Reply,
    Request,
    Secret,
    Skipped,
)
from plugins.testing.conformance import ConnectorConformance
from plugins.testing.stubs import START

SITE = "https://www.acme.test"
FACTS = {"what": "line", "thread": "v:abc", "who": "sample:abc"}
CID = "k3v9q2l1x-0011"


def frame(**more):
    return json.dumps({"t": "msg", "cid": CID, "text": "VPN down", **more}).encode()


def line(raw=None, facts=FACTS, key=CID, **more):
    return Envelope(key=f"v:abc/{key}", raw=raw or frame(**more), at=START, facts=facts, lane="v:abc")


def seen(**more):
    said = {"t": "seen", "state": "read", "seq": 3, "at": "2026-11-21T11:59:00.000+00:00", **more}
    return Envelope(key="v:abc/read/3", raw=json.dumps(said).encode(), at=START, facts=FACTS | {"what": "seen"})


class TestWebchat(ConnectorConformance):
    cls = Webchat
    table = {
        "secrets": ["env:A", "env:B"],
        "origins": [SITE],
        "form": [{"name": "email", "label": "E-mail"}, {"name": "floor", "label": "Floor"}],
        "users": {"key": "env:JWT", "audience": "chat", "issuer": "acme"},
    }
    signature_header = None

    def secret(self, name):
        return f"canary-{name}".ljust(40, "-")

    def requests(self):
        return [upload(self.make(), b"the log"), upload(self.make(), b"x" * 1000, cid="other-file-2")]

    def envelopes(self):
        return [line(), line(key="another-1", form={"email": "ann@acme.test"}, page="https://www.acme.test/a"), seen()]

    def hostile_envelopes(self):
        yield "no thread", line(facts={"what": "line"})
        yield "deep", line(raw=b'{"t":"msg","cid":' + b"[" * 100_000)
        yield "year one", seen(at="0001-01-01T00:00:00+14:00")
        yield "no zone", seen(at="2026-11-21T11:59:00")
        yield "no time", seen(at="yesterday")
        yield "surrogate", line(raw=b'{"t":"msg","cid":"%s","text":"\\ud800"}' % CID.encode())

    def works(self):
        return [Outgoing(key="key-1", to=Identity(scheme="webchat", value="sample:abc"), text="Hello", thread="v:abc")]


def upload(
    made, body, *, cid="the-file-1", origin=SITE, secrets=None, until=None, size=None, instance="sample", form=None
):
    ticket = Ticket(
        thread="v:abc",
        who="sample:abc",
        cid=cid,
        name="log.txt",
        type="text/plain",
        size=len(body) if size is None else size,
        until=int(START.timestamp()) + 60 if until is None else until,
    )
    behind = json.dumps({"email": "ann@acme.test"}).encode() if form is None else form
    said = make_ticket(ticket, instance, secrets or made._settings.secrets)
    url = "https://hub.acme.test/in/sample/upload"
    headers = {"origin": origin, "x-ticket": said}
    return Request(method="POST", url=url, tail="upload", headers=headers, body=body + behind, at=START)


@pytest.fixture
def chat():
    return TestWebchat().make()


def only(chat, envelope):
    (item,) = chat.parse(envelope)
    return item


def test_line_is_a_message_of_its_visitor_at_a1(chat):
    message = only(chat, line(text="VPN\ndown"))
    assert message.sender.identity == Identity(scheme="webchat", value="sample:abc")
    assert (message.sender.assurance, message.thread, message.text) == (1, "v:abc", "VPN\ndown")
    assert message.key == f"v:abc/{CID}"


def test_what_the_visitor_fills_in_is_claimed(chat):
    message = only(chat, line(form={"email": " Ann@ACME.test ", "name": "Ann\nA", "floor": "3", "other": "x"}))
    assert message.fallback == Identity(scheme="email", value="Ann@acme.test")
    assert [(claim.identity.value, claim.assurance) for claim in message.claims] == [("Ann@acme.test", 0)]
    assert message.sender.name == "Ann A"
    assert message.fields == {"email": "Ann@ACME.test", "name": "Ann\nA", "floor": "3"}


@pytest.mark.parametrize(
    "typed", ["", "ann", "@acme.test", "a b@acme.test", "ann@acme.test\nBcc: x@y.test", "a" * 65 + "@b.test"]
)
def test_what_is_no_address_is_nowhere_to_answer(chat, typed):
    assert only(chat, line(form={"email": typed})).fallback is None


def test_signed_in_user_has_the_sites_word_for_name_and_address(chat):
    facts = FACTS | {"issuer": "acme", "name": "Ann Example", "email": "ann@acme.test"}
    message = only(
        chat, line(facts=facts, page="https://www.acme.test/", form={"email": "eve@evil.test", "name": "Eve"})
    )
    assert (message.sender.issuer, message.sender.name, message.sender.evidence) == ("acme", "Ann Example", "jwt")
    assert message.fallback.value == "ann@acme.test"
    assert [(c.identity.value, c.assurance, c.issuer) for c in message.claims] == [("ann@acme.test", 1, "acme")]


def test_address_is_claimed_once_for_each_window(chat):
    """Else every line would suggest to an agent anew that two identities may be one person."""
    facts = FACTS | {"issuer": "acme", "email": "ann@acme.test"}
    message = only(chat, line(facts=facts))
    assert message.claims == []
    assert message.fallback.value == "ann@acme.test"


def test_continuation_token_is_handed_on(chat):
    assert only(chat, line(token="q-token")).tokens == ("q-token",)


def test_mark_is_a_receipt_for_all_up_to_its_line(chat):
    receipt = only(chat, seen())
    assert isinstance(receipt, Receipt)
    assert (receipt.thread, receipt.of, receipt.state) == ("v:abc", "", "read")


def test_mark_from_the_future_speaks_of_the_past(chat):
    assert only(chat, seen(at="2099-01-01T00:00:00+00:00")).at == START


def test_unreadable_frame_is_parked(chat):
    item = only(chat, line(raw=b"{"))
    assert isinstance(item, Skipped)
    assert item.park


@pytest.mark.parametrize("at", ["x0", "", "2026-11-21T11:59:00", "0001-01-01T00:00:00+00:00"])
def test_mark_that_cannot_be_read_waits_for_nobody(chat, at):
    """Such ones stand in journals of before they were refused at the door."""
    item = only(chat, seen(at=at))
    assert isinstance(item, Skipped)
    assert not item.park


def test_line_nested_too_deeply_for_any_window_waits_for_nobody(chat):
    """The door may have had room for some levels more than the thread that parses."""
    item = only(chat, line(raw=frame(x=1).replace(b"1}", b"[" * 5000 + b"]" * 5000 + b"}")))
    assert isinstance(item, Skipped)
    assert not item.park


def test_file_is_a_message_with_the_file(chat):
    (message,) = chat.parse(chat.verify(upload(chat, b"the log")))
    assert isinstance(message, Message)
    assert [(media.name, media.type, media.data) for media in message.media] == [("log.txt", "text/plain", b"the log")]
    assert (message.thread, message.key) == ("v:abc", "v:abc/the-file-1")


@pytest.mark.parametrize(
    "wrong",
    [
        {"origin": "https://evil.test"},
        {"origin": ""},
        {"secrets": (Secret("other"),)},
        {"until": 0},
        {"instance": "another"},
    ],
    ids=str,
)
def test_file_without_leave_is_refused(chat, wrong):
    with pytest.raises(NotAuthentic):
        chat.verify(upload(chat, b"the log", **wrong))


@pytest.mark.parametrize("said", ["", ".", "x", "a.b", "é.é", "e30=.0"])
def test_odd_ticket_is_refused(chat, said):
    good = upload(chat, b"the log")
    with pytest.raises(NotAuthentic):
        chat.verify(msgspec.structs.replace(good, headers=good.headers | {"x-ticket": said}))


def test_cut_off_file_is_not_taken(chat):
    with pytest.raises(Malformed):
        chat.verify(upload(chat, b"half", size=8))


def test_preflight_lets_the_widget_ask(chat):
    reply = chat.verify(
        Request(method="OPTIONS", url="https://hub.acme.test/in/sample/upload", tail="upload", at=START)
    )
    assert isinstance(reply, Reply)
    assert ("Access-Control-Allow-Headers", "x-ticket, content-type") in reply.headers


def test_answer_outside_a_conversation_is_refused(chat):
    with pytest.raises(Refuse, match="no_way_back"):
        chat.plan(Outgoing(key="k", to=Identity(scheme="webchat", value="x"), text="Hello"))
