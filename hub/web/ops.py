"""The hub's local socket: the CLI's writes while `serve` owns the store. Whoever may open it is an administrator."""

import inspect
from typing import Any

import msgspec
import structlog
from aiohttp import web

from hub.files import TOGETHER
from hub.rooms import Rooms
from hub.web.health import PRIVATE, healthz
from hub.web.metrics import SCRAPE, Scrape, metrics
from hub.web.ports import Operations
from hub.web.site import HUB, OPERATIONS
from plugins import TrunklineError

log = structlog.get_logger("trunkline.ops")

LARGEST = (16 << 20) + TOGETHER * 4 // 3
"""Bytes of a request; files of a reply come in base64."""
NAMES = frozenset({
    "reply", "set_query", "note", "merge", "unmerge", "release", "reprocess", "recipient",
    "record_contact", "let_go", "hold_back", "send_to", "announce", "end_announcement", "set_user", "rules_edit",
    "issue_pin", "add_agent", "disable_agent", "reset_agent",
})  # fmt: skip


def _answer(status: int, value: Any) -> web.Response:
    body = msgspec.json.encode(value, enc_hook=str)
    return web.Response(status=status, body=body, content_type="application/json")


def _problem(status: int, kind: str, what: str) -> web.Response:
    return _answer(status, {"problem": {"kind": kind, "what": what}})


async def _run(request: web.Request) -> web.Response:
    """`{"actor": "…", …}` → `{"result": …}`, or `{"problem": {"kind", "what"}}`."""
    name = request.match_info["name"]
    operation = getattr(request.app[OPERATIONS], name, None) if name in NAMES else None
    if operation is None:
        return _problem(404, "unknown", f"no operation is called {name}; there are: {', '.join(sorted(NAMES))}")
    try:
        given = msgspec.json.decode(await request.read(), type=dict[str, Any])
        actor = given.pop("actor")
        inspect.signature(operation).bind(None, actor, **given)
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        return _problem(400, "malformed", f"{name}: {error}")
    try:
        return _answer(200, {"result": await operation(request.app[HUB], actor, **given)})
    except LookupError as error:
        return _problem(404, "missing", str(error.args[0] if error.args else error))
    except (ValueError, TrunklineError) as error:
        return _problem(409, "refused", str(error))
    except Exception as error:  # the CLI shows it; the trace is here
        log.exception("ops.failed", operation=name)
        return _problem(500, "failed", f"{type(error).__name__}: {error}")


def make_ops_app(hub: Rooms, operations: Operations) -> web.Application:
    """POST /ops/{name}, and the figures; to be served on a unix socket with mode 0600."""
    app = web.Application(client_max_size=LARGEST)
    app[HUB], app[OPERATIONS] = hub, operations
    app[PRIVATE], app[SCRAPE] = True, Scrape(hub)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/metrics", metrics)
    app.router.add_post("/ops/{name}", _run)
    return app
