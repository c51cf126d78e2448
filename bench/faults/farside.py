"""The far side of all outgoing work: has effects, counts them by key, and loses answers as real ones do."""

import asyncio
import json
import random
from collections import Counter, defaultdict
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from bench.faults.ledger import Ledger
from plugins import Request, Secret, standard_verify

LOSES = 0.03
"""How often an effect is had whose answer is cut off, and how often it is refused before it."""


class FarSide:
    """`/a` honours keys, `/b` can be searched by them, `/c` does neither; `/deliver` takes the hub's signed answers."""

    def __init__(
        self, ledger: Ledger, secret: Secret, seed: int, *, loses: float = LOSES, slow: float = 0.0, holds: float = 0.0
    ) -> None:
        """`slow`: seconds that an effect may take at most. `holds`: seconds for which it holds each answer back, and
        then it refuses the first try of each effect.
        """
        self._ledger, self._secret = ledger, secret
        self._random, self._loses, self._slow = random.Random(seed), loses, slow
        self._holds = holds
        self.tries = Counter[tuple[str, str]]()
        """(kind, key) → how often it came."""
        self.refusing = set[tuple[str, str]]()
        """Those whose refusal is held back."""
        self._made: dict[tuple[str, str], list[str]] = defaultdict(list)
        self._serial = 0
        self.port = 0

    async def start(self) -> None:
        app = web.Application(client_max_size=64 << 20)
        app.router.add_post("/deliver", self._deliver)
        app.router.add_post("/{kind}/effects", self._effect)
        app.router.add_get("/{kind}/effects", self._search)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _deliver(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        asked = Request(method="POST", url=str(request.url), headers=headers, body=body, at=datetime.now(UTC))
        key = standard_verify(asked, [self._secret])
        return await self._answer(request, "deliver", key, {"verb": "deliver", "to": json.loads(body)["to"]})

    async def _effect(self, request: web.Request) -> web.StreamResponse:
        key = request.headers["idempotency-key"]
        return await self._answer(request, request.match_info["kind"], key, json.loads(await request.read()))

    async def _answer(self, request: web.Request, kind: str, key: str, facts: dict[str, Any]) -> web.StreamResponse:
        if self._slow:
            await asyncio.sleep(self._random.uniform(0, self._slow))
        self.tries[kind, key] += 1
        if (self._holds and self.tries[kind, key] == 1) or self._random.random() < self._loses:
            self.refusing.add((kind, key))
            await asyncio.sleep(self._holds)
            self.refusing.discard((kind, key))
            return web.Response(status=429, headers={"Retry-After": "0"})
        made = self._made[kind, key]
        again = bool(made) and kind in ("a", "deliver")
        if not again:
            self._serial += 1
            made.append(f"{kind}{self._serial}")
        self._ledger.note("repeat" if again else "effect", kind=kind, key=key, ref=made[-1], **facts)
        await asyncio.sleep(self._holds)
        if self._random.random() < self._loses and request.transport is not None:
            request.transport.abort()
        return web.json_response({"ref": made[-1]})

    async def _search(self, request: web.Request) -> web.Response:
        made = self._made[request.match_info["kind"], request.query["key"]]
        return web.json_response([{"ref": ref} for ref in made])
