"""Passwords and sessions. Unknown accounts get the same answer after the same work as wrong passwords.

argon2id takes about 0.1 s and 64 MiB: it runs in a thread, two at a time, so that a flood of logins fills neither the
loop nor the memory. A session is 256 random bits in a cookie; the store knows their SHA-256 alone.
"""

import asyncio
import secrets
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from hashlib import sha256
from typing import Literal

import argon2
import structlog
from aiohttp import web
from sqlalchemy import Connection

from context_store import agents, tokens
from context_store.engine import Store
from context_store.text import hash_key
from hub.web.ports import Hub
from hub.web.site import HUB

log = structlog.get_logger("trunkline.login")

MINUTE = 60_000
IDLE = 120 * MINUTE
ABSOLUTE = 12 * 60 * MINUTE
WINDOW = 15 * MINUTE
TRIES_ACCOUNT, TRIES_ADDRESS = 10, 50
"""Per WINDOW. The account's limit holds against many addresses, the address's against many accounts."""
SETUP_LIFE = 24 * 60 * MINUTE
SHORTEST, LONGEST = 12, 1000

_hasher = argon2.PasswordHasher()
_two_at_once = ThreadPoolExecutor(2, thread_name_prefix="argon2")


@cache
def _nobody() -> str:
    """The hash that an unknown account's password is held against."""
    return _hasher.hash(secrets.token_urlsafe())


def _matches(stored: str | None, password: str) -> bool:
    nobody = _nobody()
    try:
        return _hasher.verify(stored or nobody, password)
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False


async def _verify(stored: str | None, password: str) -> bool:
    return await asyncio.get_running_loop().run_in_executor(_two_at_once, _matches, stored, password)


async def hash_password(password: str) -> str:
    """argon2id, with the library's current parameters. Raises ValueError, in words, if it is too short or long."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise ValueError(f"A password has {SHORTEST} to {LONGEST} characters; several words are easy to remember.")
    return await asyncio.get_running_loop().run_in_executor(_two_at_once, _hasher.hash, password)


# ---- logging in --------------------------------------------------------------------------------------


async def log_in(hub: Hub, login: str, password: str, peer: str) -> bytes | Literal["wrong", "wait"]:
    """A new session's token; "wrong" or, after too many tries, "wait". None of it tells whether the account exists."""
    login, now = agents.canonical_login(login), hub.store.now()
    account, address = hash_key("login-account", login), hash_key("login-address", peer)
    limits = {account: TRIES_ACCOUNT, address: TRIES_ADDRESS}
    if not await hub.store.write(agents.count_try, limits, now, WINDOW):
        return "wait"
    found = await hub.store.read(agents.find_agent, login)
    stored = found[1] if found and found[0].active else None
    right = await _verify(stored, password[: LONGEST + 1])
    if not (found and stored and right):
        log.warning("login.refused", peer=peer)
        return "wrong"
    await hub.store.write(agents.forgive, account, address)
    if _hasher.check_needs_rehash(stored):
        await hub.store.write(agents.refresh_hash, found[0].id, stored, await hash_password(password))
    return await open_session(hub, found[0].id)


async def open_session(hub: Hub, agent_id: int) -> bytes:
    """A fresh token, never one that the browser brought: nobody can fix a session beforehand."""
    token = secrets.token_urlsafe(32).encode()
    now = hub.store.now()
    await hub.store.write(agents.open_session, sha256(token).digest(), agent_id, now, now + ABSOLUTE)
    return token


def cookie_name(hub: Hub) -> str:
    """`__Host-` binds the cookie to this very host, but browsers take it over https alone."""
    return "__Host-trunkline" if _secure(hub) else "trunkline"


def _secure(hub: Hub) -> bool:
    return hub.config.public_url.startswith("https:")


def give_cookie(response: web.StreamResponse, hub: Hub, token: bytes) -> None:
    """A session cookie: gone with the browser, unreadable for scripts, never sent along from other sites."""
    response.set_cookie(
        cookie_name(hub), token.decode(), path="/", secure=_secure(hub), httponly=True, samesite="Strict"
    )


def take_cookie(response: web.StreamResponse, hub: Hub) -> None:
    """At logout."""
    response.del_cookie(cookie_name(hub), path="/", secure=_secure(hub), httponly=True, samesite="Strict")


async def current(request: web.Request) -> tuple[agents.Agent, bytes] | None:
    """Who is logged in, and the hash of the session's token. A page that refreshes itself keeps no session alive."""
    hub = request.app[HUB]
    cookie = request.cookies.get(cookie_name(hub))
    if not cookie:
        return None
    token, now = sha256(cookie.encode("utf-8", "surrogatepass")).digest(), hub.store.now()
    session = await hub.store.read(agents.find_session, token, now, IDLE)
    if session is None:
        return None
    if now - session.seen_at > MINUTE and "X-Refresh" not in request.headers:
        await hub.store.write(agents.touch_session, token, now)
    return session.agent, token


# ---- one-time links ----------------------------------------------------------------------------------


async def administrator_link(store: Store, public_url: str) -> str | None:
    """A one-time link for the first administrator's password; None once an administrator can log in.

    Every start gives a new one while nobody has used it: the one that was printed last works, and it lives a day.
    """
    agent = await store.write(agents.first_administrator, store.ids.next(), store.now())
    return await setup_link(store, public_url, agent.id) if agent else None


async def setup_link(store: Store, public_url: str, agent_id: int) -> str:
    """A one-time link with which an agent sets a password; it ends the ones before."""
    now = store.now()

    def issue(conn: Connection) -> str:
        tokens.revoke(conn, "password", agent_id, now)
        return tokens.issue(conn, "password", agent_id, now, SETUP_LIFE)

    return f"{public_url}/console/setup/{await store.write(issue)}"


async def set_up(hub: Hub, token: str, password: str) -> bytes | None:
    """Set the password and log in; None if the link is used, too old or made up. Raises ValueError on a bad password.

    The password is hashed first, so that a mistyped one doesn't use up the link.
    """
    hashed, now = await hash_password(password), hub.store.now()

    def redeem(conn: Connection) -> int | None:
        agent_id = tokens.redeem(conn, "password", token, now)
        if agent_id is not None:
            agents.set_password(conn, agent_id, hashed)
        return agent_id

    agent_id = await hub.store.write(redeem)
    return None if agent_id is None else await open_session(hub, agent_id)
