"""What an agent can do, in console and CLI alike. Every operation is told who acts, and leaves an event.

They raise LookupError for what isn't there and ValueError for what can't be done, in words for the agent.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from context_store import answering, pending, people, tokens, visits
from context_store import outbox as rows
from context_store.answering import SETTABLE, STATES, Answerable, Matter
from context_store.audit import add_events
from context_store.lookups import KnownQuery
from context_store.record import Stale, record
from context_store.text import canonical
from context_store.times import to_millis
from hub.acting import TRIES, draft_of, leave, matter_of
from hub.communicate.compose import Answer, Answered, compose
from hub.communicate.fallback import watch
from hub.communicate.route import Route, reachable, route
from hub.contacts import record_contact as record_contact  # noqa: PLC0414  # the console calls it by its protocol
from hub.draft import Draft, as_json, identity_hash
from hub.holds import hold_back, send_to  # noqa: F401  # as those of hub.staff
from hub.holds import let_go as let_go  # noqa: PLC0414  # the console calls it by its protocol
from hub.intake import intake_topic
from hub.lines import topics_of
from hub.matter import own_conversation
from hub.notices import announce, end_announcement  # noqa: F401
from hub.pins import issue_pin as issue_pin  # noqa: PLC0414  # as let_go
from hub.reprocess import reprocess as reprocess_all
from hub.rooms import Rooms
from hub.rules_edit import rules_edit  # noqa: F401
from hub.staff import add_agent, disable_agent, reset_agent  # noqa: F401  # operations too, found here by their names
from hub.user_records import set_user  # noqa: F401
from plugins import Identity

BESIDE = ("assignee", "tags")
"""What can be set beside the plain fields."""
MOST_TAGS, LONGEST_TAG = 50, 100
FORM_LIFE = 86_400_000
"""Milliseconds; a session ends sooner."""


async def recipient(hub: Rooms, actor: str, reference: str, to_message: int | None = None) -> tuple[Identity, str]:  # noqa: ARG001  # every operation is told who acts
    """Who a reply would go to, and through which instance: shown before anything is sent."""
    matter = await matter_of(hub, reference)
    _, where = await _answered(hub, matter, to_message)
    return where.to, where.instance


async def reply(
    hub: Rooms, actor: str, query: str, text: str, *, public: bool = True, to_message: int | None = None,
    once: str = "",
) -> dict[str, str]:  # fmt: skip
    """Answer by the reply route (design §5); `public` False is a note that only agents see.

    `once`: a word of the form that was filled in; what comes again under it is not done again.
    """
    if not public:
        return await note(hub, actor, query, text, once=once)
    if not text.strip():
        raise ValueError("the reply is empty")
    for _ in range(TRIES):
        matter = await matter_of(hub, query)
        message, where = await _answered(hub, matter, to_message)
        try:
            number, topics = await hub.store.write(
                _once, once, _reply, hub, matter, message, where, actor, canonical(text)
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
    conn: Connection, hub: Rooms, matter: Matter, message: Answerable, where: Route, actor: str, text: str
) -> tuple[int, list[str]]:
    draft = draft_of(conn, hub, matter, where.to)
    conversation = _conversation(draft, hub, message, where)
    own = where.instance == message.instance
    answered = Answered(
        key=message.key if own else "", thread=message.thread if own else "",
        reply_via=message.reply_via if own else b"", private=message.private or where.to.value != message.value,
    )  # fmt: skip
    subject = message.subject or matter.subject
    said = Answer(subject=_re(subject), text=text, author=f"agent:{actor}", shown_author=hub.config.name)
    channel = hub.instances[where.instance].channel
    number = compose(draft, hub.keys, conversation, channel, where, answered, said, hub.config.delivery.horizon)
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


async def set_query(hub: Rooms, actor: str, reference: str, changes: Mapping[str, Any]) -> dict[str, str]:
    """Set fields of a query: an agent's word wins over the rules from then on."""
    if not changes:
        raise ValueError(f"nothing to change; there are: {', '.join((*SETTABLE, *BESIDE))}")
    for _ in range(TRIES):
        matter = await matter_of(hub, reference)
        values = await _checked(hub, changes)
        if await hub.store.write(_set, hub, matter, actor, values, dict(changes)):
            hub.fabric.wake("events")
            return {"reference": matter.reference, **{name: str(value) for name, value in changes.items()}}
    raise ValueError(f"{reference} changes all the time: try again")


async def _checked(hub: Rooms, changes: Mapping[str, Any]) -> dict[str, Any]:
    allowed: Mapping[str, Sequence[str]] = {
        "state": STATES,
        "type": ("incident", "request", "consultation", "complaint", "compliment", "feedback", "unknown"),
        "impact": ("", "person", "team", "department", "organisation"),
        "urgency": ("", "low", "medium", "high", "critical"),
        "priority": ("", "P1", "P2", "P3", "P4", "P5"),
        "team": ("", *hub.config.teams),
    }
    values: dict[str, Any] = {}
    for name, value in changes.items():
        if name == "assignee":
            values["assignee_id"] = await _agent(hub, str(value)) if value else None
        elif name == "tags":
            values["tags"] = as_json(_tags(value))
        elif name not in SETTABLE:
            raise ValueError(f"a query has no {name} to set; there are: {', '.join((*SETTABLE, *BESIDE))}")
        elif name in allowed and value not in allowed[name]:
            raise ValueError(f"{name} can't be {value!r}; there are: {', '.join(filter(None, allowed[name]))}")
        else:
            values[name] = canonical(str(value), 500)
    return values


