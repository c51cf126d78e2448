"""Errors in words: as a page for a person, in a line for a program that delivers something."""

import structlog
from aiohttp import web
from aiohttp.web_protocol import RequestPayloadError

from context_store import StoreAway
from hub.web.guard import Handler
from hub.web.site import for_people, problem_page

log = structlog.get_logger("trunkline.web")

KEPT = {"Retry-After", "Allow", "Access-Control-Allow-Origin", "Access-Control-Expose-Headers"}


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Whatever a handler raises becomes its answer; redirections pass."""
    try:
        return await handler(request)
    except Exception as error:  # noqa: BLE001  # the last edge
        return in_words(request, error)


def in_words(request: web.Request, error: Exception) -> web.StreamResponse:
    """The answer to an error. What we did not foresee is logged with its trace and shown without."""
    if isinstance(error, web.HTTPException):
        if error.status < 400:
            raise error
        return _refusal(request, error)
    if isinstance(error, ConnectionError | RequestPayloadError):
        log.info("web.broken_off", path=_where(request), why=type(error).__name__)
        return web.Response(status=400)
    if isinstance(error, StoreAway):
        log.warning("web.store_away", path=_where(request))
        return _said(request, 503, "The store does not answer. Try again in a moment.")
    log.error("web.failed", path=_where(request), exc_info=error)
    return _said(request, 500, "Something went wrong on our side. It is in the log.")


def _refusal(request: web.Request, error: web.HTTPException) -> web.StreamResponse:
    what = error.text if error.text and not error.empty_body else error.reason
    if error.status == 404 and not _delivers(request):
        what = "There is nothing here."
    response = _said(request, error.status, what)
    for name in KEPT & set(error.headers):
        response.headers[name] = error.headers[name]
    if not request.content.is_eof():
        response.force_close()
        log.info("web.refused", path=_where(request), status=error.status)
    return response


def _where(request: web.Request) -> str:
    """For the log: what stands behind two names may be a token (`/portal/enter/…`, `/console/setup/…`)."""
    names = request.path.split("/", 3)
    return "/".join(names[:3])[:200] + ("/…" if len(names) > 3 else "")


def _said(request: web.Request, status: int, what: str) -> web.Response:
    return web.Response(status=status, text=f"{what}\n") if _delivers(request) else problem_page(request, status, what)


def _delivers(request: web.Request) -> bool:
    return request.path.startswith("/in/") and not for_people(request)
