"""What the outbox learned, written in one transaction: rows, steps, deliveries, tickets, events and alarms."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection

from context_store import alarms
from context_store import outbox as rows
from context_store.audit import NewEvent, add_events
from context_store.outbox import UNKNOWN, Settled, Work
from context_store.text import canonical
from hub.apply import further, least
from hub.draft import message_hash
from hub.effects import Result
from plugins import Edited, Open, Receipt, TicketWork


class Settlement(Struct, frozen=True):
    """One result; of its parts those stand that apply."""

    work: Work | None = None
    settled: Settled | None = None
    results: tuple[Result, ...] = ()
    alarm: tuple[str, str] | None = None
    calm: str = ""

    @classmethod
    def of_success(cls, work: Work, results: Sequence[Result], now: int) -> "Settlement":
        """Every step is done."""
        doubtful = work.maybe_duplicate or any(result.doubtful for result in results)
        settled = Settled(id=work.id, fence=work.fence, state="done", due_at=now, maybe_duplicate=doubtful)
        return cls(work, settled, tuple(results))

    @classmethod
    def of_failure(cls, work: Work, settled: Settled, now: int) -> "Settlement":  # noqa: ARG003  # beside of_success
        """It comes again, is parked, or (a need) is met."""
        return cls(work, settled)

    def not_written(self, trace: str, now: int) -> "Settlement":
        """The row parked without its results, because writing them failed; what was done is not known any more."""
        if self.work is None:
            return self
        parked = Settled(
            id=self.work.id, fence=self.work.fence, state="parked", due_at=now, cause=UNKNOWN, trace=trace,
            maybe_duplicate=self.work.maybe_duplicate,
        )  # fmt: skip
        return Settlement(self.work, parked)

    @classmethod
    def of_alarm(cls, key: str, text: str) -> "Settlement":
        """A person must know."""
        return cls(alarm=(key, text))

    @classmethod
    def of_calm(cls, key: str) -> "Settlement":
        """It is well again."""
        return cls(calm=key)


def settle_all(conn: Connection, batch: Sequence[Settlement], next_id: Callable[[], int], now: int) -> None:
    """Whoever lost the lease meanwhile writes nothing: its fence is no longer the row's."""
    mine = rows.settle(conn, [one.settled for one in batch if one.settled], now)
    held = [one for one in batch if one.work is not None and one.settled is not None and one.work.id in mine]
    early = [one.work for one in held if one.work and one.settled and not one.settled.tried]
    rows.not_begun(conn, [(work.id, step.n) for work in early for step in work.steps if step.state == "planned"])
    good = [(one.work, one.results) for one in held if one.work is not None and one.results]
    rows.finish_steps(conn, [finished(w, len(r) - 1, r[-1]) for w, r in good], [])
    sent = [(w, r) for w, r in good if w.kind == "delivery" and w.message_id is not None]
    if sent:
        rows.delivered(conn, [_delivered(w, r) for w, r in sent])
        add_events(conn, _overtaken(conn, sent, next_id, now))
    rows.ticketed(conn, [_ticket(w, r, next_id(), now) for w, r in good if w.kind == "dispatch"])
    failed = [
        (one.work.message_id, "uncertain" if one.settled.state == "uncertain" else "failed")
        for one in held
        if one.work is not None and one.settled is not None and one.work.kind == "delivery" and one.work.message_id
        and one.settled.state in ("parked", "uncertain", "cancelled")
    ]  # fmt: skip
    rows.delivery_state(conn, failed)
    twice = _twice(conn, [one for one in batch if one.results and one.work is not None and one.work.id not in mine])
    add_events(conn, [event for one in (*held, *twice) if (event := _event(one, next_id(), now)) is not None])
    for one in batch:
        if one.alarm is not None:
            alarms.raise_(conn, one.alarm[0], one.alarm[1], now)
        elif one.calm:
            alarms.clear(conn, one.calm, now)


def _twice(conn: Connection, lost: Sequence[Settlement]) -> list[Settlement]:
    """Effects of a node that stood still at the last moment, whose work another one had taken over meanwhile.

    No check before the effect can come late enough, so it is told afterwards: flagged, and the journey names ours.
    Where the other node found our very effect, nothing happened twice.
    """
    known = rows.made(conn, [one.work.id for one in lost if one.work]) if lost else {}
    found = []
    for one in lost:
        if one.work is None or one.settled is None:
            continue
        theirs = known.get((one.work.id, len(one.results) - 1))
        if theirs is None or Result.stored(theirs).done.ref != one.results[-1].done.ref:
            settled = msgspec.structs.replace(one.settled, maybe_duplicate=True)
            found.append(msgspec.structs.replace(one, settled=settled))
    if found:
        rows.doubt(conn, [one.work.id for one in found if one.work])
    return found


