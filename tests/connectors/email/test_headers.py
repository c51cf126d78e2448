"""Who, to whom, about what: fields that senders break and forge."""

from datetime import UTC, datetime

import pytest
from msgspec import json, structs

from connectors.channels.email.headers import addresses, parameters, words
from connectors.channels.email.parse import ParseOptions
from connectors.channels.email.trust import NO_SENDER
from tests.connectors.email.mails import AT, OPTIONS, mail, message

PASS = "Authentication-Results: mx.hub.example; dmarc=pass header.from=acme.test"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b'"Ann Lee" <ann@ACME.test>', [("Ann Lee", "ann@acme.test")]),
        (b"Ann.Lee@acme.test", [("", "Ann.Lee@acme.test")]),
        (b"ann@acme.test (Ann (of Acme) Lee)", [("Ann of Acme", "ann@acme.test")]),
        (b"Team: ann@acme.test, bob@acme.test;", [("", "ann@acme.test"), ("", "bob@acme.test")]),
        (b"=?utf-8?q?J=C3=B6rg_M=C3=BCller?= <j@x.test>", [("Jörg Müller", "j@x.test")]),
        ("Jörg <j@x.test>".encode("latin-1"), [("Jörg", "j@x.test")]),
        (b"<@relay.test,@two.test:ann@acme.test>", [("", "ann@acme.test")]),
        (b'"Lee, Ann" <ann@acme.test>, bob@acme.test', [("Lee, Ann", "ann@acme.test"), ("", "bob@acme.test")]),
        (b"ann@acme.test, Inc", [("", "ann@acme.test")]),
        (b"Ann Lee ann@acme.test", [("", "ann@acme.test")]),
        (b"<ann@corp.test><b@evil.test>", [("", "ann@corp.test"), ("", "b@evil.test")]),
        (b"=?utf-8?q?boss=40corp.test=2C?= <b@evil.test>", [("boss@corp.test,", "b@evil.test")]),
        (b"ann@acme.test bob@acme.test", [("", "ann@acme.test"), ("", "bob@acme.test")]),
        (b"undisclosed-recipients:;", []),
        (b"<>", []),
        (b"a@b@c", []),
        (b"ann@acme.test\x00evil", []),
        (b"<[abc@x]>", []),
    ],
)
def test_addresses_are_read_as_people_write_them(raw, expected):
    assert [tuple(found) for found in addresses(raw, 100)] == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"=?utf-8?B?R3LDvMOfZQ==?=", "Grüße"),
        (b"=?utf-8?B?w6Q=?= =?utf-8?Q?_b?= c", "ä b c"),
        (b"=?utf-8?Q?=E6=97?= =?utf-8?Q?=A5?=", "日"),
        (b"=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "日本"),
        (b"=?koi8-r?B?0NLJ18XU?=", "привет"),
        (b"=?x-nonsense?Q?abc?=", "abc"),
        (b"=?utf-8?q?what??= next", "what? next"),
        (b"plain =?broken", "plain =?broken"),
        ("Grüße".encode(), "Grüße"),
        (b"Acme\x99 printer", "Acme™ printer"),
        (b"two\r\n lines\tand\x00nul", "two lines and\ufffdnul"),
    ],
)
def test_encoded_words_are_decoded_and_broken_ones_kept(raw, expected):
    assert words(raw) == expected


@pytest.mark.parametrize(
    ("raw", "name", "expected"),
    [
        (b"attachment; filename*0*=utf-8''caf%C3%A9%20; filename*1=\"menu.pdf\"", "filename", "café menu.pdf"),
        (b"attachment; filename*=iso-8859-1''b%E4r.txt; filename=bar.txt", "filename", "bär.txt"),
        (b'attachment; filename="=?utf-8?q?b=C3=A4r.txt?="', "filename", "bär.txt"),
        (b"application/pdf; name=two words.pdf", "name", "two words.pdf"),
        (b'text/plain; charset="a\\"b"', "charset", 'a"b'),
    ],
)
def test_parameters_are_joined_and_decoded(raw, name, expected):
    assert parameters(raw)[1][name] == expected


def test_sender_is_proved_only_by_a_trusted_dmarc_pass():
    claim = message(mail(PASS)).sender
    assert (claim.assurance, claim.issuer, claim.name) == (1, "mx.hub.example", "Ann Lee")
    assert claim.identity.value == "ann@acme.test"


