"""Passwords and sessions. Unknown accounts get the same answer after the same work as wrong passwords.

argon2id takes about 0.1 s and 64 MiB: it runs in threads, two for strangers and one for known browsers, so that a flood
of logins fills neither the loop nor the memory. A session is 256 random bits in a cookie; the store knows their SHA-256
alone.

A browser in which somebody has logged in is known from then on, by a cookie of its own: its tries are counted apart and
hashed apart, so that a stranger who guesses at an account locks out strangers alone. It opens nothing: the password is
asked for all the same.
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
from msgspec import Struct
from sqlalchemy import Connection

from context_store import agents, tokens
from context_store.engine import Store
from context_store.text import canonical, hash_key
from hub.rooms import Rooms
from hub.web.peer import peer_of
from hub.web.site import HUB

log = structlog.get_logger("trunkline.login")

MINUTE = 60_000
IDLE = 120 * MINUTE
ABSOLUTE = 12 * 60 * MINUTE
WINDOW = 15 * MINUTE
TRIES_ACCOUNT, TRIES_ADDRESS = 10, 50
"""Per WINDOW. The account's limit holds against many addresses, the address's against many accounts; a known browser
has the account's limit for itself."""
DEVICE_LIFE = 90 * 24 * 60 * MINUTE
LINE = 16
"""Strangers' passwords that may wait for a thread: about a second. More are told to wait."""
SETUP_LIFE = 24 * 60 * MINUTE
SHORTEST, LONGEST = 12, 1000

_hasher = argon2.PasswordHasher()
_strangers = ThreadPoolExecutor(2, thread_name_prefix="argon2-strangers")
_known = ThreadPoolExecutor(1, thread_name_prefix="argon2-known")


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


async def _verify(stored: str | None, password: str, pool: ThreadPoolExecutor) -> bool:
    return await asyncio.get_running_loop().run_in_executor(pool, _matches, stored, password)


async def hash_password(password: str) -> str:
    """argon2id, with the library's current parameters. Raises ValueError, in words, if it is too short or long."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise ValueError(f"A password has {SHORTEST} to {LONGEST} characters; several words are easy to remember.")
    return await asyncio.get_running_loop().run_in_executor(_known, _hasher.hash, password)


# ---- logging in --------------------------------------------------------------------------------------


class Visit(Struct):
    """Whose browser it is: the address that holds the connection, and the device's own cookie, "" without one."""

    peer: str
    device: str = ""


class Welcome(Struct):
    """A session and a device that are to be kept as cookies."""

    session: bytes
    device: str


async def log_in(hub: Rooms, login: str, password: str, visit: Visit) -> Welcome | Literal["wrong", "wait"]:
    """A new session; "wrong" or, after too many tries, "wait". None of it tells whether the account exists."""
    login = agents.canonical_login(login)
    found = await hub.store.read(agents.find_agent, login)
    known = found is not None and await _knows(hub, visit.device, found[0].id)
    account, address = _counters(login, visit, known=known)
    limits = {account: TRIES_ACCOUNT, address: TRIES_ACCOUNT if known else TRIES_ADDRESS}
    if not await hub.store.write(agents.count_try, limits, hub.store.now(), WINDOW):
        return "wait"
    stored = found[1] if found and found[0].active else None
    right = await _check(stored, password[: LONGEST + 1], known=known)
    if right is None:
        return "wait"
    if not (found and stored and right):
        log.warning("login.refused", peer=visit.peer)
        return "wrong"
    await hub.store.write(agents.forgive, account, address)
    if _hasher.check_needs_rehash(stored):
        await hub.store.write(agents.refresh_hash, found[0].id, stored, await hash_password(password))
    return await _welcome(hub, found[0].id, visit.device if known else "")


def _counters(login: str, visit: Visit, *, known: bool) -> tuple[bytes, bytes]:
    """A known browser's tries count against that browser and account alone."""
    if known:
        own = hash_key("login-device", visit.device, login)
        return own, own
    return hash_key("login-account", login), hash_key("login-address", visit.peer)


_in_line = 0


