"""`trunkline agent …`: who works in the console."""

from typing import Annotated, Literal

from cyclopts import Parameter

from context_store import agents
from hub.cli.access import perform, reading
from hub.cli.common import DEFAULT, WELL, Common
from hub.cli.output import as_json, say, table, visible

Role = Literal["viewer", "agent", "manager", "admin"]


def add(
    login: Annotated[str, Parameter(help="What the person types to log in: ann, or ann@acme.test.")],
    *,
    role: Annotated[Role, Parameter(help="Each may do what those before it may.")] = "agent",
    name: Annotated[str, Parameter(help="As colleagues see it; else the login.")] = "",
    common: Common = DEFAULT,
) -> int:
    """Let somebody work in the console: prints the one-time link that sets their password.

    trunkline agent add ann --name "Ann Lee"
    trunkline agent add bob@acme.test --role manager

    viewer reads; agent answers and changes queries; manager releases and decides; admin does everything.
    The link works once, for a day. Give it to nobody else: whoever opens it first sets the password.
    """
    return _told(common, perform(common, "add_agent", login=login, role=role, shown=name))


def reset_link(
    login: Annotated[str, Parameter(help="The agent's login.")],
    *,
    common: Common = DEFAULT,
) -> int:
    """A new one-time link that sets an agent's password; ends the links before.

    trunkline agent reset-link ann

    The old password works until the link is used. A disabled agent is let in again.
    """
    return _told(common, perform(common, "reset_agent", login=login))


def disable(
    login: Annotated[str, Parameter(help="The agent's login.")],
    *,
    common: Common = DEFAULT,
) -> int:
    """Keep an agent out from now on: ends all sessions and links; history keeps the name.

    trunkline agent disable ann
    """
    done = perform(common, "disable_agent", login=login)
    if common.json:
        as_json(done)
    else:
        say(visible(f"{done['login']} can't log in any more. `trunkline agent reset-link {done['login']}` undoes it."))
    return WELL


def list_(*, common: Common = DEFAULT) -> int:
    """Who may log in to the console, with their roles.

    trunkline agent list
    """
    with reading(common) as conn:
        rows = agents.list_agents(conn)
    if common.json:
        as_json(rows)
    elif rows:
        table(("login", "name", "role", ""), ((row.login, row.name, row.role, _standing(row)) for row in rows))
    else:
        say("Nobody yet: `trunkline serve` prints a link for the first administrator.")
    return WELL


def _standing(row: agents.Agent) -> str:
    if not row.active:
        return "disabled"
    return "" if row.ready else "has set no password yet"


def _told(common: Common, done: dict[str, str]) -> int:
    if common.json:
        as_json(done)
        return WELL
    say(visible(f"{done['login']} ({done['role']}) sets a password here; it works once, for a day:"))
    say(visible(f"  {done['link']}"), style="bold")
    return WELL
