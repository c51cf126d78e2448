"""What we write: correct threading, whole attachments, and no value that starts a header of its own (S39, S40)."""

import hashlib
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.channels.email.compose import addressed, blobs, fill, key_of, render
from connectors.channels.email.options import ParseOptions
from connectors.channels.email.parse import parse_mail
from connectors.channels.email.settings import EmailSettings
from plugins import Envelope, Identity, MediaRef, Outgoing, Refuse
from plugins.testing.stubs import START
from tests.connectors.email.kit import ADDRESS

SETTINGS = EmailSettings(address=ADDRESS, display_name="Acme Desk", aliases=("help@hub.example",))
EXPECTED = {
    "From", "To", "Subject", "Message-ID", "Reply-To", "MIME-Version", "Content-Type", "Content-Transfer-Encoding",
}  # fmt: skip


def outgoing(**more) -> Outgoing:
    given = {"key": "k1.sig", "token": "t0ken", "to": Identity(scheme="email", value="ann@acme.test"), "text": "Hello"}
    return Outgoing(**given | {"subject": "VPN"} | more)


def read(work: Outgoing) -> EmailMessage:
    return message_from_bytes(render(work, SETTINGS), policy=default)


def reread(raw: bytes):
    """As the parsing half reads it."""
    options = ParseOptions(addresses=(ADDRESS,), domains=(SETTINGS.id_domain,))
    return next(iter(parse_mail(Envelope(key="x", raw=raw, at=START), options)))


def test_mail_has_the_headers_of_an_answer():
    work = outgoing(author="Bo Öst", replies_to=("b@acme.test", "a@acme.test"))
    mail = read(work)
    assert mail["From"].addresses[0].display_name == "Bo Öst (Acme Desk)"
    assert mail["From"].addresses[0].addr_spec == ADDRESS
    assert mail["To"] == "ann@acme.test"
    assert mail["Reply-To"] == "support+t0ken@hub.example"
    assert mail["Message-ID"] == "<k1.sig@trunkline.hub.example>"
    assert mail["In-Reply-To"] == "<b@acme.test>"
    assert mail["References"] == "<a@acme.test> <b@acme.test>"
    assert mail["Auto-Submitted"] is None
    assert mail.get_content() == "Hello\r\n"


def test_references_continue_those_of_the_mail_that_is_answered():
    head = b"From: ann@acme.test\r\nMessage-ID: <c@acme.test>\r\nReferences: <a@x.test> <b@x.test>\r\n"
    raw = head + b"Subject: S\r\n\r\nhi\r\n"
    message = reread(raw)
    mail = read(outgoing(subject="", replies_to=(message.key,), reply_via=message.reply_via))
    assert mail["In-Reply-To"] == "<c@acme.test>"
    assert mail["References"] == "<a@x.test> <b@x.test> <c@acme.test>"
    assert mail["Subject"] == "Re: S"


def test_answer_to_our_own_mail_names_its_message_id():
    assert read(outgoing(replies_to=("k0.sig",)))["In-Reply-To"] == "<k0.sig@trunkline.hub.example>"


def test_mail_without_message_id_is_answered_without_reference():
    assert read(outgoing(replies_to=("sha256:abc",)))["In-Reply-To"] is None


def test_answer_to_our_mail_is_tied_to_its_key_by_the_parser():
    sent = read(outgoing())
    answer = f"From: ann@acme.test\r\nTo: {sent['Reply-To']}\r\nIn-Reply-To: {sent['Message-ID']}\r\n\r\nthanks\r\n"
    message = reread(answer.encode())
    assert message.replies_to == (outgoing().key,)
    assert message.tokens == ("t0ken",)


def test_automatic_mail_says_so_and_has_no_return_path():
    raw = render(outgoing(automatic=True, replies_to=("b@acme.test",)), SETTINGS)
    mail = message_from_bytes(raw, policy=default)
    assert mail["Auto-Submitted"] == "auto-replied"
    assert mail["X-Auto-Response-Suppress"] == "All"
    assert addressed(raw, SETTINGS) == ("", "ann@acme.test")
    assert addressed(render(outgoing(), SETTINGS), SETTINGS) == (ADDRESS, "ann@acme.test")


def test_answer_comes_from_the_address_that_was_written_to():
    mail = read(outgoing(reply_via=b'{"own":"help@hub.example"}'))
    assert mail["From"] == "Acme Desk <help@hub.example>"
    assert read(outgoing(reply_via=b'{"own":"ceo@hub.example"}'))["From"] == f"Acme Desk <{ADDRESS}>"


def test_html_is_an_alternative_beside_the_text():
    mail = read(outgoing(html="<p>Hello ü</p>"))
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
    assert mail.get_body(("html",)).get_content() == "<p>Hello ü</p>\r\n"


