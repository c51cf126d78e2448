"""Ways into a mail server that reading and sending share: verified TLS, and bearer tokens."""

import ssl
from datetime import datetime, timedelta
from urllib.parse import urlencode

import msgspec

from connectors.channels.email.settings import OAuth, Server
from plugins import Call, Egress, Pause, Refuse, Secret


def tls_context(server: Server) -> ssl.SSLContext:
    """Verifies chain and host name, TLS 1.2 at least.

    Raises:
        Pause: the CA file can't be read, or holds no certificate.
    """
    try:
        context = ssl.create_default_context(cafile=server.ca_file or None)
    except OSError as error:  # ssl.SSLError is one; neither knows of which file it speaks
        raise Pause(f"ca_file {server.ca_file} can't be used: {error.strerror or error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class _Tokens(msgspec.Struct):
    """What the hub keeps, encrypted: providers may rotate the refresh token at every renewal (RFC 6749 §6)."""

    access: str
    refresh: str


class _Grant(msgspec.Struct):
    access_token: str
    expires_in: float = 3600.0
    refresh_token: str = ""


async def access_token(egress: Egress, oauth: OAuth) -> Secret:
    """A bearer token that is valid now, for IMAP and SMTP alike."""

    async def renew(last: bytes | None) -> tuple[bytes, datetime]:
        refresh = msgspec.json.decode(last, type=_Tokens).refresh if last else oauth.refresh_token.reveal()
        return await _renewed(egress, oauth, refresh)

    tokens = msgspec.json.decode(await egress.token("oauth", renew), type=_Tokens)
    return Secret(tokens.access)


async def _renewed(egress: Egress, oauth: OAuth, refresh: str) -> tuple[bytes, datetime]:
    form = {"grant_type": "refresh_token", "refresh_token": refresh, "client_id": oauth.client_id}
    if oauth.client_secret:
        form["client_secret"] = oauth.client_secret.reveal()
    if oauth.scope:
        form["scope"] = oauth.scope
    call = Call(
        method="POST",
        url=oauth.token_url,
        headers={"content-type": "application/x-www-form-urlencoded", "accept": "application/json"},
        body=urlencode(form).encode(),
        effect=False,
    )
    try:
        answer = await egress.call(call)
    except Refuse as error:  # invalid_grant, invalid_client: a person must give consent again
        raise Pause(f"the token endpoint refused to renew: {error}") from None
    try:
        grant = msgspec.json.decode(answer.body, type=_Grant)
    except msgspec.DecodeError as error:
        raise Pause(f"the token endpoint answered what is no token (RFC 6749 §5.1): {error}") from None
    if not (grant.access_token.isascii() and grant.access_token.isprintable()):
        raise Pause("the token endpoint answered a token with characters that none may have (RFC 6750 §2.1)")
    tokens = _Tokens(access=grant.access_token, refresh=grant.refresh_token or refresh)
    # A minute early: the token has to live through the log-in that it is fetched for.
    expiry = egress.clock.now() + timedelta(seconds=max(grant.expires_in - 60, 0))
    return msgspec.json.encode(tokens), expiry
