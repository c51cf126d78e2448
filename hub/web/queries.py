"""Queries: the list, one query, a user's journey, and what an agent does to them."""

import secrets
from collections.abc import Sequence
from typing import Any

from aiohttp import web
from msgspec import Struct
from msgspec.structs import replace

from context_store import agents, views
from context_store.references import canonical_reference
from context_store.search import search
from context_store.shapes import QueryFilter, QueryRow, QueryView
from context_store.text import canonical
from hub.files import MOST_FILES, TOGETHER, most_of
from hub.pins import shown
from hub.web.fit import LETTERS, fitting
from hub.web.guard import AGENT, Route
from hub.web.login import form, page
from hub.web.site import HUB, OPERATIONS, number, optional_number, problem_page, size
from hub.web.upload import form_with_files
from plugins import Media
from routing.actions import SETS
from routing.matrix import IMPACTS, URGENCIES

STATES = ("new", "open", "pending", "on_hold", "resolved", "closed")
CHANNELS = ("email", "chat", "phone", "social", "portal", "walk-in")
SHOWN = 100
MESSAGES = 200
FOUND = 20
GONE = "There is no such query."
TOO_LARGE = (
    f"Nothing was sent: the files are too large, at most {size(TOGETHER)} go with a reply. "
    "Choose others; the text stands below."
)


def _position(text: str) -> tuple[int, int] | None:
    """`before` of a list: the last row's (updated_at, id)."""
    at, dot, last = text.partition(".")
    return (number(at), number(last)) if dot else None


def _pick(value: str, among: tuple[str, ...]) -> str:
    return value if value in among else ""


async def _list(request: web.Request) -> web.StreamResponse:
    store, given = request.app[HUB].store, request.query
    text = canonical(given.get("text", "").strip(), 200)
    reference = canonical_reference(text)
    if reference and await store.read(views.find_query, reference) is not None:
        raise web.HTTPSeeOther(f"/console/queries/{reference}")
    wanted = QueryFilter(
        state=_pick(given.get("state", "active"), ("active", *STATES)),
        channel=_pick(given.get("channel", ""), CHANNELS),
        team=canonical(given.get("team", ""), 200),
        assignee_id=request[AGENT].id if given.get("mine") else 0,
        text=text,
    )
    rows = await store.read(views.list_queries, wanted, _position(given.get("before", "")), SHOWN)
    older = request.rel_url.update_query(before=f"{rows[-1].updated_at}.{rows[-1].id}") if len(rows) == SHOWN else None
    hits = await store.read(search, text, optional_number(given.get("found_before")), FOUND)
    return await page(
        request,
        "queries.html",
        rows=rows,
        wanted=wanted,
        older=older,
        hits=hits,
        further=request.rel_url.update_query(found_before=hits[-1].message_id) if len(hits) == FOUND else None,
        teams=await store.read(agents.list_teams),
        states=STATES,
        channels=CHANNELS,
    )


async def found_query(request: web.Request) -> int:
    """The matter that the address names. Raises HTTPNotFound."""
    reference = canonical_reference(request.match_info["reference"])
    root = await request.app[HUB].store.read(views.find_query, reference) if reference else None
    if root is None:
        raise web.HTTPNotFound(text=GONE)
    return root


async def _view(
    request: web.Request, *, status: int = 200, draft: str = "", wrong: str = "", pin: str = "",
    to_message: int | None = None,
) -> web.Response:  # fmt: skip
    hub = request.app[HUB]
    root = await found_query(request)
    before = optional_number(request.query.get("before"))
    view = await hub.store.read(views.show_query, root, before, MESSAGES, LETTERS)
    if view is None:
        raise web.HTTPNotFound(text=GONE)
    kept = fitting(view.messages[::-1])
    if kept < len(view.messages):
        view = replace(view, messages=view.messages[-kept:], earlier=True)
    to_message = to_message or optional_number(request.query.get("to"))
    people = await hub.store.read(agents.list_agents)
    return await page(
        request,
        "query.html",
        status=status,
        view=view,
        to_message=to_message,
        recipient=await _recipient(request, view, to_message),
        draft=draft,
        most_files=MOST_FILES,
        together=TOGETHER,
        once=secrets.token_urlsafe(18),
        wrong=wrong,
        pin=pin,
        teams=await hub.store.read(agents.list_teams),
        people=people,
        names={each.login: each.name for each in people},
        states=STATES,
        corrections={"type": SETS["type"], "impact": ("", *IMPACTS), "urgency": ("", *URGENCIES)},
        services=sorted(hub.rules.current.catalogue.services),
    )


class Recipient(Struct, frozen=True):
    """Who would get a reply, shown before it is sent; `problem` says why nobody would."""

    scheme: str = ""
    value: str = ""
    instance: str = ""
    problem: str = ""
    most: int = 0
    """Bytes of one file that can go with it; 0: none can."""

    @property
    def key(self) -> str:
        """What the form carries, so that sending can tell whether it still holds."""
        return f"{self.scheme} {self.value} {self.instance}"


async def _recipient(request: web.Request, view: QueryView, to_message: int | None) -> Recipient:
    actor, reference = request[AGENT].login, view.query.reference
    try:
        identity, instance = await request.app[OPERATIONS].recipient(
            request.app[HUB], actor, reference, to_message=to_message
        )
    except (LookupError, ValueError) as error:
        return Recipient(problem=str(error))
    most = most_of(request.app[HUB].instances.get(instance))
    return Recipient(identity.scheme, identity.value, instance, most=most)


