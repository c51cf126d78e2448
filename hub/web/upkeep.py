"""Pages for whoever keeps the desk running: what is parked, what was caught, how the hub fares, why a rule matched."""

import asyncio

import msgspec
from aiohttp import web

from context_store import evidence, views
from hub.stored import otherwise
from hub.web.guard import AGENT, Route
from hub.web.health import instances
from hub.web.login import form, page
from hub.web.site import HUB, OPERATIONS, number, optional_number, problem_page
from plugins import BadConfig
from routing import Explanation, Facts, RuleTrace, explain, load_rules, validation_in_words

SHOWN = 50
RULES = 200
"""Rules that a page explains; of more only those that matched and the nearest misses, unless all are asked for."""


async def _parked(request: web.Request) -> web.StreamResponse:
    store, given = request.app[HUB].store, request.query
    envelopes = await store.read(evidence.parked_envelopes, optional_number(given.get("before")), SHOWN)
    work = await store.read(evidence.parked_work, optional_number(given.get("before_work")), SHOWN)
    return await page(
        request,
        "parked.html",
        envelopes=envelopes,
        work=work,
        older=_older(request, "before", [each.id for each in envelopes]),
        older_work=_older(request, "before_work", [each.work.id for each in work]),
    )


def _older(request: web.Request, name: str, ids: list[int]) -> str:
    return str(request.rel_url.update_query({name: str(ids[-1])})) if len(ids) == SHOWN else ""


async def _release(request: web.Request) -> web.StreamResponse:
    ids = [number((await form(request)).get("id", ""))]
    try:
        await request.app[OPERATIONS].release(request.app[HUB], request[AGENT].login, ids)
    except (LookupError, ValueError) as error:
        return problem_page(request, 409, str(error))
    raise web.HTTPSeeOther("/console/parked")


async def _caught(request: web.Request) -> web.StreamResponse:
    rows = await request.app[HUB].store.read(evidence.caught, optional_number(request.query.get("before")), SHOWN)
    return await page(request, "caught.html", rows=rows, older=_older(request, "before", [r.outbox_id for r in rows]))


async def _caught_one(request: web.Request) -> web.StreamResponse:
    outbox, n = number(request.match_info["outbox"]), number(request.match_info["n"])
    found = await request.app[HUB].store.read(evidence.caught_step, outbox, n)
    if found is None:
        return problem_page(request, 404, "There is no such mail.")
    return await page(request, "caught_one.html", mail=found, raw=found.body[:100_000].decode("utf-8", "replace"))


async def _health(request: web.Request) -> web.StreamResponse:
    hub = request.app[HUB]
    health = await hub.store.read(evidence.health, list(hub.instances))
    return await page(request, "health.html", health=health, instances=instances(hub, health))


def _explained(source: bytes, facts: bytes) -> Explanation:
    """Compiling takes a moment: not on the loop."""
    return explain(load_rules(source, accepted=True), msgspec.json.decode(facts, type=Facts))


def _worth_reading(why: Explanation, *, whole: bool) -> tuple[RuleTrace, ...]:
    if whole or len(why.rules) <= RULES:
        return why.rules
    return tuple(trace for trace in why.rules if trace.matched or trace.rule in why.nearest)


async def _explain(request: web.Request) -> web.StreamResponse:
    found = await request.app[HUB].store.read(views.get_decision, number(request.match_info["decision"]))
    if found is None:
        return problem_page(request, 404, "There is no such decision.")
    decision, source = found
    why, problem = None, ""
    if source is None:
        problem = "The rules that decided are no longer kept, so only the stored outcome can be shown."
    else:
        try:
            why = await asyncio.to_thread(_explained, source, decision.facts)
            problem = otherwise(decision.outcome, why.decision)
        except (BadConfig, msgspec.DecodeError) as error:
            problem = f"This version of the hub no longer reads those rules: {error}"
    return await page(
        request,
        "explain.html",
        decision=decision,
        outcome=msgspec.json.decode(decision.outcome),
        why=why,
        traces=_worth_reading(why, whole="all" in request.query) if why else (),
        validation=validation_in_words(why.validation) if why and why.validation else "",
        problem=problem,
        reference=await request.app[HUB].store.read(views.reference_of_query, decision.query_id),
    )


ROUTES = (
    Route("GET", "/console/parked", _parked, "viewer"),
    Route("POST", "/console/parked/release", _release, "manager"),
    Route("GET", "/console/caught", _caught, "agent"),
    Route("GET", "/console/caught/{outbox}/{n}", _caught_one, "agent"),
    Route("GET", "/console/health", _health, "viewer"),
    Route("GET", "/console/decisions/{decision}", _explain, "viewer"),
)
