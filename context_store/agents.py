"""Agents, teams, sessions and login limits. Times are UTC milliseconds, as everywhere in the store.

Passwords come in as argon2 hashes and session tokens as SHA-256: nothing here can be used to log in.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct
from sqlalchemy import Connection, delete, func, insert, select, update

from context_store import bulk
from context_store.tables import agents, login_tries, sessions, teams
from context_store.text import canonical

Role = Literal["viewer", "agent", "manager", "admin"]
ROLES: tuple[Role, ...] = ("viewer", "agent", "manager", "admin")
"""Each may do what those before it may."""


class Agent(Struct, frozen=True, kw_only=True):
    """A person who works in the console."""

    id: int
    login: str
    name: str
    role: Role
    active: bool
    ready: bool
    """Has set a password."""


class Session(Struct, frozen=True, kw_only=True):
    """A live session and whose it is."""

    agent: Agent
    seen_at: int


class Team(Struct, frozen=True, kw_only=True):
    """A group of agents."""

    id: int
    slug: str
    name: str


def canonical_login(text: str) -> str:
    """One spelling per login: a look-alike in full-width or upper case is the same account."""
    return canonical(unicodedata.normalize("NFKC", text[:200]).strip().casefold(), 200)


_COLUMNS = (agents.c.id, agents.c.login, agents.c.name, agents.c.role, agents.c.active, agents.c.password)


def _agent(row: Sequence[object]) -> Agent:
    number, login, name, role, active, password = row[:6]
    return Agent(id=number, login=login, name=name, role=role, active=bool(active), ready=password is not None)  # type: ignore[arg-type]


# ---- agents ------------------------------------------------------------------------------------------


def create_agent(conn: Connection, agent_id: int, login: str, name: str, role: Role, now: int) -> Agent:
    """A new agent without a password: a one-time link sets it. Raises IntegrityError if the login is taken."""
    login = canonical_login(login)
    conn.execute(insert(agents).values(id=agent_id, login=login, name=name, role=role, active=True, created_at=now))
    return Agent(id=agent_id, login=login, name=name, role=role, active=True, ready=False)


def find_agent(conn: Connection, login: str) -> tuple[Agent, str | None] | None:
    """The agent with this login and the hash of the password, active or not."""
    row = conn.execute(select(*_COLUMNS).where(agents.c.login == canonical_login(login))).first()
    return (_agent(row), row.password) if row else None


def list_agents(conn: Connection) -> list[Agent]:
    """Everyone, by login."""
    return [_agent(row) for row in conn.execute(select(*_COLUMNS).order_by(agents.c.login))]


def first_administrator(conn: Connection, agent_id: int, now: int) -> Agent | None:
    """The administrator that still needs a password, made if nobody is there; None once one can log in."""
    wanted = select(*_COLUMNS).where(agents.c.role == "admin", agents.c.active).order_by(agents.c.id)
    admins = conn.execute(wanted).all()
    if not admins:  # of nodes that start at the same time one makes it, the others wait for it here
        columns, row = ("id", "login", "name", "role", "created_at"), (agent_id, "admin", "Administrator", "admin", now)
        bulk.insert(conn, agents, columns, [row], conflict="ON CONFLICT (login) DO NOTHING")
        admins = conn.execute(wanted).all()
    return None if not admins or any(row.password for row in admins) else _agent(admins[0])


def set_password(conn: Connection, agent_id: int, password_hash: str) -> None:
    """Also ends all sessions: whoever knew the old password is out."""
    conn.execute(update(agents).where(agents.c.id == agent_id).values(password=password_hash))
    close_sessions(conn, agent_id)


def enable(conn: Connection, agent_id: int) -> None:
    """Let a disabled agent in again, who still needs a password."""
    conn.execute(update(agents).where(agents.c.id == agent_id).values(active=True))


def disable(conn: Connection, agent_id: int) -> None:
    """No log-in any more, from now on; the password is forgotten. History keeps the name."""
    conn.execute(update(agents).where(agents.c.id == agent_id).values(active=False, password=None))
    close_sessions(conn, agent_id)


def other_administrators(conn: Connection, agent_id: int) -> int:
    """How many could log in and administer without this one."""
    admins = (agents.c.role == "admin", agents.c.active, agents.c.password.is_not(None), agents.c.id != agent_id)
    return conn.execute(select(func.count()).where(*admins)).scalar_one()


def refresh_hash(conn: Connection, agent_id: int, old: str, new: str) -> None:
    """Store the same password under today's parameters, unless it was changed meanwhile."""
    conn.execute(update(agents).where(agents.c.id == agent_id, agents.c.password == old).values(password=new))


