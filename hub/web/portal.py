"""/portal, which people are told of: it leads to the portal's pages. And the page that a receipt leads to.

A receipt shows whoever holds it its query's reference and nothing that anybody wrote; a wrong number is answered like
one that was never given.
"""

from aiohttp import web

from context_store import evidence
from hub.instances import Instance
from hub.rooms import Rooms
from hub.web.peer import peer_of
from hub.web.site import HUB, out_of_order, problem_page, render

LOOKS = 300
"""Receipt pages of one address in a minute: a page looks again every 3 s, and many people may share an address."""


def forms(hub: Rooms) -> list[Instance]:
    """The portals that work."""
    return [each for each in hub.instances.values() if each.has("site") and each.channel == "portal"]


def _owed(hub: Rooms, wanted: str | None) -> bool:
    """Would there be a portal, or that one, if no plugin were broken?"""
    owing = [each for each in hub.instances.values() if wanted in {None, each.id} and each.owes("site")]
    return any(getattr(each.configured.cls, "channel", "portal") == "portal" for each in owing)


async def form(request: web.Request) -> web.StreamResponse:
    """The one portal, or a choice of them."""
    wanted = request.match_info.get("instance")
    known = [each for each in forms(request.app[HUB]) if wanted in {None, each.id}]
    if len(known) > 1:
        return render(request, "portal_choice.html", forms=known)
    if not known and _owed(request.app[HUB], wanted):
        raise out_of_order()
    if not known:
        return problem_page(request, 404, "There is no form here.")
    raise web.HTTPSeeOther(f"/p/{known[0].id}/")


async def receipt(request: web.Request) -> web.StreamResponse:
    """Refreshes itself until the query's reference is known."""
    hub, number = request.app[HUB], request.match_info["receipt"]
    if not hub.fabric.allow(f"receipt:{peer_of(request)}", LOOKS, 60):
        return problem_page(request, 429, "Too many looks at receipts from your address. Wait a minute.")
    found = await hub.store.read(evidence.receipt, number)
    if found is None:
        return problem_page(request, 404, "We don't know this receipt number. Please check it for typing errors.")
    state, reference = found
    response = render(request, "receipt.html", receipt=number, state=state, reference=reference)
    if state == "pending":
        response.headers["Refresh"] = "3"
    return response
