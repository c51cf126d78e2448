"""Sessions of the people who use a portal: a mailed link opens one, and no plugin ever sees it.

The link's page signs nobody in by being looked at (mail programs and scanners look at links): its button does. A
session is a fresh secret, whatever cookie the browser had. It is sent along by our own pages, and by links that lead to
them, never with another site's form (SameSite, and the browser's word on where a form stood).
"""

from aiohttp import web
from sqlalchemy import Connection

from context_store import tokens, visits
from context_store.audit import NewEvent, add_events
from context_store.text import canonical
from hub.rooms import Rooms
from hub.web.guard import SAFE, same_origin
from hub.web.peer import peer_of
from hub.web.site import HUB, instance_of, problem_page, render
from plugins import Identity, Person

LIFE = 7 * 86_400_000
"""Milliseconds until the person signs in again."""
LOOKS = 60
"""Links that one address opens in a minute."""
DEAD = "This link was used, is too old, or is not one of ours. Ask for a new one."


def cookie_name(hub: Rooms) -> str:
    """`__Host-` binds the cookie to this very host, but browsers take it over https alone."""
    return "__Host-trunkline-visit" if _secure(hub) else "trunkline-visit"


def _secure(hub: Rooms) -> bool:
    return hub.config.public_url.startswith("https:")


async def person(request: web.Request) -> Person | None:
    """Who is signed in; nobody where another site's page sent the form."""
    hub = request.app[HUB]
    if request.method not in SAFE and not same_origin(request, hub.config.public_url):
        return None
    found = await _visitor(hub, visits.SESSION, request.cookies.get(cookie_name(hub), ""))
    if found is None:
        return None
    identity = Identity(scheme=found.scheme, value=found.value)
    return Person(identity=identity, proof=hub.keys.vouch(identity.scheme, identity.value))


async def _visitor(hub: Rooms, kind: str, secret: str) -> visits.Visitor | None:
    secret = canonical(secret, 200)
    return await hub.store.read(visits.visitor, kind, secret, hub.store.now()) if secret else None


def _counted(request: web.Request) -> None:
    if not request.app[HUB].fabric.allow(f"enter:{peer_of(request)}", LOOKS, 60):
        raise web.HTTPTooManyRequests(text="Too many links from your address. Wait a minute.")


async def enter_page(request: web.Request) -> web.StreamResponse:
    """GET /portal/enter/{instance}/{token}: whom the link signs in, and the button that does it."""
    site = instance_of(request, "site")
    _counted(request)
    found = await _visitor(request.app[HUB], visits.LINK, request.match_info["token"])
    if found is None:
        return problem_page(request, 404, DEAD)
    return render(request, "enter.html", address=found.value, name=site.name)


async def enter(request: web.Request) -> web.StreamResponse:
    """POST: the link is used up, and the session begins."""
    hub, site = request.app[HUB], instance_of(request, "site")
    _counted(request)
    now, secret = hub.store.now(), canonical(request.match_info["token"], 200)

    def redeem(conn: Connection) -> str | None:
        found = visits.visitor(conn, visits.LINK, secret, now)
        if found is None or tokens.redeem(conn, visits.LINK, secret, now) is None:
            return None
        visits.prove(conn, found.id)
        add_events(conn, [_event(hub, found, "user.signed_in", site.id)])
        return tokens.issue(conn, visits.SESSION, found.id, now, LIFE)

    session = await hub.store.write(redeem)
    if session is None:
        return problem_page(request, 404, DEAD)
    response = web.Response(status=303, headers={"Location": f"/p/{site.id}/"})
    response.set_cookie(
        cookie_name(hub), session, max_age=LIFE // 1000, path="/", secure=_secure(hub), httponly=True, samesite="Lax"
    )
    return response


async def leave(request: web.Request) -> web.StreamResponse:
    """POST /portal/leave/{instance}: the session ends; with `all` every session of that person."""
    hub, site, now = request.app[HUB], instance_of(request, "site"), request.app[HUB].store.now()
    secret = canonical(request.cookies.get(cookie_name(hub), ""), 200)
    found = await _visitor(hub, visits.SESSION, secret)
    everywhere = "all" in request.query

    def end(conn: Connection, who: visits.Visitor) -> None:
        if everywhere:
            tokens.revoke(conn, visits.SESSION, who.id, now)
        else:
            tokens.redeem(conn, visits.SESSION, secret, now)
        add_events(conn, [_event(hub, who, "user.signed_out", site.id)])

    if found is not None:
        await hub.store.write(end, found)
    response = web.Response(status=303, headers={"Location": f"/p/{site.id}/"})
    response.del_cookie(cookie_name(hub), path="/", secure=_secure(hub), httponly=True, samesite="Lax")
    return response


def _event(hub: Rooms, who: visits.Visitor, kind: str, instance: str) -> NewEvent:
    return NewEvent(
        id=hub.store.ids.next(), kind=kind, subject_id=who.user_id, actor=f"identity:{who.id}", at=hub.store.now(),
        body={"instance": instance},
    )  # fmt: skip
