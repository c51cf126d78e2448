"""Ids: 63 bits, milliseconds (41) · node (10) · counter (12); they grow, whatever the clock does.

Two processes never share a node number: on PostgreSQL it is leased in table `nodes` by the database's clock and not
given out again for `QUARANTINE_MS` after the lease ended; on SQLite the owner lock of the file is the lease.

Never backwards: inside a process a clock that jumps back is ignored until it has caught up (a full counter borrows
the next millisecond); at start the generator begins above the greatest id in any table. That is enough for
uniqueness too, because an id means nothing before its row is stored, and nothing leaves the house before that.
Ids don't show commit order; `seq` does.
"""

import threading
import time
from collections.abc import Callable

from sqlalchemy import Connection, Integer, delete, func, insert, select, text, update
from sqlalchemy.types import BigInteger

from context_store.errors import StoreAway, StoreError
from context_store.tables import metadata, nodes

EPOCH_MS = 1_767_225_600_000
"""2026-01-01 UTC: 41 bits of milliseconds from there last until 2095."""
MAX_NODES = 1 << 10
COUNTERS = 1 << 12
BLOCK = 64
LEASE_MS = 60_000
QUARANTINE_MS = 600_000


class Ids:
    """Makes ids; safe to call from any thread."""

    def __init__(self, now_ms: Callable[[], int], node: int, above: int = 0, *, leased: bool = False) -> None:
        """`above`: the greatest id that is stored. `leased`: refuse once `renewed()` was not called for a lease."""
        self._now_ms = now_ms
        self._lock = threading.Lock()
        self._millis = (above >> 22) + 1 if above else 0
        self._counter = 0
        self._leased = leased
        self.node = node
        self._valid_until = 0.0
        self.renewed(node)

    def renewed(self, node: int) -> None:
        """The lease on `node` holds for another `LEASE_MS` from now, less a third as a margin."""
        with self._lock:
            self.node = node
            self._valid_until = time.monotonic() + LEASE_MS * 2 / 3000

    @property
    def valid(self) -> bool:
        """False: the lease has run out, and there are no ids until it is renewed."""
        return not self._leased or time.monotonic() <= self._valid_until

    def next(self) -> int:
        """The next id."""
        return self._first(1)

    def block(self, count: int) -> range:
        """So many ids in a row, at most `COUNTERS`.

        Raises:
            StoreAway: the node number's lease could not be renewed in time.
            StoreError: the clock is beyond 2095.
        """
        first = self._first(count)
        return range(first, first + count)

    def _first(self, count: int) -> int:
        with self._lock:
            if not self.valid:
                msg = f"the lease on node number {self.node} could not be renewed: no new ids until it is"
                raise StoreAway(msg)
            now = self._now_ms() - EPOCH_MS
            if now > self._millis:
                self._millis, self._counter = now, 0
            elif self._counter + count > COUNTERS:
                self._millis, self._counter = self._millis + 1, 0
            if self._millis >> 41:
                msg = f"no ids left: the clock says {now + EPOCH_MS} ms since 1970"
                raise StoreError(msg)
            first = self._millis << 22 | self.node << 12 | self._counter
            self._counter += count
            return first


class Blocks:
    """Ids for one who needs many: lock and clock are asked for each block, what is left of the last one is lost."""

    def __init__(self, ids: Ids) -> None:
        """Takes nothing yet."""
        self._ids = ids
        self._block = iter(range(0))

    def next(self) -> int:
        """The next id; raises what `Ids` raises."""
        for number in self._block:
            return number
        self._block = iter(self._ids.block(BLOCK))
        return next(self._block)


def greatest_id(conn: Connection) -> int:
    """The greatest id in any table: one index look-up each."""
    keyed = [
        table.c.id
        for table in metadata.sorted_tables
        if "id" in table.c and table.c.id.primary_key and isinstance(table.c.id.type, BigInteger | Integer)
    ]
    return max((conn.scalar(select(func.max(column))) or 0 for column in keyed), default=0)


def lease_node(conn: Connection, owner: str) -> int:
    """Take a free node number; the caller's transaction must hold the start lock (see engine).

    On SQLite every row found belongs to a dead process, for the file's owner lock is ours.
    """
    if conn.dialect.name == "sqlite":
        conn.execute(delete(nodes))
        conn.execute(insert(nodes).values(node=1, owner=owner, lease_until=0))
        return 1
    now = database_ms(conn)
    conn.execute(delete(nodes).where(nodes.c.lease_until < now - QUARANTINE_MS))
    taken = set(conn.scalars(select(nodes.c.node)))
    node = next((number for number in range(1, MAX_NODES) if number not in taken), None)
    if node is None:
        raise StoreAway("all 1,023 node numbers are taken; those of dead processes become free after ten minutes")
    conn.execute(insert(nodes).values(node=node, owner=owner, lease_until=now + LEASE_MS))
    return node


def renew_node(conn: Connection, node: int, owner: str) -> bool:
    """False: the number was given to another process meanwhile; take a new one."""
    result = conn.execute(
        update(nodes)
        .where(nodes.c.node == node, nodes.c.owner == owner)
        .values(lease_until=database_ms(conn) + LEASE_MS)
    )
    return result.rowcount == 1


def return_node(conn: Connection, node: int, owner: str) -> None:
    """At a clean stop: every id is stored or forgotten, so the number is free at once."""
    conn.execute(delete(nodes).where(nodes.c.node == node, nodes.c.owner == owner))


def database_ms(conn: Connection) -> int:
    """PostgreSQL's clock: leases are by it, since the nodes' own may differ."""
    return int(conn.scalar(text("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")) or 0)
