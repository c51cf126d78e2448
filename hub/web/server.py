"""The one web server: webhooks, console, portal and health, with one set of headers over all of it."""

from weakref import WeakSet

from aiohttp import http_parser, web

from hub.rooms import Rooms
from hub.web import contents, login, now, plugged, portal, queries, record, sites, upkeep, visitors
from hub.web.answers import ANSWERS, counted
from hub.web.bodies import BODIES, Bodies
from hub.web.guard import Route, mount, refuse_foreign_posts
from hub.web.health import healthz, readyz
from hub.web.inbound import inbound
from hub.web.metrics import SCRAPE, Scrape, metrics
from hub.web.ports import Operations
from hub.web.protocol import Runner
from hub.web.refusals import errors
from hub.web.site import HUB, OPERATIONS, add_headers, asset
from hub.web.waiting import Held

CONSOLE: tuple[Route, ...] = (
    *login.ROUTES,
    *queries.ROUTES,
    *now.ROUTES,
    *record.ROUTES,
    *contents.ROUTES,
    *upkeep.ROUTES,
)
"""Every console route with the role that it needs: the one place to read them."""
LINGER = 5.0
"""Seconds in which the rest of a refused body is read and thrown away: closing at once would take the answer along."""
FIRST_HEAD = 30.0
"""Seconds in which a new connection has sent a whole head, however slowly; then it is closed. Bodies: `bodies`."""
IDLE = 75.0
"""Seconds from an answer to the next whole head; then it is closed. Proxies keep an idle connection for less (60)."""
TAKES = 30.0
"""Seconds in which a peer takes something of what waits for it; then its connection is cut."""


def make_app(hub: Rooms, operations: Operations) -> web.Application:
    """Serve it with `runner`.

    Raises:
        RuntimeError: aiohttp runs without its C parser: requests could be smuggled past it (S46).
    """
    if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
        raise RuntimeError("aiohttp's C HTTP parser is not in use: reinstall aiohttp from its wheel")
    app = web.Application(middlewares=[errors, counted, refuse_foreign_posts])
    app[HUB], app[OPERATIONS] = hub, operations
    app[SCRAPE], app[BODIES], app[ANSWERS] = Scrape(hub), Bodies(hub.config.limits), Bodies(hub.config.limits, 1)
    app.on_response_prepare.append(add_headers)
    app[plugged.SOCKETS], app[plugged.POLLS] = WeakSet(), WeakSet()
    app[plugged.PAGES], app[plugged.ROOM] = {}, plugged.Room()
    app[plugged.HELD] = Held(hub.config.limits.waiting_bytes)
    app.on_shutdown.append(plugged.close_sockets)
    app[now.NEWSROOM] = now.Newsroom(hub)
    app.on_shutdown.append(now.close_streams)
    mount(app, CONSOLE)
    app.router.add_route("*", "/in/{instance}", inbound)
    app.router.add_route("*", "/in/{instance}/{tail:.*}", inbound)
    app.router.add_get("/p/{instance}/{path:.*}", sites.page)
    app.router.add_get("/portal/enter/{instance}/{token}", visitors.enter_page)
    app.router.add_post("/portal/enter/{instance}/{token}", visitors.enter)
    app.router.add_post("/portal/leave/{instance}", visitors.leave)
    app.router.add_get("/ws/{instance}", plugged.socket)
    app.router.add_get("/ws/{instance}/{tail:.*}", plugged.socket)
    app.router.add_post("/ws/{instance}", plugged.poll)
    app.router.add_post("/ws/{instance}/{tail:.*}", plugged.poll)
    app.router.add_get("/portal", portal.form)
    app.router.add_get("/portal/receipt/{receipt}", portal.receipt)
    app.router.add_get("/portal/{instance}", portal.form)
    app.router.add_get("/static/{name}", asset)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)
    return app


def runner(
    app: web.Application, *, first_head: float = FIRST_HEAD, idle: float = IDLE, takes: float = TAKES
) -> web.AppRunner:
    """Bodies stay packed (signatures are over bytes as sent, and nothing unpacks to gigabytes); no access log."""
    return Runner(
        app,
        auto_decompress=False,
        access_log=None,
        lingering_time=LINGER,
        keepalive_timeout=idle,
        first_head=first_head,
        takes=takes,
    )
