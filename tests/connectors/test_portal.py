import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.channels.portal import PortalConnector
from connectors.channels.portal.settings import PortalSettings
from plugins import Envelope, Identity, Media, Message, NotAuthentic, Person, Reply, Request, Skipped
from plugins.testing.conformance import ConnectorConformance
from plugins.testing.stubs import START, StubHub

ANN = {"submission": "a" * 22, "name": "Ann", "email": "Ann@ACME.test", "subject": "VPN", "message": "down\r\nsince 8"}


def multipart(fields, files=(), boundary="----WebKitFormBoundaryA", **headers):
    parts = [f'Content-Disposition: form-data; name="{n}"\r\n\r\n'.encode() + v.encode() for n, v in fields.items()]
    parts += [
        f'Content-Disposition: form-data; name="attachments"; filename="{n}"\r\nContent-Type: {t}\r\n\r\n'.encode() + d
        for n, t, d in files
    ]
    body = b"".join(b"--%s\r\n%s\r\n" % (boundary.encode(), part) for part in parts) + f"--{boundary}--\r\n".encode()
    return post(body, f"multipart/form-data; boundary={boundary}", **headers)


def urlencoded(body, **headers):
    return post(body, "application/x-www-form-urlencoded", **headers)


def post(body, content_type, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    url = "https://help.acme.test/in/form/"
    return Request(method="POST", url=url, headers={"content-type": content_type, **named}, body=body, at=START)


class TestPortal(ConnectorConformance):
    cls = PortalConnector
    signature_header = None

    def requests(self):
        return [
            multipart(ANN, [("a.png", "image/png", b"\x89PNG\0")], sec_fetch_site="same-origin"),
            urlencoded(b"submission=" + b"b" * 22 + b"&email=ann%40acme.test&message=hi%C3%A9"),
            multipart({"message": "no id"}),
        ]

    def hostile_envelopes(self):
        base = self.make().verify(self.requests()[0])
        for kind in (
            "multipart/form-data",
            "multipart/form-data; boundary=",
            'multipart/form-data; boundary="',
            "x" * 999,
        ):
            yield kind, msgspec.structs.replace(base, facts={"type": kind})
        many = b"------b0\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n" * 200
        for body in (
            many,
            b"------b0\r\n" + b"A: b\r\n" * 50_000,
            b"------b0\r\n\r\n\r\n------b0--",
            b"------b0\r\nContent-",
        ):
            yield (
                "multipart body",
                msgspec.structs.replace(base, raw=body, facts={"type": "multipart/form-data; boundary=----b0"}),
            )


@pytest.fixture
def portal():
    return TestPortal().make()


def parse(portal, request):
    return list(portal.parse(portal.verify(request)))


def test_form_becomes_a_message_of_a_claimed_sender(portal):
    [message] = parse(portal, multipart({**ANN, "category": "network"}, [("a.png", "image/png", b"\x89\0\r\n")]))
    assert isinstance(message, Message)
    assert (message.sender.identity, message.sender.assurance) == (Identity(scheme="email", value="Ann@ACME.test"), 0)
    assert (message.sender.name, message.subject, message.text) == ("Ann", "VPN", "down\nsince 8")
    assert message.media == (Media(name="a.png", type="image/png", data=b"\x89\0\r\n"),)
    assert (message.kind, message.automatic, message.fields) == ("form", "", {"category": "network"})


def test_urlencoded_form_is_read_alike(portal):
    [message] = parse(portal, urlencoded(b"submission=" + b"b" * 22 + b"&email=ann%40acme.test&message=hi%C3%A9&x=1"))
    assert (message.key, message.text, message.fields) == ("b" * 22, "hi\u00e9", {"x": "1"})


def test_double_click_is_the_same_delivery_although_the_browser_draws_a_new_boundary(portal):
    first, again = portal.verify(multipart(ANN)), portal.verify(multipart(ANN, boundary="----WebKitFormBoundaryB"))
    assert (first.key, first.fingerprint) == (again.key, again.fingerprint)
    assert first.raw != again.raw
    assert portal.verify(multipart({**ANN, "message": "other"})).fingerprint != first.fingerprint


@pytest.mark.parametrize("submission", ["", "short", "x" * 65, "with blank and more", "\u00e9" * 20])
def test_without_a_usable_submission_id_the_content_is_the_key(portal, submission):
    envelope = portal.verify(multipart({**ANN, "submission": submission}))
    assert envelope.key == envelope.fingerprint.hex()


@pytest.mark.parametrize(
    "headers",
    [
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "cross-site", "origin": "https://help.acme.test"},
        {"origin": "https://evil.test"},
        {"origin": "http://help.acme.test"},
        {"origin": "https://help.acme.test:444"},
        {"origin": "null"},
    ],
)
def test_form_that_another_site_sends_is_refused(portal, headers):
    with pytest.raises(NotAuthentic):
        portal.verify(multipart(ANN, **headers))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec_fetch_site": "same-origin", "origin": "null"},
        {"sec_fetch_site": "none"},
        {"origin": "https://help.acme.test"},
    ],
)
def test_form_of_our_own_page_is_taken(portal, headers):
    assert isinstance(portal.verify(multipart(ANN, **headers)), Envelope)


