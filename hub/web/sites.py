"""GET /p/{instance}/{path}: assets as `plugged` has them, else the page that a plugin makes for who asks."""

import asyncio

import structlog
from aiohttp import web
from msgspec import structs

from context_store import StoreAway
from hub.instances import Instance
from hub.visits import Visits
from hub.web import plugged, visitors
from hub.web.answers import stored
from hub.web.inbound import described, response_of
from hub.web.peer import peer_of
from hub.web.site import HUB, instance_of, problem_page
from plugins import Reply

log = structlog.get_logger("trunkline.web")

LOOKS = 600
"""Pages that one address sees in a minute, suggestions while typing among them: many people may share an address."""
SECONDS = 5.0


async def page(request: web.Request) -> web.StreamResponse:
    """What stays the same comes first."""
    try:
        return await plugged.page(request)
    except web.HTTPNotFound:
        return await _show(request, instance_of(request, "site"))


async def _show(request: web.Request, instance: Instance) -> web.StreamResponse:
    hub = request.app[HUB]
    if not hub.fabric.allow(f"site:{peer_of(request)}", LOOKS, 60):
        raise web.HTTPTooManyRequests(text="Too many pages for your address. Wait a minute.")
    person = await visitors.person(request)
    given = structs.replace(described(hub, request), tail=request.match_info["path"], person=person)
    try:
        async with asyncio.timeout(SECONDS):
            reply: Reply = await instance.connector.show(given, Visits(hub))
        blob = bytes.fromhex(reply.blob)
    except StoreAway:
        raise
    except (Exception, SystemExit) as error:  # a plugin's own trouble
        log.exception("site.failed", instance=instance.id)
        instance.failed(error)
        return problem_page(request, 500, "Something went wrong on our side. It is in the log.")
    if not blob:
        return response_of(request, reply)
    return await stored(request, blob, response_of(request, reply).headers)
