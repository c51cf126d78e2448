"""What goes on at a query just now, for the page that shows it: who else looks at it, who writes, that there is news.

Each visible page has one stream of server-sent events (WHATWG HTML, "Server-sent events"); a hidden one lets go of it,
because browsers have few connections to one host. Nothing here is stored and nothing depends on it: without its stream
a page asks for itself every now and then.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
import structlog
from aiohttp import web

from context_store import agents
from context_store.agents import Agent
from context_store.audit import last_seq
from context_store.errors import StoreError
from context_store.followed import around
from hub.fabric import PRESENCE
from hub.fabric.live import live
from hub.lines import thread_topic
from hub.rooms import Rooms
from hub.web.guard import AGENT, Route
from hub.web.login import form
from hub.web.peer import peer_of
from hub.web.plugged import ROOM
from hub.web.queries import found_query
from hub.web.site import HUB, OPERATIONS, optional_number

log = structlog.get_logger("trunkline.web")

LASTS = 300.0
"""Seconds of one stream: the next one asks again who is logged in."""
BEAT = PRESENCE / 3
"""Seconds between two signs of life."""
WRITES = "writes:"
"""What a page tells the others of the same query, with the agent's login behind it."""


class Newsroom:
    """Events of all nodes, told to the pages that show what they are about; it reads only while a page is open."""

    def __init__(self, hub: Rooms) -> None:
        """Nothing is open."""
        self.closing = asyncio.Event()
        self._hub = hub
        self._pages: dict[int, list[asyncio.Event]] = {}
        self._reading: asyncio.Task[None] | None = None
        self._begun = asyncio.Event()

    @asynccontextmanager
    async def open(self, subjects: Collection[int]) -> AsyncIterator[asyncio.Event]:
        """Set when something happens to one of the subjects from here on."""
        news = asyncio.Event()
        for subject in subjects:
            self._pages.setdefault(subject, []).append(news)
        try:
            if self._reading is None:
                self._begun.clear()
                self._reading = asyncio.create_task(self._read(), name="newsroom")
            await self._begun.wait()
            yield news
        finally:
            for subject in subjects:
                self._pages[subject].remove(news)
                if not self._pages[subject]:
                    del self._pages[subject]
            if not self._pages and self._reading is not None:
                self._reading.cancel()
                self._reading = None

    async def _read(self) -> None:
        after: int | None = None
        while True:
            try:
                after = await self._hub.store.read(last_seq) if after is None else after
                self._begun.set()
                async for event in live(self._hub.store, self._hub.fabric, after):
                    after = event.seq
                    for news in self._pages.get(event.subject_id, ()):
                        news.set()
            except Exception as error:  # noqa: BLE001  # the store comes back, and pages ask for themselves until then
                log.warning("newsroom.away", why=str(error)[:200])
                await asyncio.sleep(1)


NEWSROOM = web.AppKey("newsroom", Newsroom)


def topic_of(root: int) -> str:
    """What the pages of a query tell each other."""
    return f"query:{root}"


class _Page:
    """One open page of an agent."""

    def __init__(self, hub: Rooms, me: Agent, root: int, answer: web.StreamResponse) -> None:
        self._hub, self._me, self._root, self._answer = hub, me, root, answer

    async def follow(self, threads: Sequence[bytes]) -> None:
        """Until cancelled, or the page has gone (ConnectionError)."""
        fabric, topic = self._hub.fabric, topic_of(self._root)
        names = {each.login: each.name for each in await self._hub.store.read(agents.list_agents)}
        others: list[str] | None = None
        with fabric.following(topic, *map(thread_topic, threads)) as following:
            fabric.look(topic, self._me.login)
            fabric.tell(topic, "look")
            while True:
                there = [login for login in await fabric.lookers(topic) if login != self._me.login]
                if there != others:
                    others = there
                    await self._tell("present", [names.get(login, login) for login in there])
                words = await following.news(BEAT)
                fabric.look(topic, self._me.login)
                if not words:
                    await self._answer.write(b":\n\n")
                for word in words:
                    await self._pass_on(word, names)

    async def _pass_on(self, word: str, names: dict[str, str]) -> None:
        if word == "":
            await self._tell("changed", None)
        elif word == "user-typing":
            await self._tell("user-writes", None)
        elif word.startswith(WRITES) and (login := word.removeprefix(WRITES)) != self._me.login:
            await self._tell("writes", names.get(login, login))

    async def changes(self, news: asyncio.Event) -> None:
        """As `follow`."""
        while True:
            await news.wait()
            news.clear()
            await self._tell("changed", None)

    async def _tell(self, event: str, data: Any) -> None:
        await self._answer.write(b"event: %b\ndata: %b\n\n" % (event.encode(), msgspec.json.encode(data)))


async def _stream(request: web.Request) -> web.StreamResponse:
    hub, newsroom = request.app[HUB], request.app[NEWSROOM]
    root = await found_query(request)
    queries, threads = await hub.store.read(around, root)
    headers = {
        "Content-Type": "text/event-stream; charset=utf-8",
        "X-Accel-Buffering": "no",
    }  # nginx would hold it back
    answer = web.StreamResponse(headers=headers)
    with request.app[ROOM].taken(peer_of(request)):
        async with newsroom.open(queries) as news:
            await answer.prepare(request)
            page = _Page(hub, request[AGENT], root, answer)
            going = (page.follow(threads), page.changes(news), newsroom.closing.wait())
            parts = [asyncio.create_task(each) for each in going]
            try:
                await asyncio.wait(parts, timeout=LASTS, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for part in parts:
                    part.cancel()
                ended = await asyncio.gather(*parts, return_exceptions=True)
            for error in ended:
                if isinstance(error, Exception) and not isinstance(error, ConnectionError | StoreError):
                    log.error("now.failed", exc_info=error)
    return answer


async def _typing(request: web.Request) -> web.Response:
    """Shown to the user where their channel can, and to who else looks at the query."""
    hub, given, login = request.app[HUB], await form(request), request[AGENT].login
    root = await found_query(request)
    hub.fabric.tell(topic_of(root), f"{WRITES}{login}")
    to_message = optional_number(given.get("to_message"))
    with suppress(LookupError, ValueError):  # nobody can be answered, so nobody waits for an answer
        await request.app[OPERATIONS].typing(hub, login, request.match_info["reference"], to_message=to_message)
    return web.Response(status=204)


async def close_streams(app: web.Application) -> None:
    """At a stop: pages come again, to this node or another."""
    app[NEWSROOM].closing.set()


ROUTES = (
    Route("GET", "/console/queries/{reference}/now", _stream, "viewer"),
    Route("POST", "/console/queries/{reference}/typing", _typing, "agent"),
)
