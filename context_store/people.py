"""Who is whom: a user is a set of identities that active links join; merging adds a link, unmerging revokes it.

Identities and users are the two sides of a graph, active links its edges; a component is one person. Of the users in
a component the one with the smallest id stands for it, so that `identities.user_id` and the roots of joined queries
are functions of the active rows alone: what a merge changed, its unmerge restores.
"""

from collections.abc import Callable, Collection, Iterable

from msgspec import Struct
from sqlalchemy import Connection, Insert, insert, or_, select, text, update

from context_store.tables import identities, links, queries, query_joins, users

PEOPLE_LOCK = 0x7472756E6B70656F
"""PostgreSQL: merges and unmerges one after the other; they may touch the same people."""


class NotPossible(ValueError):
    """The merge or unmerge makes no sense; the text says why."""


class Unmerged(Struct, frozen=True):
    """What an unmerge did."""

    users: tuple[int, ...]
    """Who they are now, each a person of their own."""
    queries: tuple[int, ...]
    """Conversations that stood on the link alone and are matters of their own again."""


def merge(
    conn: Connection, user_a: int, user_b: int, evidence: str, author: str, now: int, next_id: Callable[[], int]
) -> int:
    """One more link, from an identity of the one to the other; returns its id, by which it can be undone.

    Raises:
        NotPossible: unknown, without an identity, or the same person already.
    """
    _serialise(conn)
    mine, theirs = _component(conn, users={user_a}), _component(conn, users={user_b})
    if not mine[0] or not theirs[0]:
        raise NotPossible(f"user {user_a if not mine[0] else user_b} is unknown or has no identity")
    if mine == theirs:
        raise NotPossible(f"user {user_a} and user {user_b} are the same person already")
    number = next_id()
    conn.execute(_link(number, min(theirs[0]), min(mine[1]), evidence, author, now))
    _assign(conn, mine[0] | theirs[0], mine[1] | theirs[1])
    return number


def unmerge(conn: Connection, link_id: int, author: str, why: str, now: int, next_id: Callable[[], int]) -> Unmerged:
    """Revoke one link. An identity that is left without any becomes a new user's.

    Queries that were joined because their senders were the same user, and no longer are, are split again.

    Raises:
        NotPossible: unknown or revoked already.
    """
    _serialise(conn)
    link = conn.execute(
        update(links)
        .where(links.c.id == link_id, links.c.revoked_at.is_(None))
        .values(revoked_at=now, revoked_by=author, revoked_why=why)
        .returning(links.c.identity_id, links.c.user_id)
    ).one_or_none()
    if link is None:
        raise NotPossible(f"link {link_id} is unknown or revoked already")
    parts = [_component(conn, identities={link.identity_id})]
    if not parts[0][1]:
        parts = [_alone(conn, link.identity_id, f"split off with link {link_id}", author, now, next_id)]
    rest = _component(conn, users={link.user_id})
    if rest[0] and rest != parts[0]:
        parts.append(rest)
    for found, owners in parts:
        _assign(conn, found, owners)
    split = _split(conn, parts[0][0] | parts[-1][0], author, now)
    return Unmerged(tuple(min(owners) for _, owners in parts), split)


def relink(conn: Connection, touched: Collection[int]) -> None:
    """After links were added by other hands: bring `identities.user_id` of these identities' components up to date."""
    _serialise(conn)
    left = set(touched)
    while left:
        found, owners = _component(conn, identities={left.pop()})
        _assign(conn, found, owners)
        left -= found


def wrong_users(conn: Connection) -> tuple[int, ...]:
    """Identities whose `user_id` is not what the active links say: for `doctor`; reads every link."""
    parent: dict[tuple[str, int], tuple[str, int]] = {}

    def root(node: tuple[str, int]) -> tuple[str, int]:
        while parent.setdefault(node, node) != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for row in conn.execute(select(links.c.identity_id, links.c.user_id).where(links.c.revoked_at.is_(None))):
        parent[root(("i", row.identity_id))] = root(("u", row.user_id))
    smallest: dict[tuple[str, int], int] = {}
    for node in list(parent):
        if node[0] == "u":
            top = root(node)
            smallest[top] = min(node[1], smallest.get(top, node[1]))
    rows = conn.execute(select(identities.c.id, identities.c.user_id).order_by(identities.c.id))
    return tuple(row.id for row in rows if smallest.get(root(("i", row.id))) != row.user_id)


def _serialise(conn: Connection) -> None:
    if conn.dialect.name == "postgresql":
        conn.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": PEOPLE_LOCK})


