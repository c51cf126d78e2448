"""/in/{instance}/{tail}: a request as the contract has it, and the connector's answer.

Bytes are read under the instance's own limit, and never unpacked: signatures are over what was sent. An instance that
does not exist is answered by the intake exactly like a bad signature. A person's browser (a form) gets refusals as a
page, a program as a line of text.
"""

import msgspec
from aiohttp import web

from hub.instances import Instance
from hub.rooms import Rooms
from hub.web import visitors
from hub.web.bodies import body
from hub.web.peer import peer_of
from hub.web.site import HUB, for_people, problem_page
from plugins import Reply, Request

KEPT_BACK = {"set-cookie", "content-security-policy", "content-length", "content-type", "connection", "date", "server"}
"""What a plugin can't set: sessions, policies and framing are the web server's."""


async def inbound(request: web.Request) -> web.Response:
    """Every method: providers verify with GET, HEAD and OPTIONS too."""
    try:
        response = await _answer(request)
    except web.HTTPException as error:
        request.app[HUB].telemetry.answered(request.match_info["instance"], error.status)
        raise
    request.app[HUB].telemetry.answered(request.match_info["instance"], response.status)
    return response


async def _answer(request: web.Request) -> web.Response:
    hub, name = request.app[HUB], request.match_info["instance"]
    refused = hub.intake.admit(name, peer_of(request))
    if refused is not None:
        return response_of(request, refused)
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        text = "send the body without Content-Encoding\n"
        return web.Response(status=415, text=text, headers={"Accept-Encoding": "identity"})
    instance = hub.instances.get(name)
    async with body(request, _limit(instance)) as sent:
        given = described(hub, request, sent)
        if instance is not None and instance.has("site"):
            given = msgspec.structs.replace(given, person=await visitors.person(request))
        return response_of(request, await hub.intake.accept(name, given))


def _limit(instance: Instance | None) -> int:
    """Nothing of a body is kept for whom nobody listens."""
    capabilities = getattr(instance.connector, "capabilities", None) if instance else None
    return capabilities.max_body if capabilities else 0


def described(hub: Rooms, request: web.Request, body: bytes) -> Request:
    """The request as the contract has it: cookies are the web server's."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in request.raw_headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("utf-8", "replace")
        if name == "cookie":
            continue
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    path = request.raw_path if request.raw_path.startswith("/") else request.rel_url.raw_path_qs
    return Request(
        method=request.method,
        url=hub.config.public_url + path,
        tail=request.match_info.get("tail", ""),
        headers=headers,
        body=body,
        at=hub.clock.now(),
    )


FOR_PEOPLE = {
    401: "This form was sent from another site, so nothing was taken. Open it here and send it again.",
    429: "Too much comes from your address at once. Go back, wait a minute, then send it again.",
    503: "We could not take your message just now. Go back, wait a moment, then send it again.",
}
"""What a refusal means to somebody who filled in a form."""


def response_of(request: web.Request, reply: Reply) -> web.Response:
    """A plugin's reply, without what is not its own to set."""
    if reply.status in FOR_PEOPLE and for_people(request):
        response = problem_page(request, reply.status, FOR_PEOPLE[reply.status])
    else:
        response = web.Response(status=reply.status, body=reply.body)
        response.headers["Content-Type"] = reply.type
    for name, value in reply.headers:
        if name.lower() not in KEPT_BACK:
            response.headers.add(name, value)
    return response
