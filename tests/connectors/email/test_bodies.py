"""What is shown and what is attached: parts, charsets, HTML, TNEF, calendars, sealed mail."""

import struct
import time
from base64 import b64encode

import pytest

from connectors.channels.email.text import sanitise
from tests.connectors.email.mails import items, mail, message, parts

TEXT = "Content-Type: text/plain; charset=utf-8\r\n\r\n"
HTML = "Content-Type: text/html; charset=utf-8\r\n\r\n"


def attached(found):
    return [(media.name, media.type, media.data) for media in found.media]


def encoded(kind: str, data: bytes, *fields: str) -> str:
    head = "\r\n".join([f"Content-Type: {kind}", "Content-Transfer-Encoding: base64", *fields])
    return f"{head}\r\n\r\n{b64encode(data).decode()}"


def test_plain_mail_is_its_text():
    assert message(mail("Subject: Printer", body="It\r\nburns.")).text == "It\nburns."


def test_alternative_shows_plain_text_and_keeps_html():
    found = message(parts("alternative", TEXT + "It burns.", HTML + "<p>It <b>burns</b>.</p>"))
    assert found.text == "It burns."
    assert found.html == "<p>It <b>burns</b>.</p>"
    assert not found.media


def test_blank_plain_text_gives_way_to_html():
    assert message(parts("alternative", TEXT + " ", HTML + "<p>It burns.</p>")).text == "It burns."
    said = "This message requires an HTML viewer."
    assert message(parts("alternative", TEXT + said, HTML + "<p>It burns.</p>")).text == "It burns."


def test_html_lists_and_tables_stay_readable():
    found = message(mail("Content-Type: text/html", body="<ul><li>one<li>two</ul><table><tr><td>a<td>b</table>"))
    assert [line.split() for line in found.text.split("\n") if line.strip()] == [["*", "one"], ["*", "two"], ["a", "b"]]


def test_texts_around_an_image_are_both_shown():
    found = message(
        parts(
            "mixed",
            TEXT + "Before",
            encoded("image/png", b"png", "Content-Disposition: inline; filename=a.png"),
            TEXT + "After",
        )
    )
    assert found.text == "Before\n\nAfter"
    assert attached(found) == [("a.png", "image/png", b"png")]


def test_inline_image_is_kept_with_its_content_id():
    image = encoded("image/png", b"png", "Content-ID: <i1@acme>")
    found = message(parts("related", HTML + '<p>See <img src="cid:i1@acme"></p>', image))
    assert 'src="cid:i1@acme"' in found.html
    assert [(media.name, media.content_id) for media in found.media] == [("part-2.png", "i1@acme")]


@pytest.mark.parametrize(
    "hostile",
    [
        '<img src="https://evil.test/pixel.gif">',
        "<script>alert(1)</script>",
        '<a href="javascript:alert(1)">x</a>',
        '<p onclick="alert(1)" style="background:url(https://evil.test)">x</p>',
        '<iframe src="https://evil.test"></iframe>',
        "<svg><script>alert(1)</script></svg>",
        '<form action="https://evil.test"><input name="password"></form>',
        '<base href="https://evil.test/"><link rel="stylesheet" href="https://evil.test/x.css">',
        '<img srcset="https://evil.test/p 2x" background="https://evil.test/p">',
        "<style>@import 'https://evil.test'</style>",
        '<video poster="https://evil.test/p"></video>',
    ],
)
def test_html_loads_and_runs_nothing(hostile):
    safe = sanitise(hostile)
    assert safe is not None
    assert "evil.test" not in safe
    assert "alert" not in safe
    assert "password" not in safe


def test_html_nested_too_deep_to_clean_is_attached():
    found = message(mail("Content-Type: text/html", body="<div>" * 5000 + "It burns."))
    assert (found.html, found.text, found.fields["limits"]) == ("", "It burns.", "html")
    assert [media.name for media in found.media] == ["message.html"]


