"""Rows whose column has one of many values, in as few statements as the drivers take."""

from collections.abc import Collection
from functools import cache
from typing import Any

from sqlalchemy import ARRAY, CompoundSelect, Connection, Select, any_, bindparam
from sqlalchemy.sql.operators import in_op
from sqlalchemy.sql.visitors import replacement_traverse

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
    if not values:
        return []
    if conn.dialect.name == "postgresql":
        return list(conn.execute(_over_arrays(statement), {"among": list(values), **more}).all())
    whole, found = list(values), list[Any]()
    for at in range(0, len(whole), MOST_VALUES):
        found += conn.execute(statement, {"among": bulk.padded(whole[at : at + MOST_VALUES]), **more}).all()
    return found


@cache
def _over_arrays(statement: Any) -> Any:
    """With one array for all values: one statement whatever their number, which stays prepared."""

    def over(element: Any, **_: Any) -> Any:
        if getattr(element, "operator", None) is in_op and getattr(element.right, "key", None) == "among":
            return element.left == any_(bindparam("among", type_=ARRAY(element.left.type)))
        return None

    return replacement_traverse(statement, {}, over)