def _tags(value: Any) -> list[str]:
    """All that the query has from now on: names between commas, or a list of them."""
    given = value.split(",") if isinstance(value, str) else value
    if not isinstance(given, list | tuple) or not all(isinstance(tag, str) for tag in given):
        raise ValueError("tags are names between commas, or a list of names")
    tags = [tag for tag in dict.fromkeys(canonical(tag).strip() for tag in given) if tag]
    if len(tags) > MOST_TAGS or any(len(tag) > LONGEST_TAG for tag in tags):
        raise ValueError(f"at most {MOST_TAGS} tags of at most {LONGEST_TAG} characters")
    return tags


async def _agent(hub: Rooms, login: str) -> int:
    found = await hub.store.read(answering.agent_id, login)
    if found is None:
        raise LookupError(f"there is no agent {login}")
    return found


def _set(
    conn: Connection, hub: Rooms, matter: Matter, actor: str, values: dict[str, Any], said: dict[str, Any]
) -> bool:
    now = to_millis(hub.clock.now())
    if not answering.change(conn, matter, values, now):
        return False
    was: dict[str, Any] = {name: matter.values[name] for name in said if name in matter.values}
    if "tags" in said:
        was["tags"], said = matter.tags, said | {"tags": _tags(said["tags"])}
    leave(conn, hub, "query.set", matter.id, actor, {"was": was, "is": said})
    return True


async def merge(hub: Rooms, actor: str, user: int, other: int, why: str) -> dict[str, str]:
    """`other` is the same person as `user`: one link, which `unmerge` revokes."""
    link = await hub.store.write(_merge, hub, actor, int(user), int(other), why)
    hub.fabric.wake("events")
    return {"link": str(link)}


def _merge(conn: Connection, hub: Rooms, actor: str, user: int, other: int, why: str) -> int:
    link = people.merge(
        conn, user, other, as_json({"via": "agent", "why": canonical(why, 1000)}), f"agent:{actor}",
        to_millis(hub.clock.now()), hub.store.ids.next,
    )  # fmt: skip
    leave(conn, hub, "user.merged", user, actor, {"other": str(other), "link": str(link), "why": why})
    return link


async def unmerge(hub: Rooms, actor: str, link_id: int, why: str) -> dict[str, str]:
    """Revoke a link; queries that it alone had joined are split again."""
    split = await hub.store.write(_unmerge, hub, actor, int(link_id), why)
    hub.fabric.wake("events")
    return {"link": str(link_id), "split": str(split)}


def _unmerge(conn: Connection, hub: Rooms, actor: str, link: int, why: str) -> int:
    now = to_millis(hub.clock.now())
    undone = people.unmerge(conn, link, f"agent:{actor}", canonical(why, 1000), now, hub.store.ids.next)
    body = {"link": str(link), "why": why, "split": [str(number) for number in undone.queries]}
    for user in undone.users:
        leave(conn, hub, "user.unmerged", user, actor, body)
    return len(undone.queries)


async def release(hub: Rooms, actor: str, ids: Sequence[int | str] | None = None) -> dict[str, str]:
    """Parked envelopes and outbox rows go on; None releases all of them."""
    wanted = None if ids is None else [int(number) for number in ids]
    envelopes, works = await hub.store.write(_release, hub, actor, wanted)
    hub.intake.pending += envelopes
    for isolated in (False, True):
        hub.fabric.wake(intake_topic(isolated=isolated))
    hub.fabric.wake("outbox")
    if wanted and not envelopes and not works:
        raise LookupError("none of these is parked")
    return {"envelopes": str(envelopes), "outbox": str(works)}


def _release(conn: Connection, hub: Rooms, actor: str, ids: Sequence[int] | None) -> tuple[int, int]:
    now = to_millis(hub.clock.now())
    envelopes = pending.release(conn, ids, hub.store.node)
    horizon = now + int(hub.config.delivery.horizon * 1000)
    works = rows.release(conn, rows.parked_ids(conn) if ids is None else ids, now, horizon)
    body = {"envelopes": [str(number) for number in envelopes], "outbox": works}
    leave(conn, hub, "parked.released", 0, actor, body)
    return len(envelopes), works


async def reprocess(hub: Rooms, actor: str, ids: Sequence[int | str] = (), since: int | None = None) -> dict[str, int]:
    """Derive anew what came from envelopes: keeps ids, sends nothing, overrides no agent."""
    return await reprocess_all(hub, actor, [int(number) for number in ids], since)


# ---- shared ----------------------------------------------------------------------------------------------


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