def test_lists_of_two_kinds_nest_in_each_other_without_an_end_and_count_as_deep():
    """`li` closes no `dd`, nor `dd` an `li`: 200 KB took 34 s."""
    assert sanitise("<li><dd>" * 25_000) is None
    assert (sanitise("<ul>" + "<li>x" * 5000) or "").count("</li>") == 5000


def fonts(copies: int, tag: str = "<font color=c{}>") -> str:
    """Formatting that is never closed, each element unlike the others."""
    return "<p>" + "".join(tag.format(number) for number in range(copies))


LEFT_OPEN = {
    "as the review had it": fonts(1000) + "<p>x" * 900,
    "twice as large": fonts(1900) + "<p>x" * 2000,
    "upper case": fonts(1000, "<FONT COLOR=C{}>") + "<P>X" * 900,
    "blocks without p": fonts(1000) + "<li>x" * 900,
    "blocks that end": "<div>" * 900 + fonts(1000) + "</div>x" * 900,
    "inline elements that end": "<span>" * 900 + fonts(1000) + "</span>x" * 900,
    "a > in quotes, the same before it": fonts(1000, '<b title=">" id={}>') + "<p>x" * 900,
    "quotes that are none": fonts(1000, '<b x"y a="> {}">') + "<p>x" * 900,
    "end tags in comments": fonts(1000, "<b id={}><!--</b>-->") + "<p>x" * 900,
    "end tags in attributes": fonts(1000, '<b id={} title="</b>">') + "<p>x" * 900,
    "end tags in styles": fonts(1000, "<b id={}><style></b></style>") + "<p>x" * 900,
    "end tags behind another one's": fonts(1000, "<b id={}><div></b>") + "<p>x" * 900,
    "end tags in a cell": f"<table>{fonts(1000)}<tr><td>{'</font>' * 1000}</table>" + "<p>x" * 900,
    "links that nine blocks keep open": fonts(300, f"<a href=/{{}}>{'<div>' * 9}</a>{'</div>' * 9}") + "<p>x" * 5000,
    "few with long titles": fonts(100, f'<b id={{}} title="{"y" * 1000}">') + "<p>x" * 9000,
    "small, and a hundred times as large": fonts(200) + "<p>x" * 200,
}


@pytest.mark.parametrize("name", LEFT_OPEN)
def test_html_that_swells_is_attached_as_it_came(name):
    found = message(mail("Content-Type: text/html", body=LEFT_OPEN[name]))
    assert (found.html, found.fields["limits"]) == ("", "html")
    assert attached(found) == [("message.html", "text/html", LEFT_OPEN[name].encode())]
    assert "x" in found.text.lower()


CLOSED = {
    "a thousand fonts": "".join(f"<p><font color=c{n}>x</font>" for n in range(1000)),
    "a thousand links": "".join(
        f'<p><a href="http://a.test/{n}"><b id=b{n}>x</b> <img alt=y></a>' for n in range(1000)
    ),
    "equal ones left open": "<p>" + "<font color=red><b>" * 900 + "<p>x" * 2000,
    "cells that end what they open": "<table>" + "<tr><td><font face=arial size=2><b>x</td>" * 900 + "</table>",
    "fonts around blocks": "".join(f"<font color=c{n % 20}><p>x</p></font>" for n in range(2000)),
    "links around blocks": "".join(f"<a href=/{n}><div><div>x</div></div></a>" + "<p>x</p>" * 9 for n in range(80)),
}


@pytest.mark.parametrize("name", CLOSED)
def test_long_html_that_hardly_grows_is_shown(name):
    found = message(mail("Content-Type: text/html", body=CLOSED[name]))
    assert found.html.count("x") >= 800
    assert "limits" not in found.fields
    assert not found.media


def test_links_that_grow_by_what_we_add_are_shown():
    assert (sanitise("<a href=//x>x</a>" * 10_000) or "").count("noopener") == 10_000


def seconds_of(markup: str) -> float:
    begun = time.process_time()
    sanitise(markup)
    return time.process_time() - begun


