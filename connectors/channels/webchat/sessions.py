"""Who is at the other end: an anonymous visitor by a session that we signed, or a user by a token that the site signed.

A conversation is never named by the client: it follows from what was proved, so nobody can ask for another's. Sessions
and tickets are HMAC-SHA256 over purpose, instance and content; neither stands in an address or in the journal.
"""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from secrets import token_hex
from typing import Annotated

import msgspec
from joserfc import jwk, jwt
from joserfc.errors import JoseError
from msgspec import Meta, Struct

from connectors.channels.webchat.settings import Users
from plugins import NotAuthentic, Secret, hmac_sign, hmac_verify

MOST_TOKEN = 8 << 10
TICKET_SECONDS = 600
RENEW_SECONDS = 86_400.0
_KEYS = {"HS256": "oct", "ES256": "EC", "RS256": "RSA", "EdDSA": "OKP"}


class Visitor(Struct, frozen=True, kw_only=True):
    """Whoever a connection belongs to."""

    thread: str
    """The conversation: one for each visitor or user."""
    who: str
    """Value of the identity."""
    session: str = ""
    """A fresh session for the client to keep; "" if the one it has is good, or a user is signed in."""
    until: float | None = None
    """Unix time at which the proof ends."""
    issuer: str = ""
    """Who vouches for name and address; "" for an anonymous visitor."""
    name: str = ""
    email: str = ""


class Ticket(Struct, frozen=True, kw_only=True):
    """Leave to send one file."""

    thread: str
    who: str
    cid: str
    name: Annotated[str, Meta(max_length=255)]
    type: Annotated[str, Meta(max_length=255)]
    size: int
    until: int


class _Claims(Struct, frozen=True, kw_only=True):
    sub: Annotated[str, Meta(min_length=1, max_length=255)]
    exp: float
    name: Annotated[str, Meta(max_length=255)] = ""
    email: Annotated[str, Meta(max_length=255)] = ""


def new_visitor(instance: str, secrets: Sequence[Secret], now: float) -> Visitor:
    """An anonymous visitor whom nobody has seen before."""
    number = token_hex(16)
    return _visitor(instance, number, session=_session(instance, secrets, number, now))


def known_visitor(session: str, instance: str, secrets: Sequence[Secret], now: float, days: int) -> Visitor:
    """The visitor of a session. Raises NotAuthentic if it was not signed here, or too long ago."""
    number, _, rest = session[:MOST_TOKEN].partition(".")
    issued, _, mac = rest.partition(".")
    hmac_verify(mac, _content("session", instance, f"{number}.{issued}"), secrets, prefix="")
    age = now - int(issued)
    if age > days * 86_400:
        raise NotAuthentic("the session is over")
    renewed = _session(instance, secrets, number, now) if age > RENEW_SECONDS else ""
    return _visitor(instance, number, session=renewed)


def signed_in(token: str, users: Users | None, instance: str, now: float) -> Visitor:
    """The user of a JSON Web Token. Raises NotAuthentic unless algorithm, key, audience, issuer and time are right."""
    if users is None or not users.key.reveal():
        raise NotAuthentic("no users are known here")
    try:
        key = jwk.import_key(users.key.reveal(), _KEYS[users.algorithm])  # type: ignore[call-overload]
        decoded = jwt.decode(token[:MOST_TOKEN], key, algorithms=[users.algorithm])
        jwt.JWTClaimsRegistry(
            now=int(now),
            exp={"essential": True},
            sub={"essential": True},
            aud={"essential": True, "value": users.audience},
            iss={"essential": True, "value": users.issuer},
        ).validate(decoded.claims)
        claims = msgspec.convert(decoded.claims, _Claims)
        digest = hashlib.sha256(f"{users.issuer}\0{claims.sub}".encode()).hexdigest()[:32]
    except (JoseError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise NotAuthentic(f"the token is refused: {type(error).__name__}") from None
    return Visitor(
        thread=f"u:{digest}", who=f"{instance}:{users.issuer}:{claims.sub}"[:1024], until=claims.exp,
        issuer=users.issuer, name=_whole(claims.name), email=_whole(claims.email),
    )  # fmt: skip


def _whole(text: str) -> str:
    """Without halves of surrogate pairs, as a site's backend leaves them where it cuts a name."""
    return text.encode("utf-8", "replace").decode()


def make_ticket(ticket: Ticket, instance: str, secrets: Sequence[Secret]) -> str:
    """For the header of one upload; good for minutes and for this file alone."""
    body = base64.urlsafe_b64encode(msgspec.json.encode(ticket)).decode()
    return f"{body}.{hmac_sign(secrets[0], _content('file', instance, body), prefix='')}"


def read_ticket(said: str, instance: str, secrets: Sequence[Secret], now: float) -> Ticket:
    """Raises NotAuthentic."""
    body, _, mac = said[:MOST_TOKEN].partition(".")
    hmac_verify(mac, _content("file", instance, body), secrets, prefix="")
    try:
        ticket = msgspec.json.decode(base64.urlsafe_b64decode(body), type=Ticket)
    except (msgspec.MsgspecError, ValueError, binascii.Error):
        raise NotAuthentic("the ticket can't be read") from None
    if now > ticket.until:
        raise NotAuthentic("the ticket is over")
    return ticket


def _visitor(instance: str, number: str, *, session: str) -> Visitor:
    return Visitor(thread=f"v:{number}", who=f"{instance}:{number}", session=session)


def _session(instance: str, secrets: Sequence[Secret], number: str, now: float) -> str:
    body = f"{number}.{int(now)}"
    return f"{body}.{hmac_sign(secrets[0], _content('session', instance, body), prefix='')}"


def _content(purpose: str, instance: str, body: str) -> bytes:
    return f"webchat\0{purpose}\0{instance}\0{body}".encode("utf-8", "replace")
