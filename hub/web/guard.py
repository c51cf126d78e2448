"""Who may do what: every console route names its role here, and nowhere else is a role or an origin checked.

State changes are same-origin by the browser's own word (Sec-Fetch-Site), else by Origin against the configured public
URL (plain-http hosts on a LAN get no Sec-Fetch-*), else only without a cookie: a program, not somebody's browser.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Literal
from urllib.parse import quote, unquote, urlsplit

from aiohttp import web
from msgspec import Struct

from context_store.agents import ROLES, Agent, Role
from hub.web import auth
from hub.web.site import HUB, problem_page

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
AGENT = web.RequestKey("agent", Agent)
TOKEN = web.RequestKey("token", bytes)
SAFE = {"GET", "HEAD", "OPTIONS"}


class Route(Struct, frozen=True):
    """A console route. `needs`: the least role that may use it, or "public"."""

    method: Literal["GET", "POST"]
    path: str
    handler: Handler
    needs: Role | Literal["public"]


def allowed(role: Role, needs: Role) -> bool:
    """Each role may do what those before it may."""
    return ROLES.index(role) >= ROLES.index(needs)


def mount(app: web.Application, routes: Sequence[Route]) -> None:
    """Add console routes, each behind its role."""
    for route in routes:
        app.router.add_route(route.method, route.path, _guarded(route))


def _guarded(route: Route) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        if route.needs == "public":
            return await route.handler(request)
        session = await auth.current(request)
        if session is None:
            return _ask_to_log_in(request)
        agent, request[TOKEN] = session
        if not allowed(agent.role, route.needs):
            return problem_page(request, 403, f"This needs the role “{route.needs}”; yours is “{agent.role}”.")
        request[AGENT] = agent
        return await route.handler(request)

    return handle


def _ask_to_log_in(request: web.Request) -> web.StreamResponse:
    if request.method != "GET" or auth.by_itself(request):
        return problem_page(request, 401, "You are logged out. Log in and try again.")
    if request.headers.get("Sec-Fetch-Site") == "cross-site" and "again" not in request.query:
        # SameSite=Strict keeps the cookie back when a link elsewhere leads here; from our own page it is sent.
        again = request.rel_url.update_query(again="1")
        return web.Response(headers={"Refresh": f"0; url={again.raw_path_qs}"})
    raise web.HTTPSeeOther(f"/console/login?next={quote(request.rel_url.raw_path_qs, safe='')}")


def home(target: str) -> str:
    """Where to go after login: a page of the console, never another site."""
    parts = urlsplit(target)
    inside = not parts.scheme and not parts.netloc and parts.path.startswith("/console/")
    leaves = ".." in unquote(unquote(parts.path)).split("/")  # browsers and proxies read %2e as a dot
    plain = "\\" not in target and target.isprintable()
    return target if inside and plain and not leaves else "/console/queries"


def same_origin(request: web.Request, public_url: str) -> bool:
    """Did our own page, or no browser at all, send this?"""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in {"same-origin", "none"}
    origin = request.headers.get("Origin")
    if origin is not None:
        public = urlsplit(public_url)  # ours alone: what a stranger says may be no URL
        return origin == f"{public.scheme}://{public.netloc}"
    return "Cookie" not in request.headers


@web.middleware
async def refuse_foreign_posts(request: web.Request, handler: Handler) -> web.StreamResponse:
    """CSRF, login CSRF included."""
    inside = request.path == "/console" or request.path.startswith(("/console/", "/portal/"))
    if inside and request.method not in SAFE and not same_origin(request, request.app[HUB].config.public_url):
        return problem_page(request, 403, "This request came from another site, so nothing was done.")
    return await handler(request)