@pytest.mark.parametrize("unit", ["<b ", "<b>", "<b x=\"<b y='", "<b><i>x</i>", "<a><b>x", "<b a=<b", "<b><span>"])
def test_open_tags_of_a_megabyte_are_judged_in_a_second(unit):
    assert seconds_of(unit * ((1 << 20) // len(unit))) < 2


def test_links_are_kept_without_referrer():
    assert (
        sanitise('<a href="https://acme.test/">x</a>')
        == '<a href="https://acme.test/" rel="noopener noreferrer nofollow">x</a>'
    )


@pytest.mark.parametrize(
    ("charset", "data", "expected"),
    [
        ("utf-8", "Grüße".encode(), "Grüße"),
        ("us-ascii", "Grüße".encode(), "Grüße"),
        ("iso-8859-1", "Grüße für 5 €".encode("cp1252"), "Grüße für 5 €"),
        ("iso-8859-1", "Grüße".encode(), "Grüße"),
        ("utf-8", "Grüße aus Köln, bitte prüfen".encode("latin-1"), "Grüße aus Köln, bitte prüfen"),
        ("x-unknown", "Grüße".encode(), "Grüße"),
        ("rot13", b"hello", "hello"),
        ("gb2312", "你好，打印机坏了".encode("gb18030"), "你好，打印机坏了"),
        ("iso-2022-jp", "日本語のメール".encode("iso-2022-jp"), "日本語のメール"),
        ("shift_jis", "日本語①".encode("cp932"), "日本語①"),
        ("koi8-r", "Привет".encode("koi8-r"), "Привет"),
        ("utf-7", b"+AOQ-", "ä"),
        ("utf-16", "hello".encode("utf-16"), "hello"),
        ("ks_c_5601-1987", "안녕하세요".encode("cp949"), "안녕하세요"),
    ],
)
def test_charsets_that_mails_name_and_misname(charset, data, expected):
    part = encoded(f"text/plain; charset={charset}", data)
    assert message(parts("mixed", part)).text == expected


def test_nul_and_lone_surrogates_become_replacement_characters():
    part = encoded("text/plain; charset=utf-7", b"a+2AA-b\0")
    text = message(parts("mixed", part)).text
    assert text.encode()
    assert "\0" not in text


def test_unreadable_characters_are_named():
    part = encoded("text/plain; charset=utf-8", "Grüße".encode() + b"\xff")
    found = message(parts("mixed", part))
    assert (found.text, found.fields["decode_loss"]) == ("Grüße\ufffd", "yes")
    assert "decode_loss" not in message(mail()).fields


def test_names_of_files_carry_no_path_and_no_control_characters():
    found = message(
        parts(
            "mixed",
            encoded("application/pdf", b"1", 'Content-Disposition: attachment; filename="../../etc/pass\\wd"'),
            encoded("application/pdf", b"2", 'Content-Disposition: attachment; filename="C:\\\\temp\\\\a\x01b.pdf"'),
            encoded("application/pdf", b"3"),
        )
    )
    assert [media.name for media in found.media] == ["wd", "a b.pdf", "part-3.pdf"]


def test_attached_mail_is_kept_whole():
    inner = "From: x@y.test\r\nSubject: inner\r\n\r\nwords"
    found = message(parts("mixed", TEXT + "See", f"Content-Type: message/rfc822\r\n\r\n{inner}"))
    assert attached(found) == [("part-2.eml", "message/rfc822", inner.encode())]
    assert found.subject == ""


def test_calendar_is_attached_and_speaks_where_nothing_else_does():
    event = "Content-Type: text/calendar\r\n\r\nSUMMARY:Move of\r\n  the printer\\, room 3\r\nLOCATION:Hall\r\n"
    alone = message(parts("mixed", event))
    assert alone.text == "Move of the printer, room 3\nHall"
    assert [media.name for media in alone.media] == ["part-1.ics"]
    assert message(parts("alternative", TEXT + "Come", event)).text == "Come"


def test_signed_mail_is_read_and_kept_whole():
    raw = parts("signed", TEXT + "It burns.", "Content-Type: application/pgp-signature; name=signature.asc\r\n\r\nsig")
    found = message(raw)
    assert found.text == "It burns."
    assert attached(found) == [("signed.eml", "message/rfc822", raw.encode())]
    assert found.fields["security"] == "signed"


def test_encrypted_mail_is_kept_whole():
    raw = parts(
        "encrypted",
        "Content-Type: application/pgp-encrypted\r\n\r\nVersion: 1",
        "Content-Type: application/octet-stream\r\n\r\nx",
    )
    found = message(raw)
    assert attached(found) == [("encrypted.eml", "message/rfc822", raw.encode())]
    assert found.fields["security"] == "encrypted"


def test_smime_mail_is_kept_whole():
    raw = mail("Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m", body="x")
    found = message(raw)
    assert attached(found) == [("encrypted.eml", "message/rfc822", raw.encode())]


def tnef_attribute(level: int, identity: int, data: bytes) -> bytes:
    return struct.pack("<BII", level, identity, len(data)) + data + b"\0\0"


def test_winmail_dat_is_unpacked():
    stream = b"\x78\x9f\x3e\x22\x01\x00" + b"".join([
        tnef_attribute(1, 0x00069007, struct.pack("<II", 1252, 0)),
        tnef_attribute(1, 0x0002800C, "Grüße\0".encode("cp1252")),
        tnef_attribute(2, 0x00069002, b"\0" * 14),
        tnef_attribute(2, 0x00018010, b"plan.pdf\0"),
        tnef_attribute(2, 0x0006800F, b"%PDF"),
    ])
    found = message(
        parts("mixed", encoded("application/ms-tnef", stream, "Content-Disposition: attachment; filename=winmail.dat"))
    )
    assert found.text == "Grüße"
    assert attached(found) == [("plan.pdf", "application/octet-stream", b"%PDF")]


def test_winmail_dat_that_cannot_be_read_is_attached():
    found = message(
        parts(
            "mixed",
            encoded(
                "application/ms-tnef",
                b"\x78\x9f\x3e\x22broken",
                "Content-Disposition: attachment; filename=winmail.dat",
            ),
        )
    )
    assert [media.name for media in found.media] == ["winmail.dat"]


def test_uuencoded_part_is_decoded():
    head = "Content-Type: application/x-thing; name=a.bin\r\nContent-Transfer-Encoding: x-uuencode\r\n\r\n"
    body = head + "begin 644 a.bin\r\n%:&5L;&\\\r\n`\r\nend"
    assert message(parts("mixed", body)).media[0].data == b"hello"


@pytest.mark.parametrize("data", ["aGVsbG8", "aGVs bG8=", "aGVsbG8=\r\n", "!aGVsbG8=!"])
def test_broken_base64_gives_what_decodes(data):
    body = f"Content-Type: application/x; name=a\r\nContent-Transfer-Encoding: base64\r\n\r\n{data}"
    assert message(parts("mixed", body)).media[0].data == b"hello"


def test_missing_end_delimiter_and_missing_boundary_lose_no_words():
    cut = parts("mixed", TEXT + "one", TEXT + "two").replace("--b1--", "")
    assert message(cut).text == "one\n\ntwo"
    assert "one" in message(mail("Content-Type: multipart/mixed", body="--q\r\n\r\none\r\n--q--")).text
    assert message(mail('Content-Type: multipart/mixed; boundary="zz"', body="one")).text == "one"


def test_outer_boundary_ends_an_inner_container_that_was_left_open():
    inner = 'Content-Type: multipart/alternative; boundary="b2"\r\n\r\n--b2\r\n' + TEXT + "inner"
    assert message(parts("mixed", inner, TEXT + "outer")).text == "inner\n\nouter"


def test_boundaries_that_begin_alike_are_told_apart():
    inner = 'Content-Type: multipart/alternative; boundary="b11"\r\n\r\n--b11\r\n' + TEXT + "inner\r\n--b11--"
    assert message(parts("mixed", inner, TEXT + "outer")).text == "inner\n\nouter"


def test_empty_envelope_is_skipped_with_its_reason():
    assert [type(item).__name__ for item in items(b"\r\n\r\n")] == ["Skipped"]
