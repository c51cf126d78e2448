import pytest

from routing import Attachment, Facts, Person, Sender, decide, load_rules
from tests.routing.make import DEFAULT, rule, rules

FULL = Facts(
    channel="email",
    instance="support-mail",
    kind="mail",
    subject="Re: VPN down",
    body="my AnyConnect fails\nsince 8",
    quoted="please restart",
    sender=Sender(address="Ann@acme.test", scheme="email", name="Ann Example"),
    user=Person(
        organisation="Acme", groups=("staff", "board"), vip=True, region="eu", contract="gold", fields={"floor": "3"}
    ),
    assurance=1,
    attachments=(Attachment(name="scan.PDF.exe", type="application/pdf", size=2000),),
    automatic="",
    language="en",
    fields={"topic": "Remote access", "ivr": "2"},
    tags=("old",),
)


def matched(when, facts):
    return decide(rules(rule(when)), facts).rules == ("r",)


@pytest.mark.parametrize(
    "when",
    [
        'channel = "email"',
        'channel = ["chat", "email"]',
        'instance = "support-mail"',
        'direction = "in"',
        'kind = ["mail"]',
        'text.any = ["vpn", "nothing"]',
        'text.all = ["vpn", "anyconnect"]',
        'text.none = ["printer"]',
        'text.any = "fails since"',
        'text.matches = "AnyConnect\\\\s+fails"',
        'subject.any = ["down"]',
        'subject.none = ["anyconnect"]',
        'subject.matches = "^Re:"',
        'quoted.any = ["restart"]',
        'sender.address = "ann@ACME.test"',
        'sender.domain = ["acme.test"]',
        'sender.scheme = "email"',
        'sender.name.any = ["ann"]',
        'sender.address.matches = "@acme[.]test$"',
        'user.organisation = ["acme"]',
        'user.groups = ["board", "other"]',
        'user.groups.all = ["board", "staff"]',
        'user.groups.none = ["guests"]',
        "user.vip = true",
        'user.region = "EU"',
        'user.contract = ["gold"]',
        'user.fields.floor = "3"',
        "assurance.min = 1",
        "assurance.max = 1",
        "attachments.any = true",
        'attachments.kinds = ["pdf"]',
        'attachments.kinds.all = ["program", "pdf"]',
        "attachments.count.max = 1",
        "attachments.bytes.min = 2000",
        "automatic = false",
        'language = "en"',
        'tags = ["old"]',
        'fields.ivr = ["1", "2"]',
        'fields.topic.any = "remote"',
        'fields.topic.matches = "^Remote"',
        'missing = ["user.language", "fields.other"]',
        'not.channel = "chat"',
        'any = [{ channel = "chat" }, { text.any = "vpn", user.vip = true }]',
        'all = [{ channel = "email" }, { not.channel = "chat" }]',
    ],
)
def test_condition_holds_for_a_message_that_has_it_and_not_for_one_that_says_nothing(when):
    assert matched(when, FULL)
    holds_for_nothing_said = when.startswith(("missing", "not", "direction"))
    assert matched(when, Facts()) is holds_for_nothing_said


@pytest.mark.parametrize(
    "when",
    [
        'channel = "chat"',
        'text.any = ["vp", "connect"]',
        'text.all = ["vpn", "printer"]',
        'text.none = ["vpn"]',
        'subject.any = ["anyconnect"]',
        'text.any = ["restart"]',
        'text.any = ["down my"]',
        'subject.matches = "^VPN"',
        'sender.domain = ["cme.test"]',
        'user.groups.all = ["board", "guests"]',
        'user.groups.none = ["board"]',
        "user.vip = false",
        "assurance.min = 2",
        "attachments.count.min = 2",
        "automatic = true",
        'automatic_kind = "reply"',
        'missing = ["subject", "user.language"]',
        'not = { channel = "email", subject.any = "vpn" }',
        'any = [{ channel = "chat" }, { text.any = "vpn", user.vip = false }]',
    ],
)
def test_condition_does_not_hold(when):
    assert not matched(when, FULL)