# ---- teams -------------------------------------------------------------------------------------------


def list_teams(conn: Connection) -> list[Team]:
    """All teams, by name."""
    rows = conn.execute(select(teams.c.id, teams.c.slug, teams.c.name).order_by(teams.c.name))
    return [Team(id=row.id, slug=row.slug, name=row.name) for row in rows]


# ---- sessions ----------------------------------------------------------------------------------------


def open_session(conn: Connection, token_hash: bytes, agent_id: int, now: int, expires_at: int) -> None:
    """Called at login with a token that nobody has seen before; sweeps away what has expired."""
    conn.execute(delete(sessions).where(sessions.c.agent_id == agent_id, sessions.c.expires_at <= now))
    conn.execute(
        insert(sessions).values(
            token_hash=token_hash, agent_id=agent_id, created_at=now, seen_at=now, expires_at=expires_at
        )
    )


def find_session(conn: Connection, token_hash: bytes, now: int, idle: int) -> Session | None:
    """The session, unless it expired, was idle for `idle` milliseconds, or its agent was switched off."""
    row = conn.execute(
        select(*_COLUMNS, sessions.c.seen_at)
        .join(sessions, sessions.c.agent_id == agents.c.id)
        .where(
            sessions.c.token_hash == token_hash,
            sessions.c.expires_at > now,
            sessions.c.seen_at > now - idle,
            agents.c.active,
        )
    ).first()
    return Session(agent=_agent(row), seen_at=row.seen_at) if row else None


def touch_session(conn: Connection, token_hash: bytes, now: int) -> None:
    """Push the idle limit on."""
    conn.execute(update(sessions).where(sessions.c.token_hash == token_hash).values(seen_at=now))


def close_session(conn: Connection, token_hash: bytes) -> None:
    """Log out."""
    conn.execute(delete(sessions).where(sessions.c.token_hash == token_hash))


def close_sessions(conn: Connection, agent_id: int) -> None:
    """Log out everywhere."""
    conn.execute(delete(sessions).where(sessions.c.agent_id == agent_id))


# ---- login limits ------------------------------------------------------------------------------------


def count_try(conn: Connection, limits: Mapping[bytes, int], now: int, window: int) -> bool:
    """Count one try under every key; False if any of them had used up its limit within `window` milliseconds.

    It counts before the password is looked at, so that parallel tries can't slip past; `forgive` takes the
    successful ones back. A refused try is not counted: waiting out the window always helps.
    """
    rows = conn.execute(select(login_tries).where(login_tries.c.key_hash.in_(list(limits))).with_for_update()).all()
    live = {row.key_hash: row.n for row in rows if row.since_at > now - window}
    if any(live.get(key, 0) >= limit for key, limit in limits.items()):
        return False
    conn.execute(delete(login_tries).where(login_tries.c.since_at <= now - window))
    bulk.add_up(conn, login_tries, ("key_hash", "since_at", "n"), [(key, now, 1) for key in limits], keys=1)
    return True


def forgive(conn: Connection, account: bytes, address: bytes) -> None:
    """After a success: the account starts afresh, its address gets this try back."""
    conn.execute(delete(login_tries).where(login_tries.c.key_hash == account))
    conn.execute(update(login_tries).where(login_tries.c.key_hash == address).values(n=login_tries.c.n - 1))
