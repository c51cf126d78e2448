"""What happened, in a chain that shows every later change and survives erasure.

An event's payload is committed to by a salted hash; the chain binds these commitments with everything else that the
row says, block to block. Erasure deletes payload and salt: what was said can't be guessed from the commitment, and
the chain still holds. A chain can't show that its own end was cut off: each head is published outside the store.
"""

import os
import secrets
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, Row, func, select, text

from context_store import bulk
from context_store.crashpoints import crashpoint
from context_store.tables import events, seals
from context_store.text import canonical, hash_key

BLOCK = 1000
SALT = 16
LONGEST_HEAD = 4096
"""Bytes of a published line, by far."""
SEAL_LOCK = 0x7472756E6B736561
"""PostgreSQL: one sealer at a time."""


_encoder = msgspec.json.Encoder(order="sorted")


class NewEvent(Struct, frozen=True, kw_only=True):
    """Something that happened to a query, user or setting."""

    id: int
    kind: str
    subject_id: int
    message_id: int | None = None
    actor: str
    at: int
    body: Mapping[str, Any]


class Head(Struct, frozen=True):
    """The end of the chain: block number, last sequence number, hash."""

    n: int
    last_seq: int
    head: str


class ChainReport(Struct, frozen=True):
    """What `verify_chain` saw; no problems: nothing was changed since it was sealed."""

    blocks: int
    events: int
    problems: tuple[str, ...]


def add_events(conn: Connection, new: Sequence[NewEvent]) -> None:
    """In the transaction that did it; sealed later, so that nobody waits for the chain's head."""
    rows = []
    salts = secrets.token_bytes(SALT * len(new))  # one call of the system for all
    for n, one in enumerate(new):
        body = canonical(_encoder.encode(one.body).decode())
        salt = salts[n * SALT : (n + 1) * SALT]
        rows.append((
            one.id, one.kind, one.subject_id, one.message_id, one.actor, one.at, body, salt, _commitment(salt, body),
        ))  # fmt: skip
    columns = ("id", "kind", "subject_id", "message_id", "actor", "at", "body", "salt", "commitment")
    bulk.insert(conn, events, columns, rows)


def seal(conn: Connection, now: int) -> Head | None:
    """Number the next block of committed events in id order and chain it; None: nothing to do, or another seals."""
    if conn.dialect.name == "postgresql" and not conn.scalar(
        text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": SEAL_LOCK}
    ):
        return None
    rows = conn.execute(select(*_LEAF).where(text("seq IS NULL")).order_by(events.c.id).limit(BLOCK)).all()
    if not rows:
        return None
    last = conn.execute(select(seals.c.n, seals.c.last_seq, seals.c.head).order_by(seals.c.n.desc()).limit(1)).first()
    n, first, previous = (last.n + 1, last.last_seq + 1, last.head) if last else (1, 1, bytes(32))
    numbered = list(enumerate(rows, first))
    head = _head(previous, numbered)
    bulk.update(conn, events, ("id", "seq"), [(row.id, seq) for seq, row in numbered])
    columns = ("n", "first_seq", "last_seq", "previous", "head", "sealed_at")
    crashpoint("seal.before_commit")
    end = first + len(rows) - 1
    bulk.insert(conn, seals, columns, [(n, first, end, previous, head, now)])
    return Head(n, end, head.hex())


def publish_head(path: Path, head: Head) -> None:
    """Append to a file outside the store; better still on another machine.

    A line that a crash or a full disk tore is taken back first, so that the file stays whole lines.
    """
    with path.open("a+b") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(0, end - LONGEST_HEAD))
        tail = file.read()
        if not tail.endswith(b"\n"):
            file.truncate(end - len(tail) + tail.rfind(b"\n") + 1)
        file.write(msgspec.json.encode(head) + b"\n")
        file.flush()
        os.fsync(file.fileno())


def published_heads(path: Path) -> list[Head]:
    """What `publish_head` wrote; a torn last line is left out."""
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")[:-1]
    return [msgspec.json.decode(line, type=Head) for line in lines]


