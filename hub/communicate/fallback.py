"""A chat goes on by mail: what its visitor has not fetched in time goes to the address that the visitor left.

"Not fetched" is the absence of a receipt in the store, so this holds over restarts and on whatever node the visitor's
window is. Only a sender at A1 is followed (it is the same window that asked), only the lines that were not brought are
told, and the mail opens a conversation of that address in the same matter, so that its answer finds back.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy import Connection

from context_store import Store
from context_store.audit import NewEvent, add_events
from context_store.fallbacks import KIND, Unbrought, left_address, still_on_the_way, waiting_lines
from context_store.lookups import Wanted, gather
from context_store.record import Stale, record
from context_store.timers import Timer, add_timers, settle_timers
from context_store.times import from_millis
from hub.communicate.compose import Answer, Answered, compose
from hub.communicate.route import Route, route
from hub.config import Config
from hub.draft import Draft, identity_hash
from hub.fabric import Fabric
from hub.instances import Instance
from hub.keys import Keys
from hub.matter import own_conversation
from hub.recognise import Directory
from hub.rooms import Rooms
from plugins import Claim, Identity

log = structlog.get_logger("trunkline.fallback")

_SUBJECTS = {"en": "Our answer to your chat [{reference}]", "de": "Unsere Antwort auf Ihren Chat [{reference}]"}


def watch(conn: Connection, hub: Rooms, message: int, instance: str) -> None:
    """In the transaction that writes an answer: look after it later, if its channel asks for that."""
    connector = hub.instances[instance].connector
    after = connector.capabilities.fallback_after if connector is not None else 0
    if after:
        due = hub.store.now() + int(after * 1000)
        add_timers(conn, [Timer(id=hub.store.ids.next(), kind=KIND, subject_id=message, due_at=due)])


@dataclass(slots=True)
class Fallback:
    """Every node may do it: a timer is settled in the transaction that acts on it."""

    store: Store
    fabric: Fabric
    instances: Mapping[str, Instance]
    directory: Directory
    keys: Keys
    config: Config

    async def due(self) -> int:
        """Bring what is late; returns how many letters were written."""
        if not await self.store.read(waiting_lines, self.store.now()):
            return 0
        letters = await self.store.write(self._bring)
        if letters:
            self.fabric.wake("outbox")
        self.fabric.wake("events")
        return letters

    def _bring(self, conn: Connection) -> int:
        lines = waiting_lines(conn, self.store.now())
        if settle_timers(conn, [line.timer for line in lines]) != len(lines):
            raise Stale("another node brings some of them")
        late = still_on_the_way(conn, [line.id for line in lines])
        threads = itertools.groupby((line for line in lines if line.id in late), key=lambda line: line.thread_id)
        return sum(self._letter(conn, list(of_thread)) for _, of_thread in threads)

    def _letter(self, conn: Connection, lines: Sequence[Unbrought]) -> bool:
        left = left_address(conn, lines[0].thread_id)
        if left is None:
            self._unseen(conn, lines, "nobody has fetched it, and no address was left")
            return False
        to = Identity(scheme=left[0], value=left[1])
        where = route(self.instances, "", to)
        if where is None:
            self._unseen(conn, lines, f"nobody has fetched it, and no instance reaches {to.scheme}:{to.value}")
            return False
        return self._write(conn, lines, to, where)

    def _write(self, conn: Connection, lines: Sequence[Unbrought], to: Identity, where: Route) -> bool:
        wanted = Wanted(queries={line.query_id for line in lines}, identities={identity_hash(to)})
        draft = Draft(self.store, gather(conn, wanted, self.store.now()), from_millis(self.store.now()))
        claim = Claim(identity=to)
        owner = draft.identity(claim, self.directory.organisation(claim))
        if owner.barred:
            self._unseen(conn, lines, f"the address that was left has {owner.barred.replace('_', ' ')}")
            return False
        last = lines[-1]
        named, channel = draft.known.queries[last.query_id], self.instances[where.instance].channel
        conversation = own_conversation(
            draft, draft.root(named), named, owner, channel, where.instance, KIND, {"message": str(last.id)}
        )
        subject = _SUBJECTS.get(last.language.partition("-")[0] or self.config.language, _SUBJECTS["en"])
        said = Answer(
            subject=subject.format(reference=last.reference), text="\n\n".join(line.text for line in lines),
            author=last.author, shown_author=self.config.name,
        )  # fmt: skip
        compose(draft, self.keys, conversation, channel, where, Answered(), said, self.config.delivery.horizon)
        for line in lines:
            body = {"to": f"{to.scheme}:{to.value}", "through": where.instance}
            draft.event("message.fallback", line.root_id, "hub", body, line.id)
        record(conn, draft.batch, add_events)
        return True

    def _unseen(self, conn: Connection, lines: Sequence[Unbrought], why: str) -> None:
        """An agent must see that the answer lies where nobody reads it."""
        add_events(conn, [
            NewEvent(
                id=self.store.ids.next(), kind="message.unseen", subject_id=line.root_id, message_id=line.id,
                actor="hub", at=self.store.now(), body={"why": why},
            )
            for line in lines
        ])  # fmt: skip
        log.info("fallback.unseen", messages=[line.id for line in lines], why=why)
