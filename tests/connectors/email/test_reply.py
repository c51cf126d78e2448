"""Quotations and signatures fold; not one word of a reply does."""

import pytest

from connectors.channels.email.reply import folds
from tests.connectors.email.mails import mail, message, parts, visible


def shown(text: str) -> str:
    return visible(message(mail("Content-Type: text/plain; charset=utf-8", body=text)))


QUOTED = "> It burns.\n> Please help.\n"

ATTRIBUTIONS = [
    "On Mon, Nov 2, 2026 at 10:11 AM Ann Lee <ann@acme.test> wrote:",
    "On Mon, Nov 2, 2026 at 10:11 AM, Ann Lee\n<ann@acme.test>\nwrote:",
    "On 02/11/2026 10:11, Ann Lee wrote:",
    "Am 02.11.2026 um 10:11 schrieb Ann Lee <ann@acme.test>:",
    "Am Mo., 2. Nov. 2026 um 10:11 Uhr schrieb Ann Lee <\nann@acme.test>:",
    "Le lun. 2 nov. 2026 à 10:11, Ann Lee <ann@acme.test> a écrit\u00a0:",
    "El lun, 2 nov 2026 a las 10:11, Ann Lee (<ann@acme.test>) escribió:",
    "Il giorno lun 2 nov 2026 alle ore 10:11 Ann Lee <ann@acme.test> ha scritto:",
    "Em seg., 2 de nov. de 2026 às 10:11, Ann Lee <ann@acme.test> escreveu:",
    "Op ma 2 nov 2026 om 10:11 schreef Ann Lee <ann@acme.test>:",
    "pon., 2 lis 2026 o 10:11 Ann Lee <ann@acme.test> napisał(a):",
    "W dniu 2.11.2026 o 10:11, Ann Lee pisze:",
    "пн, 2 нояб. 2026 г. в 10:11, Ann Lee <ann@acme.test>:",
    "2 ноября 2026 г., 10:11, Ann Lee <ann@acme.test> написал:",
    "2026年11月2日(月) 10:11 Ann Lee <ann@acme.test>:",
    "Ann Lee <ann@acme.test> 于2026年11月2日周一 10:11写道：",
    "Den mån 2 nov. 2026 kl 10:11 skrev Ann Lee <ann@acme.test>:",
    "man. 2. nov. 2026 kl. 10.11 skrev Ann Lee <ann@acme.test>:",
    "ma 2. marrask. 2026 klo 10.11 Ann Lee (ann@acme.test) kirjoitti:",
    "po 2. 11. 2026 v 10:11 odesílatel Ann Lee <ann@acme.test> napsal:",
    "Ann Lee <ann@acme.test>, 2 Kas 2026 Pzt, 10:11 tarihinde şunu yazdı:",
    "2026. nov. 2. 10:11 keltezéssel, Ann Lee <ann@acme.test> írta:",
    "---- On Mon, 02 Nov 2026 10:11:12 +0000 Ann Lee <ann@acme.test> wrote ----",
]


@pytest.mark.parametrize("attribution", ATTRIBUTIONS)
def test_attribution_folds_with_its_marked_quotation(attribution):
    assert shown(f"It works again.\n\n{attribution}\n{QUOTED}") == "It works again."


@pytest.mark.parametrize("attribution", ATTRIBUTIONS)
def test_attribution_folds_an_unmarked_quotation_below_a_reply(attribution):
    assert shown(f"It works again.\n\n{attribution}\n\nIt burns.\nPlease help.\n") == "It works again."


