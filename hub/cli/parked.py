"""`trunkline parked …` and `trunkline reprocess`: what needs a person, and doing things again."""

from collections import Counter
from datetime import UTC, datetime
from typing import Annotated

from cyclopts import Parameter
from sqlalchemy import Connection

from context_store import evidence, rederive
from context_store.evidence import ParkedEnvelope, ParkedWork
from context_store.references import envelope_of
from context_store.times import to_millis
from hub.cli.access import perform, reading
from hub.cli.common import DEFAULT, WELL, Absent, Common, Limit, Usage, id_of
from hub.cli.output import as_json, err, progress, say, size, table, visible, when

SHARE = 500
"""Envelopes that the hub derives anew between two signs of progress."""


def list_(
    *,
    limit: Limit = 50,
    common: Common = DEFAULT,
) -> int:
    """What needs a person, with its cause.

    trunkline parked list
    """
    with reading(common) as conn:
        envelopes = evidence.parked_envelopes(conn, limit=limit)
        work = evidence.parked_work(conn, limit=limit)
    if common.json:
        as_json({"envelopes": envelopes, "work": work})
        return WELL
    if envelopes:
        table(
            ("id", "instance", "cause", "tries", "size", "received"),
            ((e.id, e.instance, e.cause, e.attempts, size(e.size), when(e.received_at)) for e in envelopes),
            title="Envelopes that could not be processed",
            wide="cause",
        )
    if work:
        table(
            ("id", "kind", "destination", "query", "cause", "tries", "parked"),
            (
                (w.work.id, w.work.kind, w.work.destination, w.reference, w.work.cause, w.work.attempts,
                 when(w.work.settled_at))
                for w in work
            ),
            title="Work that could not be done",
            wide="cause",
        )  # fmt: skip
    if not envelopes and not work:
        say("Nothing is parked.", style="green")
    return WELL


def show(
    item: Annotated[str, Parameter(help="The id in `parked list`, or a receipt number.")], *, common: Common = DEFAULT
) -> int:
    """One parked envelope or piece of work, with its trace.

    trunkline parked show 1234567890123456789
    """
    with reading(common) as conn:
        found = _find(conn, _number(item))
    if common.json:
        as_json(found)
        return WELL
    if isinstance(found, ParkedEnvelope):
        say(visible(f"Envelope {found.id} of {found.instance}: {found.cause}"), style="bold")
        say(f"received {when(found.received_at)}, {size(found.size)}, {found.attempts} tries, "
            f"{found.workers_lost} lost workers")  # fmt: skip
    else:
        work = found.work
        say(visible(f"{work.kind} {work.id} to {work.destination}: {work.cause}"), style="bold")
        say(visible(f"query {found.reference}, {work.attempts} tries, made {when(work.created_at)}"))
    say(visible(found.trace, lines=True))
    return WELL


def release(
    *items: Annotated[str, Parameter(help="Ids from `parked list`, or receipt numbers.")],
    all_: Annotated[bool, Parameter(name="all", help="Everything that is parked.", negative="")] = False,
    common: Common = DEFAULT,
) -> int:
    """Try parked envelopes or work again.

    trunkline parked release 1234567890123456789
    trunkline parked release --all
    """
    if bool(items) == all_:
        raise Usage("name ids, or --all")
    ids = None if all_ else [_number(item) for item in items]
    with err.status("Releasing"):
        done = perform(common, "release", ids=ids)
    if common.json:
        as_json(done)
    else:
        say(f"Released {done['envelopes']} envelopes, {done['outbox']} pieces of work. "
            "`trunkline parked list` shows what is parked again.", style="green")  # fmt: skip
    return WELL


def reprocess(
    *items: Annotated[str, Parameter(help="Envelope ids or receipt numbers.")],
    since: Annotated[
        datetime | None, Parameter(help="All received since then: 2026-11-21 or 2026-11-21T08:00.")
    ] = None,
    common: Common = DEFAULT,
) -> int:
    """Derive everything anew from the raw bytes; send nothing, keep ids and what agents decided.

    trunkline reprocess --since 2026-11-21
    trunkline reprocess R-7KQ4-9D2M
    """
    if bool(items) == (since is not None):
        raise Usage("name envelopes, or --since")
    done = Counter({"envelopes": 0, "messages": 0, "new": 0, "failed": 0})
    with progress() as bar:
        ids = [_number(item) for item in items] if since is None else _since(common, since)
        task = bar.add_task("Reprocessing", total=len(ids))
        for first in range(0, len(ids), SHARE):
            share = ids[first : first + SHARE]
            done.update(perform(common, "reprocess", ids=share))
            bar.advance(task, len(share))
    if common.json:
        as_json(done)
    else:
        say(", ".join(f"{name}: {count}" for name, count in done.items()), style="green")
    return WELL


def _since(common: Common, since: datetime) -> list[int]:
    try:
        moment = (since if since.tzinfo else since.astimezone()).astimezone(UTC)
    except (ValueError, OverflowError) as error:  # the first and last days of all years, in some zones
        raise Usage(f"--since {since.date()}: expected a date that clocks here can tell") from error
    with reading(common) as conn:
        return rederive.settled_ids(conn, to_millis(moment))


def _number(item: str) -> int:
    number = id_of(item)
    if number is None:
        number = envelope_of(item)
    if number is None:
        raise Absent(f"{visible(item)} is neither an id nor a receipt number")
    return number


def _find(conn: Connection, number: int) -> ParkedEnvelope | ParkedWork:
    for envelope in evidence.parked_envelopes(conn, before=number + 1, limit=1):
        if envelope.id == number:
            return envelope
    for work in evidence.parked_work(conn, before=number + 1, limit=1):
        if work.work.id == number:
            return work
    raise Absent(f"nothing parked has the id {number}")