def test_not_denies_the_whole_of_what_stands_in_it():
    when = 'not = { channel = "email", subject.any = ["printer"] }'
    assert matched(when, FULL)
    assert not matched(when, Facts(channel="email", subject="printer"))


def test_blank_text_is_missing():
    assert matched('missing = ["subject"]', Facts(subject=" \n"))
    assert not matched('subject.none = ["vpn"]', Facts(subject=""))


def test_no_attachments_are_known_and_not_missing():
    assert matched('attachments.kinds.none = ["pdf"]', Facts(attachments=()))
    assert matched("attachments.any = false", Facts(attachments=()))
    assert not matched("attachments.any = false", Facts())


def test_size_is_missing_until_all_attachments_are_fetched():
    half = (Attachment(size=5), Attachment())
    assert not matched("attachments.bytes.max = 100", Facts(attachments=half))


def test_our_own_message_is_seen_by_rules_that_say_so_only():
    ours = Facts(direction="out", subject="vpn")
    assert not matched('text.any = ["vpn"]', ours)
    assert matched('text.any = ["vpn"]\ndirection = ["in", "out"]', ours)


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("STRASSE", "Hauptstraße, straße 3"),
        ("vpn", "私のvpnが動かない"),
        ("接続", "再接続できません"),
        ("プリンタ", "ﾌﾟﾘﾝﾀｰ が動きません"),
        ("รหัสผ่าน", "ลืมรหัสผ่านครับ"),
        ("счёт", "мой СЧЁТ тут"),
        ("café", "CAFE\u0301 closed"),
        ("can't connect", "I can\u2019t\r\n  connect"),
        ("password", "pass\u00adword"),
        ("c++", "our C++ build"),
        ("👍", "ok👍ok"),
        ("vpn", "\uff56\uff50\uff4e"),
        ("print", "print printer"),
        ("printer", "printer"),
    ],
)
def test_word_is_found(word, text):
    assert matched(f'text.any = ["{word}"]', Facts(body=text))


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("port", "report"),
        ("port", "ports"),
        ("über", "überall"),
        ("कार", "कार्य"),
        ("счёт", "счёта"),
        ("프린터", "프린터가"),
        ("vpn", "vpns"),
        ("vpn", "v pn"),
    ],
)
def test_word_in_a_longer_word_is_not_found(word, text):
    assert not matched(f'text.any = ["{word}"]', Facts(body=text))


def test_phrase_does_not_reach_from_subject_into_body():
    assert not matched('text.any = ["vpn down"]', Facts(subject="vpn", body="down"))


def test_lone_surrogate_and_nul_in_a_message_are_judged():
    assert matched('text.any = ["vpn"]\ntext.matches = "vpn"', Facts(subject="\ud800 vpn \0", body="\0"))


@pytest.mark.parametrize(
    "when",
    [
        'sender.domain = "Bücher.Example"',
        'sender.domain = "xn--bcher-kva.example."',
        'sender.address = "Ann@bücher.example"',
        'sender.domain.in = "shops"',
        'recipients = "Desk@Bücher.example"',
    ],
)
def test_addresses_and_domains_of_a_rule_are_compared_as_the_hub_knows_them(when: str):
    sender = Sender(address="ann@xn--bcher-kva.example", scheme="email")
    facts = Facts(sender=sender, recipients=("desk@xn--bcher-kva.example",))
    lists = '[list]\nshops = ["BÜCHER.example"]\n' if "shops" in when else ""
    assert decide(load_rules(rule(when) + lists + DEFAULT), facts).rules == ("r",)


def test_example_with_an_address_as_people_write_it_sees_what_the_hub_would():
    example = """
[[example]]
message = { channel = "email", sender = "Ann@BÜCHER.example", recipients = ["Desk@Bücher.Example"] }
expect = { rule = "r" }
"""
    when = 'sender.domain = "bücher.example"\nrecipients = "desk@bücher.example"'
    assert load_rules(rule(when) + DEFAULT + example)
