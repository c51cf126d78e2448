"""One mail is one mail, on whatever path and however often it comes."""

from connectors.channels.email.keys import delivery_key
from tests.connectors.email.mails import mail


def test_message_id_is_the_key():
    assert delivery_key(mail().encode())[0] == "m1@acme.test"
    assert delivery_key(mail("Message-ID:\r\n <m2@acme.test>").encode())[0] == "m2@acme.test"


def test_transport_headers_change_neither_key_nor_fingerprint():
    there = "Delivered-To: a@hub.example\r\nReceived: from x by y; then\r\nX-Spam-Status: No\r\n"
    here = "Return-Path: <ann@acme.test>\r\nReceived: from z by w\r\n\tfor somebody; now\r\nARC-Seal: i=1\r\n"
    assert delivery_key((there + mail()).encode()) == delivery_key((here + mail()).encode())


def test_another_body_or_subject_has_another_fingerprint():
    found = {delivery_key(raw.encode())[1] for raw in (mail(), mail(body="other"), mail("Subject: other"))}
    assert len(found) == 3


def test_no_empty_or_two_message_ids_give_a_key_from_the_content():
    for fields in (("Message-ID:",), ("Message-ID: <>",), ("Message-ID: <a@b>", "Message-ID: <c@d>")):
        key, _ = delivery_key(mail(*fields).encode())
        assert key.startswith("sha256:")


def test_same_words_submitted_twice_stay_two_mails():
    one, two = (
        f"Received: by mx; late\r\nReceived: from pc; {at}\r\nSubject: x\r\n\r\nhi".encode()
        for at in ("10:00", "10:01")
    )
    again = b"Received: by other; later\r\nReceived: from pc; 10:00\r\nSubject: x\r\n\r\nhi"
    assert delivery_key(one)[0] != delivery_key(two)[0]
    assert delivery_key(one) == delivery_key(again)


def test_words_of_the_body_are_no_header():
    raw = mail(body="Message-ID: <other@evil.test>\r\nReceived: x")
    assert delivery_key(raw.encode())[0] == "m1@acme.test"


def test_long_and_odd_ids_stay_text():
    key, _ = delivery_key(b"Message-ID: <" + b"a\x00\xff" * 6000 + b"@x>\r\n\r\nhi")
    assert key.encode()
    assert "\0" not in key


def test_mail_of_an_old_mac_has_its_message_id():
    assert delivery_key(mail().replace("\r\n", "\r").encode())[0] == "m1@acme.test"
