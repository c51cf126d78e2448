"""What an agent can do, in console and CLI alike. Every operation is told who acts, and leaves an event.

They raise LookupError for what isn't there and ValueError for what can't be done, in words for the agent.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from context_store import answering, pending, people
from context_store import outbox as rows
from context_store.answering import SETTABLE, STATES, Matter
from context_store.decided import who_set
from context_store.text import canonical
from context_store.times import to_millis
from hub.acting import TRIES, leave, matter_of
from hub.contacts import record_contact as record_contact  # noqa: PLC0414  # the console calls it by its protocol
from hub.draft import as_json
from hub.holds import hold_back, send_to  # noqa: F401  # as those of hub.staff
from hub.holds import let_go as let_go  # noqa: PLC0414  # the console calls it by its protocol
from hub.intake import intake_topic
from hub.notices import announce, end_announcement  # noqa: F401
from hub.pins import issue_pin as issue_pin  # noqa: PLC0414  # as let_go
from hub.replies import note as note  # noqa: PLC0414  # as let_go
from hub.replies import recipient as recipient  # noqa: PLC0414
from hub.replies import reply as reply  # noqa: PLC0414
from hub.replies import typing as typing  # noqa: PLC0414
from hub.reprocess import reprocess as reprocess_all
from hub.rooms import Rooms
from hub.rules_edit import rules_edit  # noqa: F401
from hub.staff import add_agent, disable_agent, reset_agent  # noqa: F401  # operations too, found here by their names
from hub.user_records import set_user  # noqa: F401
from routing.decide import MATRIX

BESIDE = ("assignee", "tags")
"""What can be set beside the plain fields."""
MOST_TAGS, LONGEST_TAG = 50, 100


async def set_query(hub: Rooms, actor: str, reference: str, changes: Mapping[str, Any]) -> dict[str, str]:
    """Set fields of a query: an agent's word wins over the rules from then on."""
    if not changes:
        raise ValueError(f"nothing to change; there are: {', '.join((*SETTABLE, *BESIDE))}")
    for _ in range(TRIES):
        matter = await matter_of(hub, reference)
        values = await _checked(hub, changes)
        given = await hub.store.write(_set, hub, matter, actor, values, dict(changes))
        if given is not None:
            hub.fabric.wake("events")
            return {"reference": matter.reference, **{name: str(value) for name, value in changes.items()}, **given}
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
) -> dict[str, str] | None:
    """What followed from it by itself; None if somebody changed the query meanwhile."""
    now, follows = to_millis(hub.clock.now()), _by_matrix(conn, hub, matter, values)
    if not answering.change(conn, matter, {**values, **follows}, now):
        return None
    said |= follows
    was: dict[str, Any] = {name: matter.values[name] for name in said if name in matter.values}
    if "tags" in said:
        was["tags"], said = matter.tags, said | {"tags": _tags(said["tags"])}
    body: dict[str, Any] = {"was": was, "is": said}
    if follows:
        body["set_by"] = dict.fromkeys(follows, MATRIX)
    leave(conn, hub, "query.set", matter.id, actor, body)
    return follows


def _by_matrix(conn: Connection, hub: Rooms, matter: Matter, values: Mapping[str, Any]) -> dict[str, str]:
    """Another impact or urgency is another priority, unless an agent or a rule gave one by itself."""
    if values.keys().isdisjoint({"impact", "urgency"}) or "priority" in values:
        return {}
    now = {**matter.values, **values}
    priority = hub.rules.current.matrix.get(now["impact"], {}).get(now["urgency"])
    if priority in (None, now["priority"]) or who_set(conn, matter.id, "priority") not in {"", MATRIX}:
        return {}
    return {"priority": priority}


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