def finished(work: Work, n: int, result: Result) -> tuple[int, int, str, bytes | None]:
    """As `finish_steps` takes it; the parts of a text are known by their own keys."""
    split = work.kind == "delivery" and len(work.steps) > 1
    return work.id, n, result.json(), message_hash(work.destination, result.done.ref) if split else None


def _overtaken(
    conn: Connection, sent: Sequence[tuple[Work, Sequence[Result]]], next_id: Callable[[], int], now: int
) -> list[NewEvent]:
    """A quick channel's receipt may come before we have written down the id that it names: it applies now."""
    named = {message_hash(w.destination, one.done.ref): (w, n) for w, results in sent for n, one in enumerate(results)}
    events, applied, told = [], list[tuple[int, int]](), list[tuple[int, int, str]]()
    parts, states = dict[int, list[str]](), dict[int, str]()
    for item, key, body in rows.overtaken(conn, list(named)):
        receipt, (work, n) = msgspec.json.decode(body, type=Edited | Receipt), named[key]
        if isinstance(receipt, Edited):
            continue
        message, split = work.message_id or 0, len(work.steps) > 1
        if work.id not in parts:
            parts[work.id] = rows.part_states(conn, work.id) if split else ["sent"]
        if further(receipt.state, parts[work.id][n]):
            parts[work.id][n] = receipt.state
            told += [(work.id, n, receipt.state)] if split else []
        applied.append((item, message))
        if further(whole := least(parts[work.id]), states.get(message, "sent")):
            states[message] = whole
            said = {"state": whole, "reason": canonical(receipt.reason, 1000), "at": receipt.at}
            event = NewEvent(
                id=next_id(), kind=f"message.{whole}", subject_id=work.query_id, message_id=message, actor="channel",
                at=now, body=said,
            )  # fmt: skip
            events.append(event)
    rows.part_state(conn, sorted({row[:2]: row for row in told}.values()))
    rows.delivery_state(conn, sorted(states.items()))
    rows.caught_up(conn, applied)
    return events


def _delivered(work: Work, results: Sequence[Result]) -> tuple[int, str, str, bytes]:
    first = results[0].done
    state = "caught" if first.caught else "sent"  # nobody must believe that it left the house
    return work.message_id or 0, state, canonical(first.ref, 1024), message_hash(work.destination, first.ref)


def _ticket(work: Work, results: Sequence[Result], number: int, now: int) -> dict[str, Any]:
    first, last = results[0].done, results[-1].done
    said = msgspec.json.decode(work.body, type=TicketWork)
    objects = [name for result in results for name in result.done.objects]
    return {
        "id": number, "query_id": work.query_id, "target": work.destination, "ext_id": said.ext_id,
        "ticket": canonical(first.ref if isinstance(said, Open) else last.ref, 1024), "revision": last.revision,
        "fields": "{}", "state": "", "objects": msgspec.json.encode(objects).decode(), "opened_at": now,
        "updated_at": now,
    }  # fmt: skip


def _event(one: Settlement, number: int, now: int) -> NewEvent | None:
    """What the journey shows of it; tries that will be repeated are no news."""
    work, settled = one.work, one.settled
    if work is None or settled is None or work.kind == "need" or settled.state == "queued" or not settled.tried:
        return None
    if settled.state == "cancelled":  # it was automatic: see `UNREACHED`
        why = f"it can't be sent to this address: {settled.cause}"
        body: dict[str, Any] = {"why": why, "destination": work.destination}
        return NewEvent(
            id=number, kind="query.not_acknowledged", subject_id=work.query_id, message_id=work.message_id,
            actor="hub", at=now, body=body,
        )  # fmt: skip
    noun = "message" if work.kind == "delivery" else "ticket"
    caught = bool(one.results and one.results[0].done.caught)
    verb = {"done": "caught" if caught else "sent", "parked": "parked", "uncertain": "uncertain"}[settled.state]
    body = {"destination": work.destination, "attempts": work.attempts}
    if one.results:
        body["ref"] = canonical(one.results[0].done.ref, 1024)
    if settled.cause:
        body["cause"] = settled.cause
    if settled.maybe_duplicate:
        body["maybe_duplicate"] = True
    return NewEvent(
        id=number, kind=f"{noun}.{verb}", subject_id=work.query_id, message_id=work.message_id, actor="hub", at=now,
        body=body,
    )  # fmt: skip
