"""Organisations and teams: the file names them, the store gives them ids."""

from collections.abc import Callable, Mapping, Sequence

import msgspec
from sqlalchemy import Connection, insert, select, update

from context_store.tables import organisations, teams


def sync_organisations(
    conn: Connection, wanted: Mapping[str, tuple[str, Sequence[str]]], next_id: Callable[[], int]
) -> dict[str, int]:
    """Slug → (name, domains) as the file has it now; ids by slug. One that the file dropped keeps its users."""
    known = {row.slug: row for row in conn.execute(select(organisations))}
    for slug, (name, domains) in wanted.items():
        values = {"name": name, "domains": msgspec.json.encode(domains).decode()}
        if slug not in known:
            conn.execute(insert(organisations).values(id=next_id(), slug=slug, **values))
        elif (known[slug].name, known[slug].domains) != (values["name"], values["domains"]):
            conn.execute(update(organisations).where(organisations.c.slug == slug).values(**values))
    rows = conn.execute(select(organisations.c.slug, organisations.c.id))
    return {slug: number for slug, number in rows if slug in wanted}


def sync_teams(conn: Connection, wanted: Mapping[str, str], next_id: Callable[[], int]) -> None:
    """Slug → name as the file has it now."""
    known = {row.slug: row.name for row in conn.execute(select(teams))}
    for slug, name in wanted.items():
        if slug not in known:
            conn.execute(insert(teams).values(id=next_id(), slug=slug, name=name))
        elif known[slug] != name:
            conn.execute(update(teams).where(teams.c.slug == slug).values(name=name))