@pytest.mark.parametrize("address", ["", "ann", "ann@", "@acme.test", "a b@c", "a@b@c", "x" * 70 + "@acme.test"])
def test_without_a_usable_address_the_message_is_kept_under_its_own_identity(portal, address):
    [message] = parse(portal, multipart({**ANN, "email": address}))
    assert message.sender.identity == Identity(scheme="portal", value=f"sample:{'a' * 22}")
    assert message.fields == ({"email": address} if address else {})


def test_filled_trap_marks_the_message_as_automatic_and_loses_nothing(portal):
    [message] = parse(portal, multipart({**ANN, "website": "http://spam.test"}))
    assert (message.automatic, message.fields, message.text) == (
        "bulk",
        {"website": "http://spam.test"},
        "down\nsince 8",
    )


def test_form_without_content_is_skipped_with_a_reason(portal):
    [item] = parse(
        portal, multipart({**ANN, "subject": " ", "message": "\r\n"}, [("", "application/octet-stream", b"")])
    )
    assert isinstance(item, Skipped)
    assert (item.park, "without a message" in item.reason) == (False, True)


def test_file_alone_is_a_message(portal):
    [message] = parse(portal, multipart({"email": "ann@acme.test"}, [("a.txt", "text/plain", b"x")]))
    assert [media.name for media in message.media] == ["a.txt"]


@pytest.mark.parametrize(
    "request_",
    [
        urlencoded(b"message=" + b"%" * (1 << 20)),
        urlencoded(b"a&" * 200),
        post(b"{}", "application/json"),
        post(b"", ""),
        post(b"garbage", "multipart/form-data; boundary=----b0"),
        post(b"------b0--", "multipart/form-data; boundary=----b0"),
        post(b"------b0\r\n\r\n\r\n------b0--", "multipart/form-data; boundary=----b0"),
        post(b"x" * (1 << 20), "multipart/form-data; boundary=----b0"),
        post(b"------b0\r\n" + b"A: b\r\n" * 50_000, "multipart/form-data; boundary=----b0"),
        post(b"x", "multipart/form-data; boundary="),
    ],
)
def test_what_is_no_form_is_refused_with_a_page_and_not_kept(portal, request_):
    reply = portal.verify(request_)
    assert isinstance(reply, Reply)
    assert (reply.status, reply.type) == (400, "text/html; charset=utf-8")
    assert b"was not sent" in reply.body


@pytest.mark.parametrize("end", [b"", b"\r\n------b0\r\nContent-", b"\r\n------b0\r\nX: y\r\n\r\nz\r\n------b0--"])
def test_of_a_form_that_breaks_off_what_came_is_the_message(portal, end):
    body = b'------b0\r\nContent-Disposition: form-data; name="message"\r\n\r\nVPN down' + end
    [message] = parse(portal, post(body, "multipart/form-data; boundary=----b0"))
    assert message.text == "VPN down"
    assert message.fields["limits"].startswith("form broken off: ")


def test_of_a_form_with_too_many_fields_the_first_are_read(portal):
    [message] = parse(portal, multipart(ANN | {str(n): "x" for n in range(200)}))
    assert (message.text, len(message.fields)) == ("down\nsince 8", 96)
    assert "limits" in message.fields


def test_whole_form_bears_no_word_of_limits(portal):
    [message] = parse(portal, multipart(ANN))
    assert message.fields == {}


