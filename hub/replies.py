"""What an agent says about a query: answers to the user, with files, by the reply route (design §5), and notes.

Operations like those of `hub.operations`, where console and CLI find them.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection

from context_store import answering, tokens, visits
from context_store.answering import Answerable, Matter
from context_store.audit import add_events
from context_store.lookups import KnownQuery
from context_store.record import Stale, record
from context_store.text import canonical
from context_store.times import to_millis
from hub.acting import TRIES, draft_of, matter_of
from hub.communicate.compose import Answer, Answered, compose
from hub.communicate.fallback import watch
from hub.communicate.route import Route, reachable, route
from hub.draft import Draft, identity_hash
from hub.files import Kept, attach, checked, stowed
from hub.lines import topics_of
from hub.matter import own_conversation
from hub.rooms import Rooms
from plugins import Identity, Media

FORM_LIFE = 86_400_000
"""Milliseconds; a session ends sooner."""


async def recipient(hub: Rooms, actor: str, reference: str, to_message: int | None = None) -> tuple[Identity, str]:  # noqa: ARG001  # every operation is told who acts
    """Who a reply would go to, and through which instance: shown before anything is sent."""
    matter = await matter_of(hub, reference)
    _, where = await _answered(hub, matter, to_message)
    return where.to, where.instance


async def reply(
    hub: Rooms, actor: str, query: str, text: str, *, public: bool = True, to_message: int | None = None,
    once: str = "", files: Sequence[Media | Mapping[str, Any]] = (),
) -> dict[str, str]:  # fmt: skip
    """Answer by the reply route (design §5); `public` False is a note that only agents see.

    `once`: a word of the form that was filled in; what comes again under it is not done again. `files` go with the
    text or nothing goes; over the local socket they are mappings, `data` in base64.
    """
    given = msgspec.convert(files, tuple[Media, ...])
    if not public:
        if given:
            raise ValueError("nothing was kept: a note takes no files")
        return await note(hub, actor, query, text, once=once)
    if not text.strip():
        raise ValueError("the reply is empty")
    for _ in range(TRIES):
        matter = await matter_of(hub, query)
        message, where = await _answered(hub, matter, to_message)
        kept = await asyncio.to_thread(stowed, hub.blobs, checked(given, hub.instances[where.instance]))
        try:
            number, topics = await hub.store.write(
                _once, once, _reply, hub, matter, message, where, actor, canonical(text), kept
            )
        except Stale:
            continue
        except _Done:
            return {"message": ""}
        for topic in topics:
            hub.fabric.tell(topic)
        hub.fabric.wake("outbox")
        hub.fabric.wake("events")
        return {"message": str(number), "to": f"{where.to.scheme}:{where.to.value}", "through": where.instance}
    raise ValueError(f"{query} changes all the time: try again")


def _reply(
    conn: Connection, hub: Rooms, matter: Matter, message: Answerable, where: Route, actor: str, text: str,
    files: Sequence[Kept],
) -> tuple[int, list[str]]:  # fmt: skip
    draft = draft_of(conn, hub, matter, where.to)
    conversation = _conversation(draft, hub, message, where)
    own = where.instance == message.instance
    answered = Answered(
        key=message.key if own else "", thread=message.thread if own else "",
        reply_via=message.reply_via if own else b"", private=message.private or where.to.value != message.value,
    )  # fmt: skip
    subject = message.subject or matter.subject
    said = Answer(
        subject=_re(subject), text=text, author=f"agent:{actor}", shown_author=hub.config.name,
        media=[file.ref for file in files],
    )  # fmt: skip
    channel = hub.instances[where.instance].channel
    number = compose(draft, hub.keys, conversation, channel, where, answered, said, hub.config.delivery.horizon)
    attach(draft, number, files)
    to = f"{where.to.scheme}:{where.to.value}"
    draft.event("message.written", matter.id, f"agent:{actor}", {"to": to, "through": where.instance}, number)
    root = draft.root(conversation)
    draft.touch_query(root, state="open" if root.state == "new" else None)
    record(conn, draft.batch, add_events)
    answering.answered(conn, root.id, draft.now)
    watch(conn, hub, number, where.instance)
    return number, list(topics_of(draft))


def _conversation(draft: Draft, hub: Rooms, message: Answerable, where: Route) -> KnownQuery:
    """The one that is answered; of another address of the user's, which they chose, its own in the same matter."""
    named, to = draft.known.queries[message.query_id], draft.known.identities[identity_hash(where.to)]
    if to.id == message.identity_id:
        return named
    evidence, channel = {"message": str(message.id)}, hub.instances[where.instance].channel
    return own_conversation(draft, draft.root(named), named, to, channel, where.instance, "preference", evidence)


