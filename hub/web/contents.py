"""What people sent, as it came: texts, attachments, HTML bodies, raw envelopes. All of it is hostile.

Everything is a download of no type, but for a text, shown as plain text, and the HTML body: that one is cleaned once
more, served with its own policy (no script, no remote content, sandboxed) and shown in a sandboxed frame.
"""

import asyncio

import nh3
from aiohttp import web

from context_store import evidence, views
from hub.web.answers import stored
from hub.web.guard import Route
from hub.web.site import HUB, download_headers, number

HTML_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; frame-ancestors 'self'"
TEXT_POLICY = "default-src 'none'; sandbox; frame-ancestors 'none'"
LONGEST_HTML = 500_000
"""Letters."""
_ATTRIBUTES = {tag: set(names) - {"src", "href"} for tag, names in nh3.ALLOWED_ATTRIBUTES.items()}
_ATTRIBUTES["img"] = {"alt", "width", "height"}


def harmless(html: str) -> str:
    """Layout and words alone: no links, no pictures from elsewhere, whatever the connector has let through."""
    return nh3.clean(html, attributes=_ATTRIBUTES, link_rel=None)


async def _html(request: web.Request) -> web.Response:
    html = await request.app[HUB].store.read(views.message_html, number(request.match_info["message"]))
    if not html:
        raise web.HTTPNotFound
    inside = "<p>This is too long to be shown with its layout." if len(html) > LONGEST_HTML else None
    inside = inside or await asyncio.to_thread(harmless, html)
    page = f'<!doctype html><html lang="und"><meta charset="utf-8"><title>Message</title><body>{inside}'
    return web.Response(text=page, content_type="text/html", headers={"Content-Security-Policy": HTML_POLICY})


async def _text(request: web.Request) -> web.Response:
    text = await request.app[HUB].store.read(views.message_text, number(request.match_info["message"]))
    if text is None:
        raise web.HTTPNotFound
    return web.Response(text=text, headers={"Content-Security-Policy": TEXT_POLICY})


async def _attachment(request: web.Request) -> web.StreamResponse:
    store = request.app[HUB].store
    found = await store.read(views.attachment, number(request.match_info["message"]), number(request.match_info["n"]))
    if found is None or found.sha256 is None:
        raise web.HTTPNotFound
    return await stored(request, found.sha256, download_headers(found.name or f"attachment-{found.n}"))


async def _raw(request: web.Request) -> web.StreamResponse:
    hub = request.app[HUB]
    found = await hub.store.read(evidence.raw_envelope, number(request.match_info["envelope"]))
    headers = download_headers(f"{found.instance}-{found.id}.raw") if found else {}
    if found is not None and found.raw is not None:
        return web.Response(body=found.raw, headers=headers)
    if found is None or found.sha256 is None:
        raise web.HTTPNotFound
    return await stored(request, found.sha256, headers)


async def _caught_raw(request: web.Request) -> web.Response:
    outbox, n = number(request.match_info["outbox"]), number(request.match_info["n"])
    found = await request.app[HUB].store.read(evidence.caught_step, outbox, n)
    if found is None:
        raise web.HTTPNotFound
    return web.Response(body=found.body, headers=download_headers(f"{found.destination}-{outbox}-{n}.eml"))


ROUTES = (
    Route("GET", "/console/messages/{message}/html", _html, "viewer"),
    Route("GET", "/console/messages/{message}/text", _text, "viewer"),
    Route("GET", "/console/messages/{message}/attachments/{n}", _attachment, "viewer"),
    Route("GET", "/console/envelopes/{envelope}/raw", _raw, "manager"),
    Route("GET", "/console/caught/{outbox}/{n}/raw", _caught_raw, "agent"),
)
