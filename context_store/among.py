"""Rows whose column has one of many values, in as few statements as the drivers take."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import CompoundSelect, Connection, Select, bindparam

from context_store import bulk

MOST_VALUES = 1 << 14
"""Values of one statement: PostgreSQL's protocol takes 65,535, SQLite as built here 250,000, elsewhere 32,766."""


def among(column: Any) -> Any:
    """The condition, for `rows`."""
    return column.in_(bindparam("among", expanding=True))


def rows(
    conn: Connection, statement: Select[Any] | CompoundSelect[Any], values: Collection[Any], **more: Any
) -> list[Any]:
    """One statement, unless a few envelopes hold so many items that a driver would refuse that many values."""
    whole, found = list(values), list[Any]()
    for at in range(0, len(whole), MOST_VALUES):
        found += conn.execute(statement, {"among": bulk.padded(whole[at : at + MOST_VALUES]), **more}).all()
    return found
