"""/in/{instance}/{tail}: a request as the contract has it, and the connector's answer.

Bytes are read under the instance's own limit, and never unpacked: signatures are over what was sent. An instance that
does not exist is answered by the intake exactly like a bad signature. A person's browser (a form) gets refusals as a
page, a program as a line of text.
"""

from collections.abc import Awaitable, Callable
from functools import lru_cache, partial

from aiohttp import web

from hub.instances import Instance
from hub.rooms import Rooms
from hub.web import visitors
from hub.web.bodies import BODIES, SMALL, Bodies, Reading
from hub.web.peer import peer_behind
from hub.web.site import HUB, for_people, problem_page
from plugins import Person, Reply, Request

KEPT_BACK = {"set-cookie", "content-security-policy", "content-length", "content-type", "connection", "date", "server"}
"""What a plugin can't set: sessions, policies and framing are the web server's."""
PACKED = Reply(status=415, body=b"send the body without Content-Encoding\n", headers=(("Accept-Encoding", "identity"),))


async def inbound(request: web.Request) -> web.Response:
    """Every method: providers verify with GET, HEAD and OPTIONS too."""
    name, tail = request.match_info["instance"], request.match_info.get("tail", "")
    hub, bodies = request.app[HUB], request.app[BODIES]
    return response_of(request, await reply_to(hub, bodies, request, name, tail, partial(visitors.person, request)))


async def reply_to(
    hub: Rooms,
    bodies: Bodies,
    request: web.BaseRequest,
    name: str,
    tail: str,
    person: Callable[[], Awaitable[Person | None]] | None = None,
) -> Reply:
    """What the instance `name` says, counted; raises what `Reading` does. `person`: who is signed in, for a `Site`."""
    try:
        reply = await _reply_to(hub, bodies, request, name, tail, person)
    except web.HTTPException as error:
        hub.telemetry.answered(name, error.status)
        raise
    hub.telemetry.answered(name, reply.status)
    return reply


async def _reply_to(
    hub: Rooms,
    bodies: Bodies,
    request: web.BaseRequest,
    name: str,
    tail: str,
    person: Callable[[], Awaitable[Person | None]] | None,
) -> Reply:
    peer = peer_behind(hub.config.proxies, request)
    refused = hub.intake.admit(name, peer)
    if refused is not None:
        return refused
    headers = _headers(request)
    if headers.get("content-encoding", "identity").lower() != "identity":
        return PACKED
    instance = hub.instances.get(name)
    limit = instance.max_body if instance is not None else 0
    if instance is not None and _journaled_next(request, instance, limit):
        return await hub.intake.accept(name, _given(hub, request, tail, headers, request.content.read_nowait()))
    async with Reading(bodies, peer, request, limit) as sent:
        known = await person() if person is not None and instance is not None and instance.has("site") else None
        return await hub.intake.accept(name, _given(hub, request, tail, headers, sent, known))


def _journaled_next(request: web.BaseRequest, instance: Instance, limit: int) -> bool:
    """The body came with its head, as most webhooks do, and waits for nothing but the intake, which counts it."""
    content = request.content
    at_once = not instance.has("site") and not instance.has("answering")
    return at_once and content.is_eof() and content.total_bytes <= min(limit, SMALL)


def _given(
    hub: Rooms, request: web.BaseRequest, tail: str, headers: dict[str, str], body: bytes, person: Person | None = None
) -> Request:
    return Request(
        method=request.method,
        url=hub.config.public_url + _path(request),
        tail=tail,
        headers=headers,
        body=body,
        at=hub.clock.now(),
        person=person,
    )


def _headers(request: web.BaseRequest) -> dict[str, str]:
    """As the contract has them; cookies are the web server's."""
    raw = request.raw_headers
    headers = {_name(name): value.decode("utf-8", "replace") for name, value in raw}
    if len(headers) < len(raw):
        headers = {}
        for raw_name, raw_value in raw:
            name, value = _name(raw_name), raw_value.decode("utf-8", "replace")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    headers.pop("cookie", None)
    return headers


@lru_cache(maxsize=256)
def _name(raw: bytes) -> str:
    return raw.decode("latin-1").lower()


def _path(request: web.BaseRequest) -> str:
    return request.raw_path if request.raw_path.startswith("/") else request.rel_url.raw_path_qs


def described(hub: Rooms, request: web.Request) -> Request:
    """A request without its body, as the contract has it."""
    return _given(hub, request, request.match_info.get("tail", ""), _headers(request), b"")


FOR_PEOPLE = {
    401: "This form was sent from another site, so nothing was taken. Open it here and send it again.",
    429: "Too much comes from your address at once. Go back, wait a minute, then send it again.",
    503: "We could not take your message just now. Go back, wait a moment, then send it again.",
}
"""What a refusal means to somebody who filled in a form."""


def response_of(request: web.Request, reply: Reply) -> web.Response:
    """A plugin's reply, without what is not its own to set; in words where a person reads it."""
    if reply.status in FOR_PEOPLE and for_people(request):
        return _with_headers(problem_page(request, reply.status, FOR_PEOPLE[reply.status]), reply)
    return plain_response(reply)


def plain_response(reply: Reply) -> web.Response:
    """A plugin's reply to a program."""
    response = web.Response(status=reply.status, body=reply.body)
    response.headers["Content-Type"] = reply.type
    return _with_headers(response, reply)


def _with_headers(response: web.Response, reply: Reply) -> web.Response:
    for name, value in reply.headers:
        if name.lower() not in KEPT_BACK:
            response.headers.add(name, value)
    return response
