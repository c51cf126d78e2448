"""Whatever arrives yields items that the contract accepts: the same ones every time, and within bounds."""

import os
import sys
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import json

from connectors.channels.email.keys import delivery_key
from connectors.channels.email.mime import Tree
from connectors.channels.email.parse import Limits, ParseOptions
from connectors.channels.email.reply import folds
from plugins import Item, Message
from tests.connectors.email.mails import OPTIONS, items, mail, message

LIMITS = OPTIONS.limits


def nested(depth: int, tail: bytes = b"") -> bytes:
    levels = (
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (number, number) for number in range(depth)
    )
    return b"From: ann@acme.test\r\n" + b"".join(levels) + b"Content-Type: text/plain\r\n\r\nhi\r\n" + tail


def held_to_the_contract(found: list[Item]) -> None:
    """As the hub does: through JSON into typed items, which checks lengths, types and surrogates."""
    assert found
    assert json.decode(json.encode(found), type=list[Item])


HEAD = b"From: ann@acme.test\r\n"
HTML = HEAD + b"Content-Type: text/html\r\n\r\n"
HOSTILE: dict[str, Callable[[], bytes]] = {
    "1,000 nested parts": lambda: nested(1000),
    "10,000 nested parts": lambda: nested(10_000),
    "1,000 nested parts before 24 MB": lambda: nested(1000, b"x\r\n" * (8 << 20)),
    "100,000 headers": lambda: b"X-A: b\r\n" * 100_000 + HEAD + b"\r\nhi",
    "20,000 recipients": lambda: (
        HEAD + b"To: " + b",\r\n ".join(b"u%d@x.test" % n for n in range(20_000)) + b"\r\n\r\nhi"
    ),
    "3,000 parentheses": lambda: b"From: " + b"(" * 3000 + b"\r\nTo: " + b"(" * 3000 + b"a@b.test\r\n\r\nhi",
    "20,000 encoded words": lambda: HEAD + b"Subject: " + b" ".join([b"=?utf-8?q?x?="] * 20_000) + b"\r\n\r\nhi",
    "words without end": lambda: HEAD + b"Subject: " + b"=?a?q?" * 50_000 + b"\r\n\r\nhi",
    "a header of 1 MB": lambda: HEAD + b"Subject: " + b"x" * (1 << 20) + b"\r\n\r\nhi",
    "1,000,000 parts": lambda: HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\n" * 1_000_000,
    "24 MB of noise": lambda: HEAD + b"\r\n" + os.urandom(1 << 20) * 24,
    "24 MB of quotations": lambda: HEAD + b"\r\n" + b"> q\r\n" * (5 << 20),
    "attributions": lambda: HEAD + b"\r\n" + b"see below\r\n" + b"On 1 Jan 10:00 a@b.test wrote:\r\nx\r\n" * 100_000,
    "On On On": lambda: HEAD + b"\r\n" + b"On " * 100_000 + b"wrote:",
    "phones": lambda: HEAD + b"\r\n" + b"> q\r\n" * 20_000 + b"Sent from my iPhone\r\n" * 20_000,
    "header blocks": lambda: HEAD + b"\r\nx\r\n" + b"From: a\r\nTo: b\r\n\r\n" * 50_000,
    "nested elements": lambda: HTML + b"<div>" * 200_000 + b"x",
    "nested tables": lambda: HTML + b"<table><tr><td>x" * 20_000,
    "unclosed scripts": lambda: HTML + b"<script>" * 60_000,
    "unclosed comments": lambda: HTML + b"<!--" * 100_000,
    "entities": lambda: HTML + b"&lt;&nbsp;" * 60_000,
    "numbers of no characters": lambda: HTML + b"<div>" * 3000 + b"hi &#" + b"9" * 5_000 + b";",
    "24 MB of HTML": lambda: HTML + b"<p>word</p>" * (2 << 20),
    "UTF-7": lambda: HEAD + b"Content-Type: text/plain; charset=utf-7\r\n\r\n" + b"+2AA-" * 200_000,
    "parameters": lambda: HEAD + b"Content-Type: text/plain" + b"; a*0=b" * 20_000 + b"\r\n\r\nx",
    "results of authentication": lambda: (
        b"Authentication-Results: mx.hub.example; " + b"dkim=pass ((" * 5000 + b"\r\n" + HEAD + b"\r\n"
    ),
    "references": lambda: (
        HEAD + b"References: " + b"<a@b>" * 40_000 + b"\r\nIn-Reply-To: " + b"<" * 50_000 + b"\r\n\r\nx"
    ),
    "a broken TNEF list": lambda: (
        HEAD + b"Content-Type: application/ms-tnef\r\n\r\n\x78\x9f\x3e\x22ab\x01\x03\x90\x06\x00" + b"\xff" * 60_000
    ),
    "line ends of a Mac": lambda: HEAD.replace(b"\r\n", b"\r") + b"\r" * 100_000 + b"x",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_mail_yields_a_bounded_message(name):
    raw = HOSTILE[name]()
    found = items(raw)
    held_to_the_contract(found)
    first = found[0]
    assert isinstance(first, Message)
    assert len(first.text) <= LIMITS.text
    assert len(first.recipients) <= LIMITS.addresses
    assert len(first.media) <= LIMITS.parts + 1
    assert sum(len(value) for value in first.fields.values()) < 20_000
    assert len(first.reply_via) < 50_000
    assert delivery_key(raw) == delivery_key(raw)


def test_text_that_is_too_deep_to_lay_out_is_read_around_a_reference_to_no_character():
    assert message(HTML + b"<div>" * 3000 + b"VPN &#" + b"9" * 5_000 + b"; down").text == "VPN \ufffd down"


def test_what_lies_beyond_a_limit_is_named_and_kept_as_a_file():
    deep = message(nested(100))
    assert deep.fields["limits"] == "depth"
    assert b"hi" in (deep.media[0].data or b"")
    long = message(mail(body="word " * (LIMITS.text // 4)))
    assert long.fields["limits"] == "text"
    assert len(long.media[0].data or b"") > len(long.text)
    wide = message(mail("Content-Type: multipart/mixed; boundary=b", body="--b\r\n\r\nx\r\n" * 2000))
    assert "parts" in wide.fields["limits"]


def test_depth_and_number_of_parts_are_bounded_by_the_options():
    tree = Tree(nested(50), Limits(depth=3))
    assert list(tree.notes) == ["depth"]
    tree = Tree(b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * 50, Limits(parts=10))
    assert len(list(tree.root.walk())) == 10


def test_fields_behind_the_limit_are_left_out_and_the_body_is_found():
    raw = b"Subject: first\r\n" + b"X-A: b\r\n" * 5000 + b"Subject: last\r\n\r\nbody"
    found = message(raw)
    assert (found.subject, found.text, found.fields["limits"]) == ("first", "body", "headers")


@pytest.mark.parametrize(
    "unit",
    [
        "On 1 Jan 10:00 a@b.test wrote:\nx\n",
        "From: a\nTo: b\n\n",
        "--\n",
        "Sent from my iPhone\n",
        "> q\n",
        "\n\n\n:\n",
    ],
)
def test_folding_takes_steps_in_proportion_to_the_lines(unit):
    """Calls into the patterns and helpers are counted, not seconds."""

    def steps(copies: int) -> int:
        count = 0

        def tick(frame, event, arg):
            nonlocal count
            count += event in {"call", "c_call"}

        text = "see below\n" + unit * copies
        sys.setprofile(tick)
        try:
            folds(text, len(text))
        finally:
            sys.setprofile(None)
        return count

    assert steps(2000) < 2.5 * steps(1000)


fields = st.sampled_from([
    "From",
    "To",
    "Subject",
    "Content-Type",
    "Content-Disposition",
    "Content-Transfer-Encoding",
    "Message-ID",
    "References",
    "Date",
])
values = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        [b"multipart/mixed; boundary=b", b"multipart/alternative; boundary=c", b"text/html",
         b"text/plain; charset=utf-16", b"base64",
         b"quoted-printable", b"x-uuencode", b"message/rfc822", b"message/delivery-status",
         b"text/calendar", b"application/ms-tnef",
         b"attachment; filename*0*=x'y'%FF; filename*2=z", b"=?utf-8?b?/w?= =?x?q?=FF?=",
         b"<[a@b]>", b"\xff\xfe <a@b>", b"multipart/signed; boundary=b"]
    ),
)  # fmt: skip
header = st.builds(lambda name, value: name.encode() + b": " + value + b"\r\n", fields, values)
chunk = st.one_of(
    header,
    st.sampled_from([
        b"\r\n",
        b"--b\r\n",
        b"--b--\r\n",
        b"--c\r\n",
        b"> q\r\n",
        b"<blockquote type=cite>",
        b"begin 644 x\r\n",
    ]),
    st.binary(max_size=40),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(chunk, max_size=40).map(b"".join))
def test_any_bytes_yield_items_and_the_same_ones_again(raw):
    found = items(raw, rcpt="support+x@hub.example, ?", mail_from="")
    held_to_the_contract(found)
    assert found == items(raw, rcpt="support+x@hub.example, ?", mail_from="")


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.text(max_size=30),
            st.sampled_from([
                "> q",
                "-- ",
                "On 1 Jan 10:00 a@b.test wrote:",
                "Sent from my iPhone",
                "",
                "From: a",
                "To: b",
                "Subject: c",
                "Sent: d",
            ]),
        ),
        max_size=30,
    ).map("\n".join)
)
def test_folds_are_ordered_apart_and_inside_any_text(text):
    last = 0
    for fold in folds(text, 10_000):
        assert last <= fold.start < fold.end <= len(text)
        last = fold.end


def test_options_without_anything_parse_too():
    held_to_the_contract(items(mail("Subject: x"), ParseOptions()))