async def _check(stored: str | None, password: str, *, known: bool) -> bool | None:
    """None: too many strangers wait already."""
    global _in_line  # noqa: PLW0603  # the threads are the process's too
    if known:
        return await _verify(stored, password, _known)
    if _in_line >= LINE:
        return None
    _in_line += 1
    try:
        return await _verify(stored, password, _strangers)
    finally:
        _in_line -= 1


async def _knows(hub: Rooms, device: str, agent_id: int) -> bool:
    if not device:
        return False
    return await hub.store.read(tokens.holder, "device", device, hub.store.now()) == agent_id


async def _welcome(hub: Rooms, agent_id: int, device: str = "") -> Welcome:
    """Without a device that is known already the browser becomes one."""
    session, now = await open_session(hub, agent_id), hub.store.now()
    return Welcome(session, device or await hub.store.write(tokens.issue, "device", agent_id, now, DEVICE_LIFE))


async def open_session(hub: Rooms, agent_id: int) -> bytes:
    """A fresh token, never one that the browser brought: nobody can fix a session beforehand."""
    token = secrets.token_urlsafe(32).encode()
    now = hub.store.now()
    await hub.store.write(agents.open_session, sha256(token).digest(), agent_id, now, now + ABSOLUTE)
    return token


def cookie_name(hub: Rooms) -> str:
    """`__Host-` binds the cookie to this very host, but browsers take it over https alone."""
    return "__Host-trunkline" if _secure(hub) else "trunkline"


def _secure(hub: Rooms) -> bool:
    return hub.config.public_url.startswith("https:")


def device_cookie(hub: Rooms) -> str:
    """As `cookie_name`."""
    return f"{cookie_name(hub)}-device"


def visit_of(request: web.Request) -> Visit:
    """Who knocks."""
    device = request.cookies.get(device_cookie(request.app[HUB]), "")
    return Visit(peer_of(request), canonical(device, 200))


def give_cookies(response: web.StreamResponse, hub: Rooms, welcome: Welcome) -> None:
    """Unreadable for scripts, never sent along from other sites; the session's is gone with the browser."""
    kept = {cookie_name(hub): (welcome.session.decode(), None), device_cookie(hub): (welcome.device, DEVICE_LIFE)}
    for name, (value, life) in kept.items():
        age = None if life is None else life // 1000
        response.set_cookie(name, value, max_age=age, path="/", secure=_secure(hub), httponly=True, samesite="Strict")


def take_cookie(response: web.StreamResponse, hub: Rooms) -> None:
    """At logout."""
    response.del_cookie(cookie_name(hub), path="/", secure=_secure(hub), httponly=True, samesite="Strict")


def by_itself(request: web.Request) -> bool:
    """Did a page that keeps itself fresh send this, without anybody's doing?"""
    return "X-Refresh" in request.headers or request.headers.get("Accept") == "text/event-stream"


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
    if now - session.seen_at > MINUTE and not by_itself(request):
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


async def link_lives(hub: Rooms, token: str, visit: Visit) -> bool | Literal["wait"]:
    """May this link set a password? Tries at made-up ones are counted; "wait" after too many."""
    now, address = hub.store.now(), hash_key("setup-address", visit.peer)
    if not await hub.store.write(agents.count_try, {address: TRIES_ADDRESS}, now, WINDOW):
        return "wait"
    if await hub.store.read(tokens.holder, "password", token, now) is None:
        return False
    await hub.store.write(agents.forgive, b"", address)
    return True


async def set_up(hub: Rooms, token: str, password: str) -> Welcome | None:
    """Set the password and log in; None if the link is used, too old or made up. Raises ValueError on a bad password.

    The caller has asked `link_lives`: nothing is hashed for strangers. The password is hashed before the link is used
    up, so that a mistyped one leaves it as it is.
    """
    hashed, now = await hash_password(password), hub.store.now()

    def redeem(conn: Connection) -> int | None:
        agent_id = tokens.redeem(conn, "password", token, now)
        if agent_id is not None:
            agents.set_password(conn, agent_id, hashed)
            tokens.revoke(conn, "device", agent_id, now)
        return agent_id

    agent_id = await hub.store.write(redeem)
    return None if agent_id is None else await _welcome(hub, agent_id)
