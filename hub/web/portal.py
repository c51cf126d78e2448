"""The portal: a form that needs no script, and the page that its receipt leads to.

The form posts to its connector like any webhook; here is only its face. A receipt shows a stranger its query's
reference and nothing that anybody wrote.
"""

import secrets

from aiohttp import web

from context_store import evidence
from context_store.references import envelope_of
from hub.instances import Instance
from hub.web.ports import Hub
from hub.web.site import HUB, problem_page, render


def forms(hub: Hub) -> list[Instance]:
    """The portal instances that work."""
    return [each for each in hub.instances.values() if each.kind == "portal" and each.connector is not None]


async def form(request: web.Request) -> web.StreamResponse:
    """The one form at /portal, a choice if there are several; each at /portal/{instance}."""
    known = forms(request.app[HUB])
    wanted = request.match_info.get("instance")
    if wanted is None and len(known) > 1:
        return render(request, "portal_choice.html", forms=known)
    found = [each for each in known if wanted in {None, each.id}]
    if not found:
        return problem_page(request, 404, "There is no form here.")
    return render(
        request,
        "portal.html",
        form=found[0],
        submission=secrets.token_urlsafe(18),
        largest=found[0].connector.capabilities.max_body,
    )


async def receipt(request: web.Request) -> web.StreamResponse:
    """Refreshes itself until the query's reference is known."""
    number = request.match_info["receipt"]
    envelope = envelope_of(number)
    found = await request.app[HUB].store.read(evidence.receipt, envelope) if envelope is not None else None
    if found is None:
        return problem_page(request, 404, "We don't know this receipt number. Please check it for typing errors.")
    state, reference = found
    response = render(request, "receipt.html", receipt=number, state=state, reference=reference)
    if state == "pending":
        response.headers["Refresh"] = "3"
    return response