BLOCKS = [
    "From: Ann Lee <ann@acme.test>\nSent: Monday, November 2, 2026 10:11 AM\nTo: Support\nSubject: Printer",
    "*From:* Ann Lee\n*Sent:* 2026-11-02\n*To:* support@hub.example\n*Subject:* Printer",
    "____________\nVon: Ann <ann@acme.test>\nGesendet: Montag, 2. November 2026 10:11\nAn: Support\nBetreff: Drucker",
    "De : Ann Lee <ann@acme.test>\nEnvoyé : lundi 2 novembre 2026 10:11\nÀ : Support\nObjet : Imprimante",
    "De: Ann Lee <ann@acme.test>\nEnviado: lunes, 2 de noviembre de 2026 10:11\nPara: Support\nAsunto: Impresora",
    "Da: Ann Lee <ann@acme.test>\nInviato: lunedì 2 novembre 2026 10:11\nA: Support\nOggetto: Stampante",
    "Van: Ann Lee <ann@acme.test>\nVerzonden: maandag 2 november 2026 10:11\nAan: Support\nOnderwerp: Printer",
    "Od: Ann Lee <ann@acme.test>\nWysłano: poniedziałek, 2 listopada 2026 10:11\nDo: Support\nTemat: Drukarka",
    "От: Ann Lee <ann@acme.test>\nОтправлено: 2 ноября 2026 г. 10:11\nКому: Support\nТема: Принтер",
    "发件人: Ann Lee <ann@acme.test>\n发送时间: 2026年11月2日 10:11\n收件人: Support\n主题: 打印机",
    "差出人: Ann Lee <ann@acme.test>\n送信日時: 2026年11月2日 10:11\n宛先: Support\n件名: プリンター",
    "-----Original Message-----\nFrom: Ann Lee",
    "-----Ursprüngliche Nachricht-----\nVon: Ann Lee",
    "-------- Message d'origine --------",
    "----- Mensaje original -----",
    "##- Please type your reply above this line -##",
]


@pytest.mark.parametrize("block", BLOCKS)
def test_header_blocks_and_separators_fold_to_the_end(block):
    assert shown(f"It works again.\n\n{block}\n\nIt burns.\n") == "It works again."


@pytest.mark.parametrize(
    "line",
    [
        "Sent from my iPhone",
        "Sent from my Samsung Galaxy smartphone.",
        "Get Outlook for iOS<https://aka.ms/o0ukef>",
        "Von meinem iPhone gesendet",
        "Gesendet mit der GMX Mail App",
        "Envoyé de mon iPhone",
        "Enviado desde mi iPhone",
        "Inviato da iPhone",
        "Verzonden vanaf mijn iPad",
        "Skickat från min iPhone",
        "Отправлено с iPhone",
        "iPhoneから送信",
        "从我的 iPhone 发送",
    ],
)
def test_lines_that_phones_append_fold(line):
    assert shown(f"It works again.\n\n{line}\n") == "It works again."
    assert shown(f"It works again.\n\n{line}\n\nOn 02/11/2026 10:11, Ann wrote:\n{QUOTED}") == "It works again."


def test_signature_behind_its_delimiter_folds():
    assert shown("It works again.\n\n-- \nAnn Lee\nAcme\n") == "It works again."
    assert shown(f"It works again.\n-- \nAnn Lee\n\nOn 02/11/2026 10:11, Bob wrote:\n{QUOTED}") == "It works again."


def test_answers_between_quotations_stay():
    text = "On 02/11/2026 10:11, Ann wrote:\n> Does it burn?\nYes.\n> Where?\nRoom 3.\n\n> Since when?\n\nEight.\n"
    assert shown(text).split() == ["Yes.", "Room", "3.", "Eight."]


