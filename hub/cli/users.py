"""`trunkline user …`: users and their journeys."""

from typing import Annotated

from cyclopts import Parameter
from sqlalchemy import Connection

from context_store import directory, views
from hub.cli import lists
from hub.cli.access import reading
from hub.cli.common import DEFAULT, WELL, Absent, Common, Limit, id_of
from hub.cli.output import as_json, minute, say, table, visible


def list_(
    *,
    text: Annotated[str, Parameter(help="Name or address begins with this.")] = "",
    limit: Limit = 50,
    common: Common = DEFAULT,
) -> int:
    """Users, the newest first.

    trunkline user list --text ann
    """
    with reading(common) as conn:
        rows = directory.list_users(conn, text, limit=limit)
    if common.json:
        as_json(rows)
    elif rows:
        table(
            ("id", "name", "organisation", "identities", "open", "since"),
            (
                (row.user_id, row.name, row.organisation, ", ".join(row.identities), row.open, minute(row.created_at))
                for row in rows
            ),
            wide="identities",
        )
    else:
        say("No such users.")
    return WELL


def show(
    who: Annotated[str, Parameter(help="A user's id, or an address: ann@acme.test, email:ann@acme.test, tel:+1555….")],
    *,
    limit: Limit = 50,
    common: Common = DEFAULT,
) -> int:
    """One user's journey over all channels, the newest message first.

    trunkline user show ann@acme.test
    """
    with reading(common) as conn:
        found = views.show_user(conn, user_of(conn, who), limit=limit)
    if found is None:
        raise Absent(f"there is no user {visible(who)}")
    if common.json:
        as_json(found)
        return WELL
    say(visible(f"{found.name or who}  {found.organisation}{'  VIP' if found.vip else ''}"), style="bold")
    table(
        ("scheme", "identity", "name", "assurance"),
        ((each.scheme, each.value, each.name, f"A{each.assurance}") for each in found.identities),
    )
    if found.queries:
        lists.queries(found.queries)
    lists.messages(found.messages)
    if found.more:
        say("… older messages are left out here: --limit", style="dim")
    return WELL


def user_of(conn: Connection, who: str) -> int:
    """By id or address. Raises Absent."""
    number = id_of(who)
    if number is not None:
        return number
    scheme, mark, value = who.partition(":")
    if not mark:
        scheme, value = ("tel" if who.startswith("+") else "email"), who
    user = directory.find_user(conn, scheme, value)
    if user is None:
        raise Absent(f"nobody has the address {visible(scheme)}:{visible(value)}")
    return user
