"""Who is who: sessions, tokens of the site, and everything that is none."""

import base64
import hmac
import json

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jwk, jwt

from connectors.channels.webchat.sessions import known_visitor, new_visitor, signed_in
from connectors.channels.webchat.settings import Question, Users, WebchatSettings
from plugins import NotAuthentic, Secret

NOW = 1_800_000_000.0
DAY = 86_400
OLD, NEW = Secret("the-old-secret"), Secret("the-new-secret")
KEY = "k" * 32
USERS = Users(key=Secret(KEY), audience="chat", issuer="acme")
CLAIMS = {"sub": "7", "aud": "chat", "iss": "acme", "exp": NOW + 60, "name": "Ann", "email": "ann@acme.test"}


def known(session, secrets=(NEW,), now=NOW, instance="chat"):
    return known_visitor(session, instance, secrets, now, 30)


def token(claims=CLAIMS, key=KEY, alg="HS256", **more):
    return jwt.encode({"alg": alg}, claims | more, jwk.import_key(key, "oct"), algorithms=[alg])


def unsigned(claims=CLAIMS, alg="none"):
    parts = [json.dumps(part).encode() for part in ({"alg": alg, "typ": "JWT"}, claims)]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts) + "."


def test_visitor_comes_back_to_the_same_conversation():
    visitor = new_visitor("chat", (NEW,), NOW)
    again = known(visitor.session, now=NOW + 3600)
    assert (again.thread, again.who, again.session) == (visitor.thread, visitor.who, "")


def test_two_visitors_have_nothing_in_common():
    one, other = new_visitor("chat", (NEW,), NOW), new_visitor("chat", (NEW,), NOW)
    assert one.thread != other.thread
    assert one.who != other.who


def test_session_is_renewed_while_it_is_used():
    visitor = new_visitor("chat", (NEW,), NOW)
    renewed = known(visitor.session, now=NOW + 20 * DAY).session
    assert known(renewed, now=NOW + 40 * DAY).thread == visitor.thread


def test_session_of_a_secret_that_rotates_is_good():
    visitor = new_visitor("chat", (OLD,), NOW)
    assert known(visitor.session, secrets=(NEW, OLD)).thread == visitor.thread


def test_session_that_is_not_ours_or_too_old_is_refused():
    good = new_visitor("chat", (NEW,), NOW).session
    number, issued, mac = good.split(".")
    forged = [
        "",
        ".",
        "..",
        "a.b.c",
        f"{number}.{issued}",
        f"{'0' * 32}.{issued}.{mac}",
        f"{number}.{int(issued) + 1}.{mac}",
        f"{number}.{issued}.{mac[:-1]}",
        f"{number}.{issued}.",
        good + "0",
        "é" * 100,
        "\ud800.1.2",
    ]
    for session in forged:
        with pytest.raises(NotAuthentic):
            known(session)
    with pytest.raises(NotAuthentic):
        known(good, now=NOW + 31 * DAY)
    with pytest.raises(NotAuthentic):
        known(good, instance="other-chat")
    with pytest.raises(NotAuthentic):
        known(good, secrets=(OLD,))


def test_blanked_secret_proves_nothing():
    blank = Secret("")
    with pytest.raises(NotAuthentic):
        known(new_visitor("chat", (blank,), NOW).session, secrets=(blank,))


def test_user_has_one_conversation_on_all_devices():
    one, other = signed_in(token(), USERS, "chat", NOW), signed_in(token(exp=NOW + 900), USERS, "chat", NOW)
    assert one.thread == other.thread
    assert (one.issuer, one.name, one.email, one.who) == ("acme", "Ann", "ann@acme.test", "chat:acme:7")
    assert signed_in(token(sub="8"), USERS, "chat", NOW).thread != one.thread


@pytest.mark.parametrize(
    "bad",
    [
        token(exp=NOW - 1), token(aud="console"), token(iss="evil"), token(key="x" * 32), token(alg="HS512"),
        token(nbf=NOW + 600), token(sub=""), token(sub=7), token(email=["x"]),
        *(token({k: v for k, v in CLAIMS.items() if k != left_out}) for left_out in ("exp", "aud", "iss", "sub")),
        unsigned(), unsigned(alg="HS256"), unsigned(alg="None"), "", ".", "..", "a.b.c", "x" * 10_000, "é.é.é",
    ],
)  # fmt: skip
def test_token_that_is_wrong_in_anything_is_refused(bad):
    with pytest.raises(NotAuthentic):
        signed_in(bad, USERS, "chat", NOW)


def by_hand(**more):
    """As a backend in another language makes it: half of a surrogate pair goes through."""
    head, body = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in ({"alg": "HS256"}, CLAIMS | more)
    ]
    mac = hmac.digest(KEY.encode(), head + b"." + body, "sha256")
    return b".".join([head, body, base64.urlsafe_b64encode(mac).rstrip(b"=")]).decode()


def test_half_of_a_sign_is_no_subject_and_is_left_out_of_a_name():
    with pytest.raises(NotAuthentic):
        signed_in(by_hand(sub="\ud83d"), USERS, "chat", NOW)
    assert signed_in(by_hand(name="Ann \ud83d"), USERS, "chat", NOW).name == "Ann ?"


def test_public_key_is_no_shared_secret():
    """The classic: a token signed by HS256 with the public key's own bytes."""
    private = ec.generate_private_key(ec.SECP256R1())
    pem = private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    users = Users(key=Secret(pem.decode()), audience="chat", issuer="acme", algorithm="ES256")
    secret = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    good = jwt.encode({"alg": "ES256"}, CLAIMS, jwk.import_key(secret, "EC"), algorithms=["ES256"])
    assert signed_in(good, users, "chat", NOW).name == "Ann"
    with pytest.raises(NotAuthentic):
        signed_in(token(key=base64.b64encode(pem).decode()), users, "chat", NOW)
    with pytest.raises(NotAuthentic):
        signed_in(unsigned(), users, "chat", NOW)


def test_without_users_no_token_is_taken():
    with pytest.raises(NotAuthentic):
        signed_in(token(), None, "chat", NOW)


@pytest.mark.parametrize("origin", ["www.acme.test", "https://www.acme.test/", "*", "https://", "ftp://acme.test"])
def test_origin_with_more_or_less_than_scheme_and_host_is_a_mistake(origin):
    with pytest.raises(ValueError, match="origins"):
        WebchatSettings(secrets=(NEW,), origins=(origin,))


def test_short_shared_key_is_a_mistake():
    with pytest.raises(ValueError, match="32 bytes"):
        Users(key=Secret("short"), audience="chat", issuer="acme")


def test_form_does_not_take_names_that_mean_something_else():
    with pytest.raises(ValueError, match="taken"):
        WebchatSettings(secrets=(NEW,), form=(Question(name="fallback", label="x"),))


def test_settings_can_be_read_from_toml():
    raw = b'{"secrets": [], "form": [{"name": "email", "label": "E-mail"}]}'
    assert msgspec.json.decode(raw)["form"]
