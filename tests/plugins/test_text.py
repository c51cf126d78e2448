import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plugins import (
    Identity,
    canonical_address,
    canonical_domain,
    canonical_email,
    one_line,
    spelled_address,
    subscriber,
    unescape,
)

SAME = [
    ("ANN@EXAMPLE.TEST", "ann@example.test"),
    ("Ann@Example.Test.", "ann@example.test"),
    (" ann@example.test ", "ann@example.test"),
    ("\uff41\uff4e\uff4e@example.test", "ann@example.test"),  # full-width letters
    ("ann\uff20example.test", "ann@example.test"),
    ("ann@\uff45xample.test", "ann@example.test"),
    ("ann@example\u3002test", "ann@example.test"),
    ("ann@example\uff0etest", "ann@example.test"),
    ('"ann"@example.test', "ann@example.test"),
    ('"a\\nn"@example.test', "ann@example.test"),
    ("ann@b\u00fccher.example", "ann@xn--bcher-kva.example"),
    ("ann@B\u00dcCHER.example", "ann@XN--BCHER-KVA.EXAMPLE"),
    ("ann@bu\u0308cher.example", "ann@b\u00fccher.example"),  # composed or not
    ("ann@\u4f8b\u3048.\u30c6\u30b9\u30c8", "ann@xn--r8jz45g.xn--zckzah"),
    ("\u00c4nn@example.test", "a\u0308nn@example.test"),
    ("ann@A_B.test", "ann@a_b.test"),
    ("ann@\u2603.test", "ann@\u2603.test."),
]
DIFFERENT = [
    ("ann+a@example.test", "ann@example.test"),
    ("a.nn@example.test", "ann@example.test"),
    ("ann@example.test", "ann@example.test.evil.test"),
    ("ann@mail.example.test", "ann@example.test"),
    ("\u00e4nn@example.test", "ann@example.test"),
    ("ann@fa\u00df.example", "ann@fass.example"),  # two domains since IDNA2008
    ("\u0430nn@example.test", "ann@example.test"),  # a Cyrillic letter
    ("ann@ex\u0430mple.test", "ann@example.test"),
    ('"a nn"@example.test', "ann@example.test"),
    ('"ann@x.test"@example.test', "ann@x.test"),
    ("ann", "ann@"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_spellings_of_one_mail_address_are_one_identity(one, other):
    assert canonical_email(one) == canonical_email(other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different_mail_addresses_stay_different(one, other):
    assert canonical_email(one) != canonical_email(other)


@pytest.mark.parametrize("text", [address for pair in SAME + DIFFERENT for address in pair])
def test_what_is_sent_to_is_the_identity_that_it_is_known_by(text):
    identity = Identity(scheme="email", value=text)
    spelled = Identity(scheme="email", value=spelled_address(identity))
    assert canonical_address(spelled) == canonical_address(identity)


def test_address_is_sent_to_as_the_person_wrote_it_in_plain_characters():
    spelled = [
        spelled_address(Identity(scheme="email", value=v)) for v in ("Ann@ACME.test", "\uff21nn@B\u00dccher.de.")
    ]
    assert spelled == ["Ann@acme.test", "Ann@b\u00fccher.de"]


def test_quotes_without_need_are_not_sent_to():
    """Our own sender refuses quotes: who fills in a form so would keep all mail from whom the address belongs to."""
    spelled = [spelled_address(Identity(scheme="email", value=v)) for v in ('"Ann"@acme.test', '"a b"@acme.test')]
    assert spelled == ["Ann@acme.test", '"a b"@acme.test']


@pytest.mark.parametrize(
    ("address", "whose"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("2001:db8:1:2:aaaa::7", "2001:db8:1:2::/64"),
        ("2001:db8:1:3:aaaa::7", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("", ""),
    ],
)
def test_subscriber_has_one_limit_for_all_addresses_of_its_network(address, whose):
    assert subscriber(address) == whose


@pytest.mark.parametrize(("scheme", "value"), [("tel", "+15550001111"), ("slack", "T1:U7"), ("chat", "Ann@Home")])
def test_identities_of_other_schemes_are_left_as_they_are(scheme, value):
    identity = Identity(scheme=scheme, value=value)
    assert canonical_address(identity) == spelled_address(identity) == value


BUSY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # both measure how busy the machine is
WORDS = st.text(max_size=12)


@BUSY
@given(WORDS | st.builds("{}@{}.{}".format, WORDS, WORDS, st.sampled_from(["test", "de", "\u30c6\u30b9\u30c8"])))
def test_canonical_form_is_its_own_form(text):
    once = canonical_email(text)
    assert canonical_email(once) == once


@BUSY
@given(WORDS)
def test_any_domain_has_one_form(text):
    assert canonical_domain(canonical_domain(text)) == canonical_domain(text)


@BUSY
@given(st.text(st.sampled_from("ab \t\r\n\0\x1b\x7f\x85\u2028\u2029\u00a0")), st.integers(1, 20))
def test_one_line_is_one_line_of_that_size(text, size):
    line = one_line(text, size)
    assert len(line.splitlines()) <= 1
    assert line.isprintable()
    assert len(line) <= size


def test_one_line_keeps_the_words():
    assert one_line("VPN\r\n\tdown\u2028since 8 ") == "VPN down since 8"


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("1 &lt; 2 &amp;&#65;&#x42;", "1 < 2 &AB"),
        ("&#" + "9" * 5_000 + "; end", "\ufffd end"),
        ("&#x" + "f" * 5_000 + "; end", "\ufffd end"),
        ("&#" + "0" * 5_000 + "65;&#0065;", "AA"),
        ("&#1114109;&#1114112;&#0;&#;", "\U0010fffd\ufffd\ufffd&#;"),
    ],
)
def test_character_references_are_read_however_long_they_are(markup, text):
    assert unescape(markup) == text
