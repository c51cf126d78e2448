"""What every stand-in has: a server on a free port of loopback, faults on demand, and a ledger of its effects.

A stand-in is one vendor and the people on it. `says` and `edits` make genuine events, `push` brings them to the hub (by
webhook, or where a poller finds them), `heard` is what people saw of ours, `fail` and `trouble` say what goes wrong.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal, Self

import aiohttp
import msgspec
from aiohttp import web

from plugins.model import Identity, Request
from plugins.testing.stubs import START

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of one request that would have an effect.

    status: refused with that status (429 with `after`, 5xx) · lost: has its effect, then the connection breaks ·
    half_open: never answered, no effect · slow: answered after `after` seconds
    """

    kind: Literal["status", "lost", "half_open", "slow"] = "status"
    status: int = 503
    after: float = 0.0


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """One effect that a person sees."""

    to: str
    text: str
    ref: str
    public: bool = False
    file: bytes | None = None


class StandIn(ABC):
    """`async with Vendor() as far:`; a subclass adds routes, and refuses what the vendor refuses."""

    kinds: ClassVar[tuple[str, ...]] = ()
    """Kinds of connector that it speaks for."""
    troubles: ClassVar[Mapping[str, Any]] = {}
    """Code of `Refuse` (or "token_revoked", a Pause) → how the vendor says it; `trouble` sets one."""
    rates: ClassVar[Sequence[tuple[Literal["instance", "lane"], int, float]]] = ()
    """(scope, n, seconds) as the vendor writes them; "lane" is to one place."""
    person: ClassVar[Identity]
    """Somebody who has written to us, so that we may answer."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        """Every effect, oldest first."""
        self.refused: list[str] = []
        """Why requests were refused."""
        self.trouble = ""
        self.hook = ""
        """Where webhooks go; "": pollers fetch."""
        self.port = 0
        self.burst = 10
        """It lets so many times its rates pass, as vendors do for a while; 1: not one too many."""
        self._faults: deque[Fault] = deque()
        self._taken: list[tuple[float, str]] = []
        self._stopping = asyncio.Event()

    # ---- for a subclass --------------------------------------------------------------------------------

    @abstractmethod
    def routes(self) -> Sequence[web.RouteDef]:
        """The vendor's API."""

    def has_effect(self, request: web.Request) -> bool:
        """Faults hit only what a person would notice."""
        return request.method != "GET"

    def failed(self, fault: Fault) -> web.Response:
        """429 and 5xx as the vendor says them."""
        headers = {"Retry-After": f"{fault.after:g}"} if fault.after else {}
        return web.Response(status=fault.status, headers=headers)

    @abstractmethod
    def refusal(self, trouble: str) -> web.Response:
        """What the vendor says in this trouble."""

    @property
    @abstractmethod
    def table(self) -> Mapping[str, Any]:
        """Settings of an instance that talks to this stand-in; secrets refer to `environ`."""

    @property
    @abstractmethod
    def environ(self) -> Mapping[str, str]:
        """The secrets."""

    @abstractmethod
    def says(self, text: str, *, who: str = "ann", private: bool = True) -> Any:
        """A new event: somebody writes to us."""

    @abstractmethod
    def edits(self, event: Any, text: str) -> Any:
        """The event that follows when the author changes the text of `event`; None where the vendor has none."""

    def signed(self, event: Any, at: datetime) -> tuple[Mapping[str, str], bytes]:
        """Headers and body of the webhook that carries it; `at` is the vendor's clock, for schemes that sign a time."""
        raise TypeError(f"{self.kinds[0]} calls nobody: its events are fetched")

    def queue(self, events: Sequence[Any]) -> None:
        """Hold events for a poller."""
        raise TypeError(f"{self.kinds[0]} has nobody fetch events: it calls")

    def too_fast(self, place: str) -> bool:
        """Does a message to the place come too early? If not, it is counted."""
        now = time.monotonic()
        for scope, n, seconds in self.rates:
            lately = [to for at, to in self._taken if now - at < seconds and (scope == "instance" or to == place)]
            if len(lately) >= n * self.burst:
                self.refused.append("too fast")
                return True
        self._taken.append((now, place))
        return False

    # ---- what goes wrong ---------------------------------------------------------------------------------

    def fail(self, *faults: Fault) -> None:
        """For the next requests that would have an effect, one each."""
        self._faults.extend(faults)

    def refuse(self, why: str, response: web.Response) -> web.Response:
        """Note why, and answer."""
        self.refused.append(why)
        return response

    # ---- the people's side ---------------------------------------------------------------------------------

    def request(self, event: Any, at: datetime = START) -> Request:
        """The webhook as the hub would see it."""
        headers, body = self.signed(event, at)
        url = self.hook or "https://hub.acme.test/in/sample/"
        return Request(method="POST", url=url, headers=headers, body=body, at=at)

    async def push(self, *events: Any, times: int = 1, backwards: bool = False) -> list[int]:
        """Bring events to the hub, twice or out of order if told so; the webhook's answers, none from pollers."""
        going = [event for event in (reversed(events) if backwards else events) for _ in range(times)]
        if not self.hook:
            self.queue(going)
            return []
        answers = []
        async with aiohttp.ClientSession() as session:
            for event in going:
                headers, body = self.signed(event, datetime.now(UTC))
                async with session.post(self.hook, data=body, headers=dict(headers)) as response:
                    answers.append(response.status)
        return answers

    async def bring(self, text: str) -> str:
        """One message, whole, the way people bring it; what the hub answered, in words."""
        return ", ".join(map(str, await self.push(self.says(text)))) or "waits to be fetched"

    # ---- the server ----------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        app = web.Application(middlewares=[self._door], client_max_size=60 << 20)
        app.add_routes(self.routes())
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping.set()
        await self._runner.cleanup()

    @web.middleware
    async def _door(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not self.has_effect(request):
            return await handler(request)
        if self.trouble:
            return self.refuse(self.trouble, self.refusal(self.trouble))
        fault = self._faults.popleft() if self._faults else None
        if fault is None:
            return await handler(request)
        if fault.kind == "status":
            return self.refuse(f"told to: {fault.status}", self.failed(fault))
        if fault.kind == "half_open":
            await self._stopping.wait()
            return web.Response(status=503)
        answer = await handler(request)
        if fault.kind == "slow":
            await asyncio.sleep(fault.after)
        elif request.transport is not None:
            request.transport.abort()
        return answer