async def typing(hub: Rooms, actor: str, reference: str, to_message: int | None = None) -> None:  # noqa: ARG001  # as above
    """The agent is writing: shown for a moment where the channel can; nothing is kept."""
    matter = await matter_of(hub, reference)
    message, where = await _answered(hub, matter, to_message)
    if message.thread and where.instance == message.instance:
        hub.ports[where.instance].signal(message.thread, "desk-typing")


class _Done(Exception):
    """This form was taken before."""


def _once(conn: Connection, once: str, write: Callable[..., Any], hub: Rooms, matter: Matter, *rest: Any) -> Any:
    """The form's word is used up in the transaction of what it asked for: both or neither."""
    now = to_millis(hub.clock.now())
    if once and tokens.spend(conn, write.__name__, once, matter.id, now, FORM_LIFE) is not None:
        raise _Done
    return write(conn, hub, matter, *rest)


async def note(hub: Rooms, actor: str, reference: str, text: str, *, once: str = "") -> dict[str, str]:
    """A remark that only agents see; `once` as in `reply`."""
    if not text.strip():
        raise ValueError("the note is empty")
    for _ in range(TRIES):
        matter = await matter_of(hub, reference)
        try:
            number = await hub.store.write(_once, once, _note, hub, matter, actor, canonical(text))
        except Stale:
            continue
        except _Done:
            return {"message": ""}
        hub.fabric.wake("events")
        return {"message": str(number)}
    raise ValueError(f"{reference} changes all the time: try again")


def _note(conn: Connection, hub: Rooms, matter: Matter, actor: str, text: str) -> int:
    draft = draft_of(conn, hub, matter)
    query = draft.known.queries[matter.id]
    thread = draft.thread(query, query.instance, "", b"")
    number = draft.ids.next()
    draft.message(
        query, thread, id=number, key=f"note:{number}", at=hub.clock.now(), instance=query.instance, channel="desk",
        kind="note", identity_id=query.identity_id, direction="out", private=True, author=f"agent:{actor}",
        standing="internal", text=text,
    )  # fmt: skip
    draft.event("note.written", matter.id, f"agent:{actor}", {}, number)
    draft.touch_query(query)
    record(conn, draft.batch, add_events)
    return number


async def _answered(hub: Rooms, matter: Matter, to_message: int | None) -> tuple[Answerable, Route]:
    """The message that an answer goes to: the picked one, else the newest at the matter's assurance or above.

    Private ones come first: what was said in private is answered in public only if the agent picks a public message.
    """
    picked = None if to_message is None else int(to_message)
    found = await hub.store.read(answering.answerable, matter.id, picked)
    least = 0 if picked is not None else await hub.store.read(answering.opening_assurance, matter.id)
    for message in sorted(found, key=lambda each: not each.private):
        if message.barred:  # the provider would refuse it, and the user has said so
            continue
        to = Identity(scheme=message.scheme, value=message.value)
        where = route(hub.instances, message.instance, to)
        if message.assurance >= least and where is not None:
            return message, where if picked is not None else await _preferred(hub, message, where)
    if picked is not None and not found:
        raise LookupError("that message is not one of this query's that can be answered")
    if found and all(message.barred for message in found):
        raise ValueError(f"no answer may go out: the user has {found[0].barred.replace('_', ' ')}")
    raise ValueError("nothing in this query can be answered: no configured instance reaches its sender")


async def _preferred(hub: Rooms, message: Answerable, where: Route) -> Route:
    """Where the user wants answers, if they are reached there by an identity that is as sure, and sure at all."""
    said = await hub.store.read(visits.preferred, message.identity_id)
    if not said.channel or hub.instances[where.instance].channel == said.channel:
        return where
    sure = max(1, message.assurance)
    own = [Identity(scheme=scheme, value=value) for scheme, value, assurance in said.identities if assurance >= sure]
    return reachable(hub.instances, said.channel, own) or where


def _re(subject: str) -> str:
    return subject if subject.lower().startswith(("re:", "aw:", "sv:")) else f"Re: {subject}"