@pytest.mark.parametrize(
    "fields",
    [
        (),
        ("Authentication-Results: mx.evil.test; dmarc=pass header.from=acme.test",),
        ("Authentication-Results: mx.hub.example; dmarc=fail header.from=acme.test",),
        ("Authentication-Results: mx.hub.example; dmarc=pass header.from=evil.test",),
        ("Authentication-Results: mx.hub.example; dmarc=pass header.from=sub.acme.test",),
        ("Authentication-Results: mx.hub.example; dmarc=pass",),
        ("Authentication-Results: mx.hub.example; dkim=pass header.d=acme.test; spf=pass smtp.mailfrom=acme.test",),
        ("Authentication-Results: mx.hub.example; spf=none", "Received: from x by y; now", PASS),
        ("Authentication-Results: mx.evil.test; spf=pass", PASS),
        (PASS, PASS.replace("pass", "fail")),
        ("Received: from evil by us; now", PASS),
        ("Received: from evil by us; now", "Received: from x by evil; now", PASS),
        ("Authentication-Results: mx.hub.example; spf=pass", PASS.replace(":", " :", 1)),
        (PASS.replace(":", "\t:", 1),),
        ("Authentication-Results: mx.hub.example (dmarc=pass header.from=acme.test); none",),
        ("Authentication-Results: mx.hub.example;\r\n x (comment; dmarc=pass header.from=acme.test",),
        (PASS, "From: ann@acme.test", "From: bob@acme.test"),
        (PASS, "From: ann@acme.test, bob@acme.test"),
        (PASS, "From: <ann@acme.test><ann@evil.test>"),
    ],
)
def test_anything_less_than_a_trusted_pass_for_one_author_is_a_claim(fields):
    assert message(mail(*fields)).sender.assurance == 0


def test_results_count_below_the_received_of_our_own_hops_and_no_deeper():
    options = structs.replace(OPTIONS, hops=1)
    received = "Received: from x by y; now"
    assert message(mail(received, "Return-Path: <ann@acme.test>", PASS), options).sender.assurance == 1
    assert message(mail(PASS, received), options).sender.assurance == 1
    assert message(mail(received, received, PASS), options).sender.assurance == 0


def test_author_in_a_field_that_our_border_may_not_have_seen_is_a_claim():
    assert message(f"{PASS}\r\nFrom: ann@acme.test\r\n\r\nhello").sender.assurance == 1
    assert message(f"{PASS}\r\nFrom : ann@acme.test\r\n\r\nhello").sender.assurance == 0


def test_without_configured_border_no_result_counts():
    assert message(mail(PASS), ParseOptions()).sender.assurance == 0


def test_a_second_from_hidden_behind_a_thousand_fields_proves_nothing():
    fields = [PASS, *(f"X-{number}: y" for number in range(1200))]
    assert message(mail(*fields)).sender.assurance == 0


def test_mail_without_from_hangs_on_its_return_path_or_nobody():
    assert message("Return-Path: <ann@acme.test>\r\nSubject: x\r\n\r\nhello").sender.identity.value == "ann@acme.test"
    assert message("Subject: x\r\n\r\nhello").sender.identity.value == NO_SENDER
    assert message("Subject: x\r\n\r\nhello", mail_from="bob@acme.test").sender.identity.value == "bob@acme.test"


def test_plus_suffixes_of_our_addresses_are_tokens():
    raw = mail(
        "Delivered-To: support+tok1@hub.example",
        "To: Help <HELP+tok2@hub.example>, ann+no@acme.test",
        "Cc: support@hub.example",
    )
    found = message(raw, rcpt="support+tok3@hub.example, x@y.test")
    assert list(found.tokens) == ["tok3", "tok1", "tok2"]


def test_answers_name_our_messages_by_key_newest_first():
    raw = mail("In-Reply-To: <key2@hub.example>", "References: <key1@hub.example> <other@acme.test> <key2@HUB.example>")
    assert list(message(raw).replies_to) == ["key2", "other@acme.test", "key1"]


def test_way_back_carries_what_an_answer_needs():
    raw = mail("To: help+x@hub.example", "References: <a@x> <b@y>", "Subject: Printer")
    assert json.decode(message(raw).reply_via) == {
        "message_id": "m1@acme.test",
        "references": ["a@x", "b@y"],
        "subject": "Printer",
        "own": "help@hub.example",
    }


def test_reply_to_is_shown_only_where_it_differs():
    assert message(mail("Reply-To: ann@acme.test")).reply_to is None
    found = message(mail("Reply-To: Ann <other@acme.test>")).reply_to
    assert found is not None
    assert found.value == "other@acme.test"


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("Fri, 20 Nov 2026 10:11:12 +0100", datetime(2026, 11, 20, 9, 11, 12, tzinfo=UTC)),
        ("Fri, 20 Nov 2037 10:11:12 +0100", AT),
        ("Fri, 20 Nov 1970 10:11:12 +0100", AT),
        ("yesterday", AT),
        ("Fri, 99 Nov 2026 99:11:12 +9999", AT),
    ],
)
def test_a_date_counts_where_it_is_believable(date, expected):
    assert message(mail(f"Date: {date}")).at == expected


def test_byte_order_mark_and_mbox_line_are_no_header():
    assert message("\ufeff" + mail("Subject: Printer")).subject == "Printer"
    assert message("From ann@acme.test Sat Nov 21 10:00:00 2026\n" + mail("Subject: Printer")).subject == "Printer"


def test_mail_of_an_old_mac_is_read():
    assert message(mail("Subject: Printer").replace("\r\n", "\r")).subject == "Printer"
