"""/healthz and /readyz: evidence, never configuration.

Strangers learn whether the hub is well and nothing else; the figures are for agents, for whoever has the
`metrics_token`, and for whoever may open the local socket. That a request comes from this machine means nothing: so do
those that a proxy passes on, and not every proxy says so.
"""

import asyncio
import hmac
from typing import Any, Literal

import msgspec
from aiohttp import web
from msgspec import Struct

from context_store import StoreAway, StoreBroken, evidence
from hub.instances import Instance
from hub.rooms import Rooms
from hub.web import auth
from hub.web.site import HUB

PATIENCE = 2.0
"""Seconds that the store has to answer a load balancer."""
PRIVATE = web.AppKey("private", bool)
"""Set on the application of the local socket."""


class InstanceHealth(Struct, frozen=True, kw_only=True):
    """One instance: what it counted and what it did. Times are UTC milliseconds."""

    id: str
    name: str
    kind: str
    state: Literal["ready", "running", "failing", "broken", "off", "removed"]
    accounts: evidence.Accounts
    restarts: int = 0
    last_success_at: int | None = None
    last_error: str = ""
    last_error_at: int | None = None
    silence: float | None = None
    """Seconds without a message before an alarm, as expected of it."""


def instances(hub: Rooms, health: evidence.Health) -> list[InstanceHealth]:
    """The store's counts beside what each instance did, also for those that are configured no more."""
    return [_instance(hub.instances.get(accounts.instance), accounts) for accounts in health.accounts]


def _instance(known: Instance | None, accounts: evidence.Accounts) -> InstanceHealth:
    if known is None:
        return InstanceHealth(id=accounts.instance, name=accounts.instance, kind="", state="removed", accounts=accounts)
    return InstanceHealth(
        id=known.id,
        name=known.name,
        kind=known.kind,
        state=state_of(known),
        accounts=accounts,
        restarts=known.restarts,
        last_success_at=_millis(known.last_success),
        last_error=known.broken or known.last_error,
        last_error_at=_millis(known.last_error_at),
        silence=known.configured.instance.silence,
    )


def state_of(known: Instance) -> Literal["ready", "running", "failing", "broken", "off"]:
    """`failing`: the last thing that we know of it is an error."""
    if not known.configured.instance.enabled:
        return "off"
    if known.broken:
        return "broken"
    if (known.last_error_at or 0) > (known.last_success or 0):
        return "failing"
    return "running" if known.running else "ready"


def _millis(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)


async def trusted(request: web.Request) -> bool:
    """May this one see figures?"""
    return PRIVATE in request.app or _has_token(request) or await auth.current(request) is not None


def _has_token(request: web.Request) -> bool:
    token = request.app[HUB].config.metrics_token
    if token is None or not token.reveal():
        return False
    given = request.headers.get("Authorization", "").encode("utf-8", "replace")
    return hmac.compare_digest(given, f"Bearer {token.reveal()}".encode())


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")


async def healthz(request: web.Request) -> web.Response:
    """200 while the store answers and the accounting equation holds, else 503."""
    hub = request.app[HUB]
    try:
        async with asyncio.timeout(PATIENCE):  # a server that stands still says nothing, not even that
            health = await hub.store.read(evidence.health, list(hub.instances))
            detailed = await trusted(request)
    except (StoreAway, StoreBroken, TimeoutError):
        return _json({"ok": False, "why": "the store does not answer"}, 503)
    status = 200 if health.balanced else 503
    if not detailed:
        return _json({"ok": health.balanced}, status)
    details = {
        "ok": health.balanced,
        "balanced": health.balanced,
        "instances": instances(hub, health),
        "alarms": health.alarms,
        "backlog": _ages(health.backlog, hub.store.now()),
        "outbox": health.backlog.outbox,
    }
    return _json(details, status)


def _ages(backlog: evidence.Backlog, now: int) -> dict[str, float | None]:
    """Seconds."""
    since = {"pending": backlog.oldest_pending_at, "parked": backlog.oldest_parked_at, "overdue": backlog.oldest_due_at}
    return {f"oldest_{name}_age": None if at is None else max(0.0, (now - at) / 1000) for name, at in since.items()}


async def _answers(hub: Rooms) -> bool:
    try:
        async with asyncio.timeout(PATIENCE):
            return await hub.store.read(evidence.answers)
    except (StoreAway, StoreBroken, TimeoutError):
        return False


async def readyz(request: web.Request) -> web.Response:
    """200 if new messages are taken now: a load balancer's question. That the store answers is tried, not assumed.

    One that is back after a while answers before there are ids again, and without these nothing is taken.
    """
    hub = request.app[HUB]
    able = hub.store.broken is None and hub.store.ids.valid and not hub.intake.full
    ready = able and await _answers(hub)
    return _json({"ready": ready}, 200 if ready else 503)