WORDS = [
    "On Monday I wrote:\nthe printer burns.\nPlease help.",
    "On 2 November at 10:11 I wrote:\nIt burns.\nNobody came.",
    "Sent from my desk, is much easier than my phone.",
    "I got it.\nSent from my mobile it fails, but from the PC it works fine for me",
    "From: London\nTo: Paris\nDate: Monday\nPlease book it.",
    "The data comes\nFrom: our database\nnot from yours.",
    "Steps:\n-- first\n-- second\n--- third\n----\ndone",
    "One\n--\n" + "\n".join(f"Line {number} of the report that follows" for number in range(30)),
    "Please fix:\n____\nprinter\n____\nscanner",
    "He said on the phone at 10:30: it burns.\nThen he hung up:\nso I write.",
    "The log says:\n2026-11-02 10:11:12 user ann@acme.test failed:\nno such printer\nWhat now?",
    "Original message was lost.\nPlease send it again.",
    "I'm writing you because of:\n- a\n- b",
    "5 > 3 and 2 < 3\nA -> B\nx>y",
    "regards to the payment system: fails.\nThanks!",
    "Best regards,\nAnn",
    "Get Outlook for me, I need a mail program on my new machine please",
    "Download the driver fails on my Windows phone, what can I do about it?",
    "---------- Forwarded message ---------\nFrom: Bob\nDate: Nov 2, 2026\nSubject: x\nTo: Ann\n\nIt burns.",
    "From: Bob <bob@acme.test>\nSent: Monday\nTo: Ann\nSubject: Printer\n\nIt burns.",
    "Hi,\n\nOn 02/11/2026 10:11, Ann <ann@acme.test> wrote:\nIt burns.\n\nYes, we put it out.",
    "Guten Tag Frau Lee,\n\nAm 02.11.2026 um 10:11 schrieb Ann <ann@acme.test>:\nEs brennt.\n\nJa.",
    "On 02/11/2026 10:11, Ann wrote:\n\nthis without any mark, so who knows.",
]


@pytest.mark.parametrize("text", WORDS)
def test_words_that_only_look_like_quotations_stay(text):
    assert shown(text).split() == text.split()


def test_announced_inline_answers_keep_an_unmarked_quotation_open():
    text = "My answers are inline below.\n\n-----Original Message-----\nFrom: Ann\n\nDoes it burn?\nYes, in room 3."
    assert "room 3" in shown(text)


def test_quotations_that_a_client_marked_in_html_fold():
    html = (
        "<p>It works again.</p><div class=gmail_quote><div class=gmail_attr>Ann, lately:</div>"
        "<blockquote class=gmail_quote>It burns.<p>Please help.</p></blockquote></div>"
    )
    assert visible(message(mail("Content-Type: text/html", body=html))) == "It works again."


def test_an_answer_inside_a_gmail_quotation_stays():
    html = (
        "<div class=gmail_quote><blockquote class=gmail_quote>Does it burn?</blockquote><div>Yes.</div>"
        "<blockquote class=gmail_quote>Where?</blockquote></div>"
    )
    assert visible(message(mail("Content-Type: text/html", body=html))) == "Yes."


def test_folds_lie_in_the_text_in_order_and_apart():
    body = f"It works.\n\nOn 02/11/2026 10:11, Ann wrote:\n{QUOTED}\nNo.\n{QUOTED}\n-- \nBob"
    found = message(
        parts(
            "mixed",
            "Content-Type: text/plain\n\n" + body,
            "Content-Type: text/html\n\n<blockquote type=cite>q</blockquote>",
        )
    )
    edges = [edge for fold in found.folds for edge in (fold.start, fold.end)]
    assert edges == sorted(edges)
    assert edges[-1] <= len(found.text)
    assert {fold.kind for fold in found.folds} == {"quote", "signature"}


def test_text_behind_the_limit_is_folded_only_with_an_open_quotation():
    tail = "x" * 100
    quoted = f"Yes.\n-----Original Message-----\n{tail}"
    assert folds(quoted, 60)[-1].end == len(quoted)
    assert folds(f"Yes.\n> q\n{tail}", 20)[-1].end < 20


def test_a_forwarded_mail_is_the_matter_and_stays_open():
    block = "From: Bob\nSent: Monday\nTo: Ann\nSubject: Printer\n\nIt burns."
    assert "It burns." in visible(message(mail("Subject: FW: Printer", body=f"Please help Bob.\n\n{block}")))
    assert "It burns." not in visible(message(mail("Subject: RE: Printer", body=f"It works again.\n\n{block}")))
    assert "It burns." in shown(f"Please help Bob.\n\n---------- Forwarded message ---------\n{block}")