def test_subject_and_name_stand_on_one_line_and_keep_what_is_beyond(portal):
    odd = {"subject": "VPN\r\ndown\u2028now\0", "name": "Ann\r\nBcc: eve@evil.test"}
    [message] = parse(portal, multipart(ANN | odd))
    assert (message.subject, message.sender.name) == ("VPN down now", "Ann Bcc: eve@evil.test")
    [message] = parse(portal, multipart(ANN | {"subject": "s" * 2000}))
    assert (len(message.subject), len(message.fields["subject"])) == (1000, 2000)


def test_content_type_that_is_no_text_does_not_break_the_journal(portal):
    body = b'--x\r\nContent-Disposition: form-data; name="message"\r\n\r\nhi\r\n--x--'
    envelope = portal.verify(post(body, "multipart/form-data; boundary=x; other=\udcff"))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(envelope), type=Envelope) == envelope


async def test_person_is_sent_to_the_page_of_the_receipt(portal):
    hub, envelope = StubHub(), portal.verify(multipart(ANN))
    received = msgspec.structs.replace(hub.received(envelope), receipt="R7/../x")
    reply = await portal.respond(envelope, received, hub)
    assert reply == Reply(status=303, headers=(("Location", "/portal/receipt/R7%2F..%2Fx"),))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # both measure how busy the machine is
@given(st.binary(), st.text(st.characters(codec="latin-1")))
def test_any_bytes_are_refused_or_read(raw, boundary):
    portal = TestPortal().make()
    request = post(b"--" + raw, f"multipart/form-data; boundary={boundary}")
    kept = portal.verify(request)
    if isinstance(kept, Envelope):
        [item] = portal.parse(kept)
        assert not (isinstance(item, Skipped) and item.park)
    else:
        assert kept.status == 400


ANN_SIGNED_IN = Person(identity=Identity(scheme="email", value="ann@acme.test"), proof="vouched")


def signed_in(tail, **fields):
    request = multipart({"submission": "a" * 22, **fields}, sec_fetch_site="same-origin")
    return msgspec.structs.replace(request, tail=tail, person=ANN_SIGNED_IN)


@pytest.mark.parametrize("what", ["close", "reopen"])
def test_person_closes_and_reopens_by_the_token_of_the_query(portal, what):
    [act] = parse(portal, signed_in(f"act/{what}/TL-4F7K2QRM", token="q1"))
    assert (act.what, act.token, act.who.proof, act.who.identity) == (what, "q1", "vouched", ANN_SIGNED_IN.identity)


def test_preferences_are_an_act_and_only_in_languages_of_the_settings(portal):
    [act] = parse(portal, signed_in("act/prefer", channel="email", language="de"))
    assert (act.what, act.channel, act.language) == ("prefer", "email", "de")
    [item] = parse(portal, signed_in("act/prefer", channel="email", language="xx"))
    assert isinstance(item, Skipped)


def test_reply_names_its_query_and_the_token_stands_nowhere_else(portal):
    [message] = parse(portal, signed_in("reply/TL-4F7K2QRM", token="q1", message="still down"))
    assert (message.tokens, message.sender.proof, message.fields) == (["q1"], "vouched", {})


def test_token_of_somebody_who_is_not_signed_in_counts_for_nothing(portal):
    [message] = parse(portal, multipart({**ANN, "token": "q1"}))
    assert (message.tokens, message.sender.assurance, message.fields) == ([], 0, {})


@pytest.mark.parametrize("tail", ["act/close/TL-4F7K2QRM", "act/prefer", "reply/TL-4F7K2QRM"])
def test_whose_session_has_ended_is_told_so_and_nothing_is_kept(portal, tail):
    reply = portal.verify(msgspec.structs.replace(signed_in(tail, token="q1"), person=None))
    assert (reply.status, b"not signed in any more" in reply.body) == (403, True)


def test_two_persons_forms_are_two_deliveries_whatever_their_id(portal):
    other = Person(identity=Identity(scheme="email", value="bob@acme.test"), proof="vouched")
    request = signed_in("", message="x")
    assert portal.verify(request).key != portal.verify(msgspec.structs.replace(request, person=other)).key


@pytest.mark.parametrize(
    "form",
    [
        [{"service": "vpn"}, {"service": "vpn"}],
        [{"service": "vpn", "questions": [{"name": "email", "label": "x"}]}],
        [{"service": "vpn", "questions": [{"name": "a", "label": "x", "type": "choice"}]}],
        [{"service": "vpn", "questions": [{"name": "a", "label": "x", "choices": ["y"]}]}],
    ],
)
def test_form_that_could_not_work_is_refused_at_start(form):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"form": form}, PortalSettings)
