"""Mail of machines is told from mail of people, and tied to what it is about."""

import pytest

from plugins import Message, Receipt
from tests.connectors.email.mails import items, mail, message, parts

ORIGINAL = (
    "Content-Type: message/rfc822\r\n\r\nFrom: a@hub.example\r\nMessage-ID: <key7@hub.example>\r\nSubject: x\r\n\r\ny"
)
PERSON = "Content-Type: text/plain\r\n\r\nSorry."


def status(*fields: str) -> str:
    lines = "\r\n".join(["Reporting-MTA: dns; mx.acme.test", "", "Final-Recipient: rfc822; bob@acme.test", *fields])
    return f"Content-Type: message/delivery-status\r\n\r\n{lines}\r\n"


def report(kind: str, *each: str, sender: str = "MAILER-DAEMON@acme.test") -> str:
    return parts(f"report; report-type={kind}", *each, fields=(f"From: {sender}",))


def receipt(raw: str) -> Receipt:
    found = items(raw)[1]
    assert isinstance(found, Receipt)
    return found


def test_dsn_of_our_mail_is_a_failed_receipt_beside_the_message():
    raw = report(
        "delivery-status",
        PERSON,
        status("Action: failed", "Status: 5.1.1", "Diagnostic-Code: smtp; 550 5.1.1 no\r\n such user"),
        ORIGINAL,
    )
    found = message(raw)
    assert found.automatic == "bounce"
    assert list(found.replies_to) == ["key7"]
    got = receipt(raw)
    assert (got.state, got.of, got.reason) == ("failed", "key7", "5.1.1 smtp; 550 5.1.1 no such user")


def test_delay_is_a_bounce_without_a_receipt():
    found = items(report("delivery-status", PERSON, status("Action: delayed", "Status: 4.4.1"), ORIGINAL))
    assert [type(item) for item in found] == [Message]
    assert found[0].automatic == "bounce"


def test_delivery_report_is_a_delivered_receipt():
    assert (
        receipt(report("delivery-status", PERSON, status("Action: delivered", "Status: 2.0.0"), ORIGINAL)).state
        == "delivered"
    )


def test_failure_of_one_recipient_outweighs_the_rest():
    both = status(
        "Action: delivered",
        "Status: 2.0.0",
        "",
        "Final-Recipient: rfc822; eve@acme.test",
        "Action: failed",
        "Status: 5.2.2",
    )
    assert receipt(report("delivery-status", PERSON, both, ORIGINAL)).state == "failed"


def test_envelope_id_stands_in_for_a_missing_original():
    raw = report(
        "delivery-status",
        PERSON,
        "Content-Type: message/delivery-status\r\n\r\nOriginal-Envelope-Id: key9@hub.example\r\n\r\nAction: failed\r\n",
    )
    assert receipt(raw).of == "key9"


def test_headers_of_the_original_are_enough():
    headers = "Content-Type: text/rfc822-headers\r\n\r\nMessage-ID: <key7@hub.example>\r\n"
    assert receipt(report("delivery-status", PERSON, status("Action: failed"), headers)).of == "key7"


def test_report_about_a_strangers_mail_gives_no_receipt():
    raw = report("delivery-status", PERSON, status("Action: failed"), ORIGINAL.replace("hub.example", "acme.test"))
    assert len(items(raw)) == 1
    assert list(message(raw).replies_to) == ["key7@acme.test"]


@pytest.mark.parametrize(("fate", "state"), [("displayed", "read"), ("deleted", "delivered"), ("failed", "failed")])
def test_mdn_is_a_receipt(fate, state):
    said = f"Disposition: manual-action/MDN-sent-manually; {fate}\r\nOriginal-Message-ID: <key7@hub.example>\r\n"
    told = f"Content-Type: message/disposition-notification\r\n\r\n{said}"
    raw = report("disposition-notification", PERSON, told, sender="ann@acme.test")
    assert message(raw).automatic == "receipt"
    assert (receipt(raw).state, receipt(raw).of) == (state, "key7")


def test_feedback_report_is_a_report_about_its_original():
    told = "Content-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nVersion: 1\r\n"
    found = message(report("feedback-report", PERSON, told, ORIGINAL, sender="fbl@isp.test"))
    assert (found.automatic, list(found.replies_to), found.fields["report"]) == ("report", ["key7"], "abuse")


def test_bounce_without_structure_is_known_by_its_sender_and_its_words():
    copy = "--- Below is a copy\n\nMessage-ID: <key7@hub.example>\nSubject: x\n"
    body = f"I couldn't deliver it.\n<bob@acme.test>: 550 5.1.1 user unknown\n\n{copy}"
    raw = mail("From: MAILER-DAEMON@acme.test", "Subject: failure notice", body=body)
    assert message(raw).automatic == "bounce"
    assert (receipt(raw).state, receipt(raw).of, receipt(raw).reason) == ("failed", "key7", "5.1.1")


def test_null_return_path_makes_a_bounce_of_a_text_about_delivery():
    raw = mail("From: Mail <relay@acme.test>", "Subject: Undeliverable: Printer")
    assert message(raw, mail_from="").automatic == "bounce"
    assert message("Return-Path: <>\r\n" + raw).automatic == "bounce"


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        (("Auto-Submitted: auto-replied",), "reply"),
        (("Auto-Submitted: auto-generated", "Subject: Away until Monday: vacation"), "reply"),
        (("Subject: Automatic reply: Printer",), "reply"),
        (("Subject: Out of Office",), "reply"),
        (("Subject: Abwesenheitsnotiz: Drucker",), "reply"),
        (("Subject: Réponse automatique : Imprimante",), "reply"),
        (("Subject: 自動返信: プリンター",), "reply"),
        (("X-Autoreply: yes",), "reply"),
        (("Precedence: auto_reply",), "reply"),
        (("Auto-Submitted: auto-generated",), "bulk"),
        (("Precedence: bulk",), "bulk"),
        (("List-Unsubscribe: <https://acme.test/u>",), "bulk"),
        (("From: no-reply@acme.test",), "bulk"),
        (("From: postmaster@acme.test",), "bulk"),
        (("From: support@hub.example",), "bulk"),
        (("List-Id: <users.acme.test>",), "list"),
        (("Precedence: list",), "list"),
        (("Auto-Submitted: no",), ""),
        ((), ""),
    ],
)
def test_kinds_of_automatic_mail(fields, kind):
    assert message(mail(*fields)).automatic == kind


@pytest.mark.parametrize(
    ("subject", "body"),
    [
        ("Undeliverable mail, what now?", "I get this: 550 5.1.1 user unknown\nMessage-ID: <x@acme.test>"),
        ("Vacation calendar is broken", "Please help."),
        ("Absence of network in room 3", "Since eight."),
        ("Automatic response system fails", "It answers nobody."),
        ("Out of office printer paper", "We need more."),
        ("Delivery of the new laptop", "It was returned to sender."),
        ("My mailbox is full", "Over quota since Monday."),
    ],
)
def test_people_who_write_about_such_things_are_people(subject, body):
    assert message(mail(f"Subject: {subject}", body=body)).automatic == ""


def test_attached_bounce_that_a_person_forwards_is_no_bounce():
    bounce = (
        report("delivery-status", PERSON, status("Action: failed"), ORIGINAL)
        .replace("--b1", "--b9")
        .replace('"b1"', '"b9"')
    )
    assert message(parts("mixed", PERSON, f"Content-Type: message/rfc822\r\n\r\n{bounce}")).automatic == ""
