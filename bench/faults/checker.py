"""Compares what clients and the far side wrote down with what the store holds: the judge of every fault test.

acknowledged ⊆ recorded · recorded once, envelopes and messages · a lane's order of recording is the ledger's · every
envelope in one terminal state, the tallies equal to the rows · raw bytes as they were sent · the audit chain holds ·
effects as each idempotency class allows, in the order of their lane.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from bench.faults.ledger import read
from bench.faults.place import Place
from context_store.audit import verify_chain
from context_store.blobs import BlobStore
from context_store.cursors import read_cursor
from context_store.pending import recount, tallies_by_instance, unaccounted
from context_store.reader import reading
from context_store.text import hash_key

LINE = (
    "sent", "acked", "recorded", "lost", "doubled", "misordered", "unknown", "unknown_recorded", "parked",
    "dup_effect", "recover_s",
)  # fmt: skip


@dataclass
class Operation:
    """One thing that a client wanted recorded."""

    op: str
    lane: str
    instance: str
    key: str
    sha: str
    end: int = 0
    """The cursor behind it, where a cursor acknowledges."""
    poison: bool = False
    copy: str = ""
    """The operation whose message this is in another delivery."""
    acked: bool = False
    unknown: bool = False


@dataclass
class Verdict:
    """Counts for the line, and everything that is wrong in words."""

    sent: int = 0
    acked: int = 0
    recorded: int = 0
    lost: int = 0
    doubled: int = 0
    misordered: int = 0
    unknown: int = 0
    unknown_recorded: int = 0
    parked: int = 0
    dup_effect: int = 0
    recover_s: float = 0.0
    effects: int = 0
    flagged: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not (self.lost or self.doubled or self.misordered or self.dup_effect or self.problems)

    def line(self) -> str:
        return " ".join(f"{name}={getattr(self, name):g}" for name in LINE)

    def wrong(self, count: str, what: str) -> None:
        """Count it, and keep the first few in words."""
        if count:
            setattr(self, count, getattr(self, count) + 1)
        if len(self.problems) < 20:
            self.problems.append(f"{count}: {what}" if count else what)


@dataclass
class _Row:
    id: int
    state: str
    sha: str


def check(place: Place) -> Verdict:
    """After heal and drain."""
    operations = _operations(place.sent)
    verdict = Verdict(sent=len(operations))
    with reading(place.store) as conn:
        _cursor_acks(conn, operations)
        verdict.acked = sum(o.acked for o in operations)
        verdict.unknown = sum(o.unknown for o in operations)
        rows = _envelopes(conn, BlobStore(place.blobs))
        _envelopes_checked(verdict, operations, rows)
        _messages_checked(conn, verdict, operations, rows)
        _accounts_checked(conn, verdict)
        _effects_checked(conn, verdict, read(place.effects))
        verdict.problems += verify_chain(conn, place.heads()).problems
        if conn.dialect.name == "sqlite":
            found = conn.execute(text("PRAGMA integrity_check")).scalar()
            if found != "ok":
                verdict.wrong("", f"integrity_check: {found}")
            if conn.execute(text("PRAGMA foreign_key_check")).first():
                verdict.wrong("", "a foreign key points nowhere")
    return verdict


def rest(place: Place) -> str:
    """What is still under way; "" when everything has come to rest."""
    with reading(place.store) as conn:
        pending = conn.scalar(text("SELECT count(*) FROM envelopes WHERE state = 'pending'"))
        under_way = conn.scalar(text("SELECT count(*) FROM outbox WHERE state IN ('queued', 'leased', 'uncertain')"))
        fed = int(read_cursor(conn, "feed") or b"0") if place.feed.exists() else 0
    left = place.feed.stat().st_size - fed
    return f"{pending} pending, {under_way} in the outbox, {left} bytes unread" if pending or under_way or left else ""


# ---- what clients say -----------------------------------------------------------------------------------------


def _operations(path: Path) -> list[Operation]:
    """In the order in which they were first tried."""
    found: dict[str, Operation] = {}
    names = Operation.__dataclass_fields__
    for entry in read(path):
        if entry["what"] == "invoke" and "again" not in entry:
            facts = {name: value for name, value in entry.items() if name in names}
            found[entry["op"]] = Operation(**facts)
        elif entry["op"] in found:
            one = found[entry["op"]]
            one.acked, one.unknown = entry["what"] == "ok", entry["what"] == "unknown"
    return list(found.values())


def _cursor_acks(conn: Connection, operations: Sequence[Operation]) -> None:
    passed = int(read_cursor(conn, "feed") or b"0")
    for one in operations:
        if one.end:
            one.acked, one.unknown = one.end <= passed, one.end > passed


# ---- what the store says --------------------------------------------------------------------------------------


def _envelopes(conn: Connection, blobs: BlobStore) -> dict[bytes, list[_Row]]:
    """By the hash of their delivery key."""
    found: dict[bytes, list[_Row]] = defaultdict(list)
    for row in conn.execute(text("SELECT id, key_hash, raw, raw_sha, state FROM envelopes ORDER BY id")):
        raw = bytes(row.raw) if row.raw is not None else _file(blobs, row.raw_sha)
        found[bytes(row.key_hash)].append(_Row(row.id, row.state, hashlib.sha256(raw).hexdigest()))
    return found


def _file(blobs: BlobStore, sha: bytes | None) -> bytes:
    path = blobs.path(bytes(sha or b""))
    return path.read_bytes() if path.is_file() else b""


def _envelopes_checked(verdict: Verdict, operations: Sequence[Operation], rows: dict[bytes, list[_Row]]) -> None:
    lanes: dict[str, list[int]] = defaultdict(list)
    known = set()
    for one in operations:
        key = hash_key(one.instance, one.key)
        known.add(key)
        found = rows.get(key, [])
        verdict.recorded += bool(found)
        verdict.unknown_recorded += bool(found) and one.unknown
        if not found:
            if one.acked:
                verdict.wrong("lost", f"{one.op} was acknowledged and is not there")
            continue
        if len(found) > 1:
            verdict.wrong("doubled", f"{one.op} stands {len(found)} times in the journal")
        if found[0].sha != one.sha:
            verdict.wrong("lost", f"{one.op}: its raw bytes are not what was sent")
        if found[0].state != ("parked" if one.poison else "done"):
            verdict.wrong("", f"{one.op} ended {found[0].state}")
        if not one.unknown:  # what nobody waited for any more may be recorded at any later moment
            lanes[one.lane].append(found[0].id)
    for key in rows.keys() - known:
        verdict.wrong("doubled", f"envelope {rows[key][0].id} was sent by nobody")
    for lane, ids in lanes.items():
        _ascending(verdict, f"envelopes of {lane}", ids)


def _messages_checked(
    conn: Connection, verdict: Verdict, operations: Sequence[Operation], rows: dict[bytes, list[_Row]]
) -> None:
    statement = "SELECT id, key, instance, thread_id, thread_seq FROM messages WHERE direction = 'in' ORDER BY id"
    messages: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for row in conn.execute(text(statement)):
        messages[row.instance, row.key].append(row)
    lanes: dict[tuple[str, int], list[int]] = defaultdict(list)
    for one in operations:
        found = messages.get((one.instance, one.op), [])
        if one.poison or one.copy:
            if found:
                verdict.wrong("doubled", f"{one.op} became a message")
            continue
        if len(found) > 1:
            verdict.wrong("doubled", f"{one.op} became {len(found)} messages")
        if not found and rows.get(hash_key(one.instance, one.key)):
            verdict.wrong("lost", f"{one.op} was journaled and became no message")
        for row in found[:1] if not one.unknown else ():
            lanes[one.lane, row.thread_id].append(row.thread_seq)
    for (lane, _), numbers in lanes.items():
        _ascending(verdict, f"messages of {lane}", numbers)
    gaps = (
        "SELECT count(*) FROM (SELECT thread_id FROM messages GROUP BY thread_id HAVING count(*) <> max(thread_seq)) g"
    )
    if count := conn.scalar(text(gaps)):
        verdict.wrong("misordered", f"{count} threads have gaps in their numbers")


def _ascending(verdict: Verdict, what: str, numbers: Iterable[int]) -> None:
    wrong = sum(after <= before for before, after in pairwise(numbers))
    if wrong:
        verdict.wrong("misordered", f"{what}: {wrong} out of order")
        verdict.misordered += wrong - 1


def _accounts_checked(conn: Connection, verdict: Verdict) -> None:
    kept = tallies_by_instance(conn)
    verdict.parked = sum(found.get("parked", 0) for found in kept.values())
    for instance, gap in unaccounted(kept).items():
        verdict.wrong("", f"tallies of {instance}: {gap} more received than in a state")
    for instance, counted in recount(conn).items():
        for state, n in counted.items():
            if n != kept.get(instance, {}).get(state, 0):
                verdict.wrong("", f"tallies of {instance}: {state} is {kept[instance].get(state, 0)}, the rows say {n}")


# ---- what the far side says -----------------------------------------------------------------------------------


def _effects_checked(conn: Connection, verdict: Verdict, entries: Sequence[dict[str, Any]]) -> None:
    """Class A and B: one effect for a step; C: a second one is flagged. Done means had; order is that of the lane."""
    effects = Counter(entry["key"] for entry in entries if entry["what"] == "effect")
    verdict.effects = sum(effects.values())
    order = {key: n for n, key in enumerate(dict.fromkeys(entry["key"] for entry in entries))}
    statement = """
        SELECT o.id, o.lane, o.kind, o.destination, o.state, o.maybe_duplicate, s.key, s.n FROM outbox o
        JOIN steps s ON s.outbox_id = o.id WHERE o.destination NOT IN ('querylog', 'mail') ORDER BY o.id, s.n
    """
    lanes: dict[int, list[int]] = defaultdict(list)
    for row in conn.execute(text(statement)):
        had = effects.pop(row.key, 0)
        verdict.flagged += bool(row.maybe_duplicate)
        if had > 1 and not (row.destination == "ticket-c" and row.maybe_duplicate):
            verdict.wrong("dup_effect", f"{row.kind} {row.id} at {row.destination} had {had} effects, unflagged")
        if row.state == "done" and not had:
            verdict.wrong("lost", f"{row.kind} {row.id} at {row.destination} is done and had no effect")
        if row.state != "done":
            verdict.wrong("", f"{row.kind} {row.id} at {row.destination} ended {row.state}")
        if row.key in order:
            lanes[row.lane].append(order[row.key])
    for key in effects:
        verdict.wrong("dup_effect", f"an effect with key {key} belongs to no step")
    for lane, numbers in lanes.items():
        _ascending(verdict, f"effects of lane {lane}", numbers)
    twice = """
        SELECT count(*) FROM (
            SELECT q.id FROM queries q LEFT JOIN messages m ON m.query_id = q.id AND m.direction = 'out'
            WHERE q.instance = 'hook' GROUP BY q.id HAVING count(m.id) <> 1
        ) odd
    """
    if count := conn.scalar(text(twice)):
        verdict.wrong("dup_effect", f"{count} queries were not acknowledged exactly once")
