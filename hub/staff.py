"""Who works in the console: agents, their roles, and the one-time links with which they set a password.

Operations like those of `hub.operations`: each is told who acts, and leaves an event.
"""

import re

from sqlalchemy import Connection

from context_store import agents, tokens
from context_store.agents import ROLES, Agent
from context_store.text import canonical
from hub.acting import leave
from hub.rooms import Rooms
from hub.web.auth import SETUP_LIFE

_LOGIN = re.compile(r"[^\s\x00-\x1f\x7f<>\"']{1,100}")


async def add_agent(hub: Rooms, actor: str, login: str, role: str, shown: str = "") -> dict[str, str]:
    """A new agent, whom colleagues see as `shown`, and the link that sets the password."""
    if role not in ROLES:
        raise ValueError(f"there is no role {role}; there are: {', '.join(ROLES)}")
    login = agents.canonical_login(login)
    if not _LOGIN.fullmatch(login):
        raise ValueError("a login is 1 to 100 characters without spaces and quotes, such as ann or ann@acme.test")
    secret = await hub.store.write(_add, hub, actor, login, role, canonical(shown.strip(), 200) or login)
    return {"login": login, "role": role, "link": _link(hub, secret)}


def _add(conn: Connection, hub: Rooms, actor: str, login: str, role: agents.Role, name: str) -> str:
    if agents.find_agent(conn, login):
        raise ValueError(f"there is an agent {login} already: `trunkline agent reset-link {login}` makes a new link")
    agent = agents.create_agent(conn, hub.store.ids.next(), login, name, role, hub.store.now())
    leave(conn, hub, "agent.added", agent.id, actor, {"login": agent.login, "role": role})
    return _issue(conn, hub, agent)


async def reset_agent(hub: Rooms, actor: str, login: str) -> dict[str, str]:
    """A new link, which ends the ones before. A disabled agent is let in again by it."""
    agent, secret = await hub.store.write(_reset, hub, actor, login)
    return {"login": agent.login, "role": agent.role, "link": _link(hub, secret)}


def _reset(conn: Connection, hub: Rooms, actor: str, login: str) -> tuple[Agent, str]:
    agent = _find(conn, login)
    agents.enable(conn, agent.id)
    leave(conn, hub, "agent.link_made", agent.id, actor, {"login": agent.login, "was_active": agent.active})
    return agent, _issue(conn, hub, agent)


async def disable_agent(hub: Rooms, actor: str, login: str) -> dict[str, str]:
    """Out at once, everywhere; links that are not used yet end too."""
    agent = await hub.store.write(_disable, hub, actor, login)
    return {"login": agent.login, "role": agent.role}


def _disable(conn: Connection, hub: Rooms, actor: str, login: str) -> Agent:
    agent = _find(conn, login)
    if agent.role == "admin" and not agents.other_administrators(conn, agent.id):
        raise ValueError(f"{agent.login} is the last administrator who can log in: add another one first")
    agents.disable(conn, agent.id)
    tokens.revoke(conn, "password", agent.id, hub.store.now())
    leave(conn, hub, "agent.disabled", agent.id, actor, {"login": agent.login})
    return agent


def _find(conn: Connection, login: str) -> Agent:
    found = agents.find_agent(conn, login)
    if found is None:
        known = ", ".join(agent.login for agent in agents.list_agents(conn)[:20])
        raise LookupError(f"there is no agent {login}; there are: {known or 'none'}")
    return found[0]


def _issue(conn: Connection, hub: Rooms, agent: Agent) -> str:
    now = hub.store.now()
    tokens.revoke(conn, "password", agent.id, now)
    return tokens.issue(conn, "password", agent.id, now, SETUP_LIFE)


def _link(hub: Rooms, secret: str) -> str:
    url = hub.config.public_url or next(iter(hub.sockets), "")
    return f"{url}/console/setup/{secret}"
