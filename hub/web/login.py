"""Login, logout, and the one-time link that sets a password."""

from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from context_store import agents, evidence
from hub.web import auth
from hub.web.bodies import body
from hub.web.guard import AGENT, TOKEN, Route, home
from hub.web.site import HUB, problem_page, render

WRONG = "Login and password don't go together."
WAIT = "Too many tries. Wait a quarter of an hour, then try again."
NO_FORM = "This is not a form that we can read."
FORM_LIMIT, STRANGERS_FORM, FIELDS = 1 << 20, 16 << 10, 50
"""Bytes of a form from an agent and from somebody who is not logged in; fields."""
USED = "This link was used, is too old, or is not one of ours. Ask an administrator for a new one."


async def page(request: web.Request, template: str, **values: Any) -> web.Response:
    """A console page for whoever is logged in, with the marks that the menu shows."""
    marks = await request.app[HUB].store.read(evidence.marks)
    return render(request, template, agent=request[AGENT], marks=marks, may=_may(request[AGENT]), **values)


def _may(agent: agents.Agent) -> dict[str, bool]:
    """Which buttons to show; the routes themselves decide."""
    return {role: agents.ROLES.index(agent.role) >= agents.ROLES.index(role) for role in agents.ROLES}


async def form(request: web.Request, limit: int = FORM_LIMIT) -> dict[str, str]:
    """A form's fields, as our pages send them; of a name the first. Raises HTTPBadRequest for anything else."""
    if request.content_type != "application/x-www-form-urlencoded":
        raise web.HTTPBadRequest(text=NO_FORM)
    async with body(request, limit) as sent:
        try:
            pairs = parse_qsl(sent.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=FIELDS)
        except ValueError as error:
            raise web.HTTPBadRequest(text=NO_FORM) from error
    return dict(reversed(pairs))


async def _start(_: web.Request) -> web.StreamResponse:
    raise web.HTTPSeeOther("/console/queries")


async def _login_page(request: web.Request) -> web.Response:
    return render(request, "login.html", target=home(request.query.get("next", "")), wrong="", login="")


async def _log_in(request: web.Request) -> web.StreamResponse:
    given = await form(request, STRANGERS_FORM)
    target, login = home(given.get("next", "")), given.get("login", "")
    result = await auth.log_in(request.app[HUB], login, given.get("password", ""), auth.visit_of(request))
    if isinstance(result, auth.Welcome):
        return _welcome(request, result, target)
    status, wrong = (429, WAIT) if result == "wait" else (401, WRONG)
    return render(request, "login.html", status=status, target=target, wrong=wrong, login=login)


def _welcome(request: web.Request, welcome: auth.Welcome, target: str) -> web.Response:
    response = web.Response(status=303, headers={"Location": target})
    auth.give_cookies(response, request.app[HUB], welcome)
    return response


async def _log_out(request: web.Request) -> web.Response:
    hub = request.app[HUB]
    await hub.store.write(agents.close_session, request[TOKEN])
    response = web.Response(status=303, headers={"Location": "/console/login"})
    auth.take_cookie(response, hub)
    return response


async def _dead_link(request: web.Request) -> web.Response | None:
    """Without a form: what nobody can use, nobody should fill in."""
    lives = await auth.link_lives(request.app[HUB], request.match_info["token"], auth.visit_of(request))
    if lives == "wait":
        return problem_page(request, 429, WAIT)
    return None if lives else problem_page(request, 404, USED)


async def _setup_page(request: web.Request) -> web.Response:
    if dead := await _dead_link(request):
        return dead
    return render(request, "setup.html", wrong="", shortest=auth.SHORTEST)


async def _set_up(request: web.Request) -> web.StreamResponse:
    if dead := await _dead_link(request):
        return dead
    given = await form(request, STRANGERS_FORM)
    password = given.get("password", "")
    if password != given.get("again", ""):
        wrong = "The two don't match."
        return render(request, "setup.html", status=400, wrong=wrong, shortest=auth.SHORTEST)
    try:
        welcome = await auth.set_up(request.app[HUB], request.match_info["token"], password)
    except ValueError as error:
        return render(request, "setup.html", status=400, wrong=str(error), shortest=auth.SHORTEST)
    return problem_page(request, 404, USED) if welcome is None else _welcome(request, welcome, "/console/queries")


ROUTES = (
    Route("GET", "/console", _start, "public"),
    Route("GET", "/console/", _start, "public"),
    Route("GET", "/console/login", _login_page, "public"),
    Route("POST", "/console/login", _log_in, "public"),
    Route("POST", "/console/logout", _log_out, "viewer"),
    Route("GET", "/console/setup/{token}", _setup_page, "public"),
    Route("POST", "/console/setup/{token}", _set_up, "public"),
)