def verify_chain(conn: Connection, published: Sequence[Head] = ()) -> ChainReport:
    """Recompute every commitment and block, and hold them against the published heads.

    Blocks may come meanwhile: read `published` before, and before the snapshot that `conn` may be.
    """
    problems: list[str] = []
    newest = (
        conn.scalar(select(func.max(events.c.seq))) or 0
    )  # before the blocks: what is numbered later is in none yet
    heads: dict[int, str] = {}
    previous, expected, count = bytes(32), 1, 0
    for block in conn.execute(select(seals).order_by(seals.c.n)).all():
        found = _events_between(conn, block.first_seq, block.last_seq)
        count += len(found)
        problems += _damage(found)
        numbers = [row.seq for row in found]
        if (block.n, block.first_seq, block.previous) != (len(heads) + 1, expected, previous):
            problems.append(f"block {block.n} does not follow the one before")
        if numbers != list(range(block.first_seq, block.last_seq + 1)):
            problems.append(f"block {block.n}: events are missing")
        elif _head(previous, [(row.seq, row) for row in found]) != block.head:
            problems.append(f"block {block.n}: an event was changed, removed or moved")
        previous, expected = block.head, block.last_seq + 1
        heads[block.n] = block.head.hex()
    beyond = conn.scalar(select(func.count()).where(events.c.seq.between(expected, newest))) or 0
    if beyond:
        problems.append(f"{beyond} numbered events belong to no block")
    problems += [
        f"block {head.n} was published and is {'another' if head.n in heads else 'gone'} now"
        for head in published
        if heads.get(head.n) != head.head
    ]
    return ChainReport(len(heads), count, tuple(problems))


_LEAF = tuple(events.c[name] for name in ("id", "kind", "subject_id", "message_id", "actor", "at", "commitment"))


def _events_between(conn: Connection, first: int, last: int) -> Sequence[Row[Any]]:
    columns = (*_LEAF, events.c.seq, events.c.body, events.c.salt)
    return conn.execute(select(*columns).where(events.c.seq.between(first, last)).order_by(events.c.seq)).all()


def _damage(rows: Sequence[Row[Any]]) -> list[str]:
    return [
        f"event {row.id}: its payload was changed"
        for row in rows
        if (row.body is None) != (row.salt is None)
        or (row.body is not None and _commitment(row.salt, row.body) != row.commitment)
    ]


def _commitment(salt: bytes, body: str) -> bytes:
    return sha256(salt + body.encode()).digest()


def _head(previous: bytes, rows: Sequence[tuple[int, Row[Any]]]) -> bytes:
    leaves = [
        hash_key(str(seq), *(part if isinstance(part, bytes) else str(part) for part in row[: len(_LEAF)]))
        for seq, row in rows
    ]
    return hash_key(previous, *leaves)


class SealedEvent(Struct, frozen=True):
    """An event as observers are shown it; `body` is JSON, None once erased."""

    seq: int
    kind: str
    subject_id: int
    at: int
    body: str | None


_SHOWN = select(events.c.seq, events.c.kind, events.c.subject_id, events.c.at, events.c.body).order_by(events.c.seq)


def sealed_events(conn: Connection, block: int) -> list[SealedEvent]:
    """The events of a block, in order."""
    first, last = conn.execute(select(seals.c.first_seq, seals.c.last_seq).where(seals.c.n == block)).one()
    return [SealedEvent(*row) for row in conn.execute(_SHOWN.where(events.c.seq.between(first, last)))]


def last_seq(conn: Connection) -> int:
    """The newest event's; 0 where nothing has happened yet."""
    return conn.scalar(select(seals.c.last_seq).order_by(seals.c.n.desc()).limit(1)) or 0


def events_beyond(conn: Connection, after: int, limit: int) -> list[SealedEvent]:
    """The next events, in order: numbers are given under one lock, so none appears later below one that is seen."""
    return [SealedEvent(*row) for row in conn.execute(_SHOWN.where(events.c.seq > after).limit(limit))]