def test_attachments_are_filled_in_byte_for_byte():
    data = [bytes(range(256)) * 9, b"", b"From x\r\n.\r\n--"]
    names = ["größe.bin", "a b.txt", 'q"uo;te.txt']
    media = tuple(MediaRef(sha256=hashlib.sha256(each).hexdigest(), name=name, type="text/plain")
                  for each, name in zip(data, names, strict=True))  # fmt: skip
    raw = render(outgoing(html="<p>x</p>", media=media), SETTINGS)
    assert blobs(raw) == [each.sha256 for each in media]
    mail = message_from_bytes(fill(raw, data), policy=default)
    parts = list(mail.iter_attachments())
    assert [part.get_payload(decode=True) for part in parts] == data
    assert [part.get_filename() for part in parts] == names
    assert mail.get_body(("plain",)).get_content() == "Hello\r\n"
    assert b"X-Trunkline-Blob" not in fill(raw, data)


def test_text_can_not_name_an_attachment():
    evil = "X-Trunkline-Blob: " + "0" * 64
    text = f"\r\n--=_x\r\nContent-Type: text/plain\r\n{evil}\r\n\r\n"
    media = (MediaRef(sha256="1" * 64, name="real"),)
    raw = render(outgoing(text=text, media=media), SETTINGS)
    assert blobs(raw) == ["1" * 64]
    assert blobs(render(outgoing(text=text), SETTINGS)) == []


def test_same_work_renders_to_the_same_bytes():
    work = outgoing(html="<p>x</p>", media=(MediaRef(sha256="0" * 64, name="n"),))
    assert render(work, SETTINGS) == render(work, SETTINGS)


def test_key_of_a_rendered_mail_is_the_work_s_key():
    assert key_of(render(outgoing(), SETTINGS)) == "k1.sig"


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\0"])
@pytest.mark.parametrize("field", ["token", "key"])
def test_line_end_in_a_value_of_ours_is_refused(field: str, end: str):
    with pytest.raises(Refuse):
        render(outgoing(**{field: f"x{end}Bcc: eve@evil.test"}), SETTINGS)


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\0", "\x1b", "\x85", "\u2028", "\u2029"])
def test_line_end_in_a_subject_or_a_name_is_a_blank(end: str):
    mail = read(outgoing(subject=f"VPN{end}Bcc: eve@evil.test", author=f"Ann{end}Lee"))
    assert mail["Bcc"] is None
    assert mail["Subject"] == "VPN Bcc: eve@evil.test"
    assert "Ann Lee" in mail["From"]


def test_line_end_in_a_file_name_is_a_blank():
    mail = render(outgoing(media=(MediaRef(sha256="0" * 64, name="a\r\nBcc: eve@evil.test"),)), SETTINGS)
    assert b"filename*=utf-8''a%20Bcc%3A%20eve%40evil.test\r\n" in mail


def test_mail_goes_to_the_domain_that_was_meant():
    """IDNA2003 made `fass.example`, another owner's, of it."""
    assert read(outgoing(to=Identity(scheme="email", value="Ann@fa\u00df.example")))["To"] == "Ann@xn--fa-hia.example"


@pytest.mark.parametrize(
    "address",
    ["a@b\r\nRCPT TO:<eve@evil.test>", "a@b.test> SIZE=1", "<a@b.test>", "a b@c.test", "a@b@c.test", "a@", "@b",
     "a@b..c", "a,eve@evil.test", "a@[127.0.0.1]", "\u00e4@b.test", "a" * 300 + "@b.test"],
)  # fmt: skip
def test_address_that_could_be_a_command_is_refused(address: str):
    with pytest.raises(Refuse, match="bad_address"):
        render(outgoing(to=Identity(scheme="email", value=address)), SETTINGS)


def test_encoded_word_with_a_line_feed_inside_stays_text():
    """CVE-2024-6923: Python 3.11.7 itself writes this one as a header line."""
    subject = "a =?utf-8?q?=0ABcc:_eve@evil.test?= b"
    mail = read(outgoing(subject=subject))
    assert mail["Bcc"] is None
    assert mail["Subject"] == subject


@settings(deadline=None)
@given(subject=st.text(max_size=1200), author=st.text(max_size=300), name=st.text(max_size=300), text=st.text())
def test_no_value_makes_a_header_or_a_line_that_is_too_long(subject: str, author: str, name: str, text: str):
    media = (MediaRef(sha256="0" * 64, name=name),)
    try:
        plain, full = (render(outgoing(subject=subject, author=author, text=text, media=each), SETTINGS)
                       for each in ((), media))  # fmt: skip
    except Refuse:
        assert any(char in subject + author + name for char in "\r\n\0")
        return
    assert set(message_from_bytes(plain, policy=default).keys()) == EXPECTED
    assert set(message_from_bytes(full, policy=default).keys()) == EXPECTED - {"Content-Transfer-Encoding"}
    for line in full.split(b"\r\n"):
        assert len(line) <= 998
        assert line.isascii()
        assert b"\n" not in line
        assert b"\r" not in line
    assert len(list(message_from_bytes(full, policy=default).iter_parts())) == 2


@settings(deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=250))
def test_subject_survives_as_people_wrote_it(subject: str):
    raw = render(outgoing(subject=subject), SETTINGS)
    assert reread(raw).subject == subject


@settings(deadline=None)
@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029")))
def test_text_survives_as_people_wrote_it(text: str):
    read_back = message_from_bytes(render(outgoing(text=text), SETTINGS), policy=default).get_content()
    assert read_back.replace("\r\n", "\n").rstrip("\n") == text.rstrip("\n")
