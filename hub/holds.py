"""What an agent does with queries that rules have stopped: let them go on, stop them again, send them elsewhere.

Operations like those of `hub.operations`: each is told who acts, and leaves an event.
"""

from collections.abc import Sequence
from typing import Literal, get_args

from sqlalchemy import Connection

from context_store import answering, holds
from context_store.answering import Matter
from context_store.audit import add_events
from context_store.holds import Said
from context_store.record import record
from context_store.shapes import HoldView
from context_store.text import canonical, lane_of
from context_store.times import to_millis
from hub.acting import TRIES, draft_of, leave, matter_of
from hub.communicate.acknowledge import Acknowledger
from hub.communicate.compose import Answered
from hub.decided import decision_of
from hub.draft import Draft
from hub.rooms import Rooms
from hub.texts import acknowledgement
from plugins import Claim, Identity, Open, Say
from routing import Decision

Kind = Literal["hold", "park", "spam"]


async def let_go(hub: Rooms, actor: str, reference: str, target: str = "") -> dict[str, str]:
    """A held query goes on as the rules had it, or to another target: dispatched, and acknowledged if it was not."""
    return await _go_on(hub, actor, reference, target, held=True)


async def send_to(hub: Rooms, actor: str, reference: str, target: str) -> dict[str, str]:
    """Another tool works on it from now on; the ticket in the former one stays as it is."""
    return await _go_on(hub, actor, reference, target, held=False)


async def _go_on(hub: Rooms, actor: str, reference: str, target: str, *, held: bool) -> dict[str, str]:
    targets = sorted(name for name, one in hub.instances.items() if one.is_target)
    if target and target not in targets:
        raise ValueError(f"there is no target {target}; there are: {', '.join(targets)}")
    for _ in range(TRIES):
        matter = await matter_of(hub, reference)
        sent_to = await hub.store.write(_write, hub, matter, actor, target, held)
        if sent_to:
            hub.fabric.wake("outbox")
            hub.fabric.wake("events")
            return {"reference": matter.reference, "target": sent_to}
    raise ValueError(f"{reference} changes all the time: try again")


def _write(conn: Connection, hub: Rooms, matter: Matter, actor: str, target: str, held: bool) -> str:
    """The target that it went to; "" if somebody else was faster."""
    hold, decided = holds.standing(conn, matter.id), holds.decided(conn, matter.id)
    if held and hold is None:
        raise ValueError(f"{matter.reference} is not held")
    if decided is None:
        raise ValueError(f"no rules have judged {matter.reference}")
    decision = decision_of(*decided)
    target = target or decision.outcome.target
    now = to_millis(hub.clock.now())
    values = {"target": target} | ({"state": "new"} if hold and hold.kind == "spam" else {})
    if not answering.change(conn, matter, values, now):
        return ""
    said = holds.said(conn, matter.id)
    draft = draft_of(conn, hub, matter, Identity(scheme=said[0].scheme, value=said[0].value) if said else None)
    _dispatch(draft, hub, matter, target, said)
    if hold:
        holds.end(conn, matter.id, f"agent:{actor}", now)
        if hold.kind != "hold" and said:
            _acknowledge(draft, hub, matter, decision, said[0])
    kind = "query.let_go" if hold else "query.sent_to"
    record(conn, draft.batch, add_events)
    leave(conn, hub, kind, matter.id, actor, {"target": target, "was": hold.kind if hold else ""})
    return target


def _dispatch(draft: Draft, hub: Rooms, matter: Matter, target: str, said: Sequence[Said]) -> None:
    """The query as it came, then what was added to it."""
    instance = hub.instances[target]
    verbs = instance.connector.capabilities.verbs if instance.connector is not None else {"open", "say"}
    works: list[tuple[str, Open | Say]] = []
    for number, one in enumerate(said):
        if number:
            public = one.standing != "third_party"
            works.append(("say", Say(ext_id=matter.reference, text=one.text, public=public, author=one.value)))
            continue
        claim = Claim(
            identity=Identity(scheme=one.scheme, value=one.value), assurance=1 if one.assurance else 0, name=one.name
        )
        fields = {"type": matter.values["type"], "priority": matter.values["priority"]}
        works.append((
            "open",
            Open(ext_id=matter.reference, subject=one.subject, text=one.text, user=claim, fields=fields),
        ))
    lane = lane_of("ticket", target, matter.reference)
    for verb, work in works:
        if verb in verbs:
            draft.outbox("dispatch", target, lane, matter.id, work, horizon=hub.config.delivery.horizon)


def _acknowledge(draft: Draft, hub: Rooms, matter: Matter, decision: Decision, said: Said) -> None:
    """Late, and in the words that the rules chose; by the same limits as at once."""
    sender, texts = draft.known.by_id.get(said.identity_id), hub.rules.judging.texts
    acknowledger = Acknowledger(draft, hub.instances, hub.keys, hub.config)
    if sender is None or texts is None or decision.facts.automatic or acknowledger.spares(sender, said.assurance):
        return
    where = acknowledger.route(said.instance, sender)
    if where is None:
        return
    words = acknowledgement(texts, decision, hub.config, reference=matter.reference, subject=said.subject[:250])
    own = where.instance == said.instance
    answered = Answered(
        key=said.key if own else "", thread=said.thread if own else "", reply_via=said.reply_via if own else b"",
        private=said.private,
    )  # fmt: skip
    acknowledger.send(draft.known.queries[said.query_id], sender, said.assurance, where, answered, words)


async def hold_back(hub: Rooms, actor: str, reference: str, kind: Kind, why: str = "") -> dict[str, str]:
    """Stop a query by hand: it needs validation (hold), a look (park), or is spam, which closes it."""
    if kind not in get_args(Kind):
        raise ValueError(f"there is no way to hold called {kind}; there are: {', '.join(get_args(Kind))}")
    for _ in range(TRIES):
        matter = await matter_of(hub, reference)
        if await hub.store.write(_hold, hub, matter, actor, kind, canonical(why, 1000)):
            hub.fabric.wake("events")
            return {"reference": matter.reference, "held": kind}
    raise ValueError(f"{reference} changes all the time: try again")


def _hold(conn: Connection, hub: Rooms, matter: Matter, actor: str, kind: Kind, why: str) -> bool:
    now = to_millis(hub.clock.now())
    values = {} if holds.has_ticket(conn, matter.id) else {"target": ""}
    values |= {"state": "closed"} if kind == "spam" else {}
    if values and not answering.change(conn, matter, values, now):
        return False
    holds.put(conn, HoldView(query_id=matter.id, kind=kind, reason=why, author=f"agent:{actor}", at=now))
    leave(conn, hub, "query.held", matter.id, actor, {"kind": kind, "why": why})
    return True