async def _show(request: web.Request) -> web.StreamResponse:
    return await _view(request)


def _back(request: web.Request, anchor: str = "") -> web.StreamResponse:
    raise web.HTTPSeeOther(f"/console/queries/{request.match_info['reference']}{anchor}")


async def _reply(request: web.Request) -> web.StreamResponse:
    """Send only to whom the agent saw: a new message may have changed the recipient meanwhile."""
    hub, (given, files, too_large) = request.app[HUB], await form_with_files(request)
    text, seen = given.get("text", "").strip(), given.get("recipient", "")
    to_message = optional_number(given.get("to_message"))
    if too_large:
        return await _view(request, status=413, draft=text, wrong=TOO_LARGE, to_message=to_message)
    if not text:
        return await _view(request, status=400, wrong="The reply is empty.", to_message=to_message)
    view = await hub.store.read(views.show_query, await found_query(request), None, 1, 0)
    if view is None or (await _recipient(request, view, to_message)).key != seen:
        wrong = "The recipient has changed. Look again, then send."
        return await _view(request, status=409, draft=text, wrong=_again(wrong, files))
    try:
        await request.app[OPERATIONS].reply(
            hub,
            request[AGENT].login,
            _reference(request),
            text,
            public=True,
            to_message=to_message,
            once=_word(given),
            files=files,
        )
    except (LookupError, ValueError) as error:
        return await _view(request, status=409, draft=text, wrong=_again(str(error), files), to_message=to_message)
    return _back(request, "#newest")


def _again(wrong: str, files: Sequence[Media]) -> str:
    """A page can't fill in files as it does the text."""
    return f"{wrong.rstrip('.')}. Files must be chosen again; the text stands below." if files else wrong


def _word(given: dict[str, str]) -> str:
    """What makes a form that is sent twice one reply; a program that sends none is answered each time."""
    return canonical(given.get("once", ""), 100)


def _reference(request: web.Request) -> str:
    return canonical_reference(request.match_info["reference"]) or ""


async def _note(request: web.Request) -> web.StreamResponse:
    given = await form(request)
    text, once = given.get("text", "").strip(), _word(given)
    if not text:
        return await _view(request, status=400, wrong="The note is empty.")
    await found_query(request)
    await request.app[OPERATIONS].note(request.app[HUB], request[AGENT].login, _reference(request), text, once=once)
    return _back(request, "#newest")


SETTABLE = ("state", "team", "assignee", "type", "service", "impact", "urgency")


async def _set(request: web.Request) -> web.StreamResponse:
    """Only what the agent changed: what somebody else changed meanwhile stays."""
    given = await form(request)
    await found_query(request)
    changes: dict[str, Any] = {
        name: given[name] for name in SETTABLE if name in given and given[name] != given.get(f"was_{name}")
    }
    try:
        if changes:
            await request.app[OPERATIONS].set_query(
                request.app[HUB], request[AGENT].login, _reference(request), changes
            )
    except (LookupError, ValueError) as error:
        return await _view(request, status=409, wrong=str(error))
    return _back(request)


async def _let_go(request: web.Request) -> web.StreamResponse:
    await form(request)
    await found_query(request)
    try:
        await request.app[OPERATIONS].let_go(request.app[HUB], request[AGENT].login, _reference(request))
    except (LookupError, ValueError) as error:
        return await _view(request, status=409, wrong=str(error))
    return _back(request)


async def _pin(request: web.Request) -> web.StreamResponse:
    """Shown in this answer and nowhere else; who was given one stands in the journey, without it."""
    await form(request)
    await found_query(request)
    try:
        issued = await request.app[OPERATIONS].issue_pin(request.app[HUB], request[AGENT].login, _reference(request))
    except (LookupError, ValueError) as error:
        return await _view(request, status=409, wrong=str(error))
    return await _view(request, pin=shown(issued["pin"]))


async def _query(request: web.Request) -> web.StreamResponse:
    """What a page that was shown in answer to a form finds under its address."""
    return _back(request)


async def _journey(request: web.Request) -> web.StreamResponse:
    store = request.app[HUB].store
    user = number(request.match_info["user"])
    before = optional_number(request.query.get("before"))
    journey = await store.read(views.show_user, user, before, views.PAGE, LETTERS)
    if journey is None:
        return problem_page(request, 404, "There is no such user.")
    kept = fitting(journey.messages)
    if kept < len(journey.messages):
        journey = replace(journey, messages=journey.messages[:kept], more=True)
    names = {each.login: each.name for each in await store.read(agents.list_agents)}
    return await page(request, "journey.html", journey=journey, open=_open(journey.queries), names=names)


def _open(rows: tuple[QueryRow, ...]) -> int:
    return sum(row.state in views.ACTIVE for row in rows)


ROUTES = (
    Route("GET", "/console/queries", _list, "viewer"),
    Route("GET", "/console/queries/{reference}", _show, "viewer"),
    Route("POST", "/console/queries/{reference}/reply", _reply, "agent"),
    Route("POST", "/console/queries/{reference}/note", _note, "agent"),
    Route("POST", "/console/queries/{reference}/set", _set, "agent"),
    Route("POST", "/console/queries/{reference}/let-go", _let_go, "agent"),
    Route("POST", "/console/queries/{reference}/pin", _pin, "agent"),
    Route("GET", "/console/queries/{reference}/pin", _query, "viewer"),
    Route("GET", "/console/users/{user}", _journey, "viewer"),
)