def _component(
    conn: Connection, *, identities: Iterable[int] = (), users: Iterable[int] = ()
) -> tuple[frozenset[int], frozenset[int]]:
    """All identities and users that active links join to the given ones; users without links are left out."""
    found, owners = set(identities), set(users)
    new_found, new_owners = set(found), set(owners)
    linked: set[int] = set()
    while new_found or new_owners:
        rows = conn.execute(
            select(links.c.identity_id, links.c.user_id).where(
                links.c.revoked_at.is_(None),
                or_(links.c.identity_id.in_(new_found), links.c.user_id.in_(new_owners)),
            )
        ).all()
        linked |= {row.user_id for row in rows}
        new_found = {row.identity_id for row in rows} - found
        new_owners = {row.user_id for row in rows} - owners
        found |= new_found
        owners |= new_owners
    return frozenset(found), frozenset(owners & linked)


def _assign(conn: Connection, found: Collection[int], owners: Collection[int]) -> None:
    conn.execute(
        update(identities)
        .where(identities.c.id.in_(found), identities.c.user_id != min(owners))
        .values(user_id=min(owners))
    )


def _link(number: int, identity_id: int, user_id: int, evidence: str, author: str, now: int) -> Insert:
    return insert(links).values(
        id=number,
        identity_id=identity_id,
        user_id=user_id,
        assurance=0,  # what the channel proved stands on the identity; this is an agent's word
        evidence=evidence,
        author=author,
        created_at=now,
    )


def _alone(
    conn: Connection, identity_id: int, evidence: str, author: str, now: int, next_id: Callable[[], int]
) -> tuple[frozenset[int], frozenset[int]]:
    name = conn.scalar(select(identities.c.name).where(identities.c.id == identity_id))
    user_id = next_id()
    conn.execute(insert(users).values(id=user_id, name=name or "", created_at=now))
    conn.execute(_link(next_id(), identity_id, user_id, evidence, author, now))
    return frozenset({identity_id}), frozenset({user_id})


def _split(conn: Connection, touched: Collection[int], author: str, now: int) -> tuple[int, ...]:
    """Revoke the joins that rest on "the same user" between two who no longer are; returns the new roots."""
    one, other = identities.alias(), identities.alias()
    query, into = queries.alias(), queries.alias()
    broken = conn.execute(
        select(query_joins.c.id, query_joins.c.query_id, query_joins.c.into_id)
        .join(query, query.c.id == query_joins.c.query_id)
        .join(into, into.c.id == query_joins.c.into_id)
        .join(one, one.c.id == query.c.identity_id)
        .join(other, other.c.id == into.c.identity_id)
        .where(
            query_joins.c.via == "user",
            query_joins.c.revoked_at.is_(None),
            one.c.user_id != other.c.user_id,
            or_(one.c.id.in_(touched), other.c.id.in_(touched)),
        )
        .order_by(query_joins.c.id)
    ).all()
    if not broken:
        return ()
    conn.execute(
        update(query_joins)
        .where(query_joins.c.id.in_([row.id for row in broken]))
        .values(revoked_at=now, revoked_by=author)
    )
    return _reroot(conn, {row.query_id for row in broken} | {row.into_id for row in broken}, now)


def _reroot(conn: Connection, start: set[int], now: int) -> tuple[int, ...]:
    """Set the roots of every query that joins tie to `start`. One that becomes a root takes its old root's state."""
    into, found = _joined(conn, start)
    rows = conn.execute(select(queries.c.id, queries.c.root_id, queries.c.state).where(queries.c.id.in_(found))).all()
    states = {row.id: row.state for row in rows}
    fresh = []
    for row in rows:
        root = _follow(into, row.id)
        if root == row.root_id:
            continue
        values: dict[str, object] = {"root_id": root, "updated_at": now, "version": queries.c.version + 1}
        if root == row.id:
            fresh.append(row.id)
            values["state"] = states.get(row.root_id, row.state)
        conn.execute(update(queries).where(queries.c.id == row.id).values(**values))
    return tuple(sorted(fresh))


def _joined(conn: Connection, start: set[int]) -> tuple[dict[int, int], set[int]]:
    """Query → what its oldest active join leads to, and all queries within reach of `start`."""
    joins: dict[int, tuple[int, int]] = {}
    found, new = set(start), set(start)
    while new:
        rows = conn.execute(
            select(query_joins.c.id, query_joins.c.query_id, query_joins.c.into_id).where(
                query_joins.c.revoked_at.is_(None),
                or_(query_joins.c.query_id.in_(new), query_joins.c.into_id.in_(new)),
            )
        )
        joins |= {number: (query, into) for number, query, into in rows}
        new = {end for pair in joins.values() for end in pair} - found
        found |= new
    oldest: dict[int, int] = {}
    for _, (query, into) in sorted(joins.items()):
        oldest.setdefault(query, into)
    return oldest, found


def _follow(into: dict[int, int], number: int) -> int:
    """To the end of the joins; a ring (which no one makes on purpose) ends at its smallest."""
    seen: list[int] = []
    while number in into and number not in seen:
        seen.append(number)
        number = into[number]
    return min(seen[seen.index(number) :]) if number in seen else number
