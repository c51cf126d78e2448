"""The desk: write down who came or rang, about what, and how it ended, in a few seconds and without the mouse."""

import asyncio
import secrets
from collections.abc import Sequence

from aiohttp import web

from context_store import directory, evidence, views
from context_store.shapes import QueryRow
from context_store.text import canonical
from hub.web.guard import AGENT, Route
from hub.web.login import form, page
from hub.web.site import HUB, OPERATIONS

PATIENCE, LOOK = 1.5, 0.03
"""Seconds in which a query is as a rule there, and between two looks."""
SUGGESTED, LEAST = 8, 2
"""Users offered while an agent types, and letters from which on they are."""
FIELDS = ("through", "who", "about", "text", "outcome", "once")


async def _show(request: web.Request) -> web.StreamResponse:
    given = {"through": request.query.get("through", ""), "outcome": "open", "once": secrets.token_urlsafe(18)}
    return await _page(request, given, receipt=canonical(request.query.get("receipt", ""), 40))


async def _page(
    request: web.Request, given: dict[str, str], *, status: int = 200, receipt: str = "", wrong: str = ""
) -> web.Response:
    hub = request.app[HUB]
    desks = [one for one in hub.instances.values() if one.has("counter")]
    broken = [one.id for one in hub.instances.values() if one.owes("counter")]
    found = await hub.store.read(evidence.receipt, receipt) if receipt else None
    return await page(
        request, "record.html", status=status, desks=desks, broken=broken,
        given=dict.fromkeys(FIELDS, "") | given, wrong=wrong, receipt=receipt if found else "",
        state=found[0] if found else "", made=await _query(request, found[1]) if found and found[1] else None,
    )  # fmt: skip


async def _query(request: web.Request, reference: str) -> QueryRow | None:
    store = request.app[HUB].store
    root = await store.read(views.find_query, reference)
    view = await store.read(views.show_query, root, None, 1, 0) if root is not None else None
    return view.query if view else None


async def _record(request: web.Request) -> web.StreamResponse:
    hub, sent = request.app[HUB], await form(request)
    given = {name: sent.get(name, "").strip() for name in FIELDS}
    try:
        done = await request.app[OPERATIONS].record_contact(
            hub, request[AGENT].login, given["through"], given["who"], given["about"], given["text"],
            given["outcome"] or "open", once=given["once"],
        )  # fmt: skip
    except (LookupError, ValueError) as error:
        return await _page(request, given, status=400, wrong=str(error.args[0]))
    ends = asyncio.get_running_loop().time() + PATIENCE
    while asyncio.get_running_loop().time() < ends:
        found = await hub.store.read(evidence.receipt, done["receipt"])
        if found is None or found[0] != "pending":
            break
        await asyncio.sleep(LOOK)
    after = request.rel_url.with_query(receipt=done["receipt"], through=done["instance"])
    raise web.HTTPSeeOther(after)


async def _users(request: web.Request) -> web.StreamResponse:
    """For the list below the field: agents look people up, viewers only read."""
    text = canonical(request.query.get("text", "").strip(), 200)
    rows: Sequence[directory.UserRow] = ()
    if len(text) >= LEAST:
        rows = await request.app[HUB].store.read(directory.list_users, text, SUGGESTED)
    return web.json_response([
        {"value": f"{row.name} <{known}>".strip(), "label": row.organisation}
        for row in rows
        for known in row.identities[:2]
    ])


ROUTES = (
    Route("GET", "/console/record", _show, "agent"),
    Route("POST", "/console/record", _record, "agent"),
    Route("GET", "/console/record/users", _users, "agent"),
)
