"""Clients that number what they send, write down what they heard, and come again as real sources do.

Each lane sends one message at a time, so the ledger's order is the order that the hub must keep. An operation ends
`ok`, or `unknown` if its client gave up; in between it may be tried many times with the same key and bytes.
"""

import asyncio
import hashlib
import json
import random
import time
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import aiohttp
import aiosmtplib

from bench.faults.ledger import Ledger
from bench.faults.place import Place
from plugins import standard_sign

LARGE = "x" * (300 << 10)
"""More than the journal keeps in a row: the bytes become a file."""
GIVES_UP = 0.2
"""How often a client does not come again after an unknown outcome."""
PATIENCE = 15.0
ANSWERS = (200, 303, 429, 503)

Send = Callable[[], Coroutine[Any, Any, bool]]


class Load:
    """`run` until `stopping`; `acked` is set at every acknowledgement, so that the nemesis knows that the hub lives."""

    def __init__(
        self, place: Place, *, lanes: int = 4, think: float = 0.04, kinds: str = "hook portal mail feed",
        targets: Sequence[str] = ("a", "b", "c", "", ""), patience: float = PATIENCE,
        name: str = "",
    ) -> None:  # fmt: skip
        """`think`: seconds between two messages of a lane; `targets`: classes of the far side, "" the query log.
        `name` tells two loads at one time apart.
        """
        self._targets, self._patience = targets, patience
        self._place, self._lanes, self._think, self._kinds = place, lanes, think, kinds.split()
        self._random = random.Random(place.seed)
        self._ledger = Ledger(place.sent)
        self._birth = f"{name}{time.time_ns():x}"  # a second load over the same store sends other messages
        self.stopping = False
        """Begin nothing more."""
        self.over = False
        """Give up what is begun, too."""
        self.acked = asyncio.Event()
        self.acks = 0
        self.refused = 0
        """Answers that said: later."""

    async def run(self) -> None:
        workers: list[Coroutine[Any, Any, None]] = []
        if "hook" in self._kinds:
            workers += [self._hook_lane(number) for number in range(self._lanes)]
        workers += [worker() for kind, worker in self._others() if kind in self._kinds]
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=self._patience)) as self._http:
            await asyncio.gather(*workers)
        self._ledger.close()

    def _others(self) -> list[tuple[str, Callable[[], Coroutine[Any, Any, None]]]]:
        return [("portal", self._portal_lane), ("mail", self._mail_lane), ("feed", self._feed_lane)]

    # ---- one operation ------------------------------------------------------------------------------------

    async def _operation(self, send: Send, **facts: Any) -> bool:
        """Try until it is acknowledged (True), or give up once the outcome is unknown."""
        self._ledger.note("invoke", **facts)
        while not self.over:
            outcome = await self._once(send)
            if outcome == "ok":
                self._ledger.note("ok", op=facts["op"])
                self.acks += 1
                self.acked.set()
                return True
            if outcome == "unknown" and self._random.random() < GIVES_UP:
                self._ledger.note("unknown", op=facts["op"])
                return False
            await asyncio.sleep(0.02)
        self._ledger.note("unknown", op=facts["op"])
        return False

    async def _once(self, send: Send) -> str:
        try:
            return "ok" if await send() else "unknown"
        except (aiohttp.ClientConnectorError, aiosmtplib.SMTPConnectError, ConnectionRefusedError):
            return "fail"  # it never left
        except (aiohttp.ClientError, aiosmtplib.SMTPException, OSError, TimeoutError):
            return "unknown"

    async def _post(self, instance: str, body: bytes, headers: dict[str, str]) -> bool:
        url = f"http://127.0.0.1:{self._place.web}/in/{instance}/"
        async with self._http.post(url, data=body, headers=headers, allow_redirects=False) as answer:
            await answer.read()
            if answer.status not in ANSWERS:
                raise AssertionError(f"{instance} answered {answer.status}")
            later = answer.status in (429, 503)
            if later and not answer.headers.get("Retry-After", "").isdigit():
                raise AssertionError(f"{instance} said {answer.status} and not when to come again")
            self.refused += later
            return not later

    # ---- the sources ------------------------------------------------------------------------------------------

    async def _hook_lane(self, number: int) -> None:
        """Conversations of a few messages; some come again, some under another delivery key, a few are nonsense."""
        serial = 0
        while not self.stopping:
            serial += 1
            lane = f"{self._birth}-{number}-{serial}"
            target = self._random.choice(self._targets)
            bodies: dict[str, bytes] = {}
            for n in range(self._random.randint(2, 6)):
                op = f"{lane}-{n}"
                body = _body(op, lane, target, large=self._random.random() < 0.03)
                if await self._hook(op, lane, body):
                    bodies[op] = body
                await asyncio.sleep(self._think * self._random.random() * 2)
                if bodies and self._random.random() < 0.1:
                    await self._redeliver(lane, *self._random.choice(list(bodies.items())))
            if self._random.random() < 0.1:
                await self._hook(f"{lane}-poison", lane, b'{"sender": 5}', poison=True)

    async def _redeliver(self, lane: str, op: str, body: bytes) -> None:
        """An acknowledged delivery again, or its message in another delivery."""
        if self._random.random() < 0.5:
            await self._operation(self._signed(op, body), op=f"{op}-again", again=op)
        else:
            await self._hook(f"{op}-copy{time.time_ns():x}", lane, body, copy=op)

    async def _hook(self, op: str, lane: str, body: bytes, **more: Any) -> bool:
        facts = {"op": op, "lane": f"hook {lane}", "instance": "hook", "key": op, "sha": _sha(body), **more}
        return await self._operation(self._signed(op, body), **facts)

    def _signed(self, key: str, body: bytes) -> Send:
        async def send() -> bool:
            signed = standard_sign([self._place.secret], key=key, at=datetime.now(UTC), body=body)
            return await self._post("hook", body, {**signed, "content-type": "application/json"})

        return send

    async def _portal_lane(self) -> None:
        serial = 0
        while not self.stopping:
            serial += 1
            op = f"{self._birth}-portal-{serial:08}"
            fields = {"submission": op, "email": f"u{serial}@acme.test", "subject": "Form", "message": op}
            body = urlencode(fields).encode()

            async def send(body: bytes = body) -> bool:
                return await self._post("portal", body, {"content-type": "application/x-www-form-urlencoded"})

            await self._operation(send, op=op, lane=f"portal {op}", instance="portal", key=op, sha=_sha(body))
            await asyncio.sleep(self._think * 5)

    async def _mail_lane(self) -> None:
        serial = 0
        while not self.stopping:
            serial += 1
            op = f"{self._birth}-mail-{serial}@acme.test"
            raw = (
                f"From: Ann <ann@acme.test>\r\nTo: desk@hub.test\r\nSubject: Mail {serial}\r\nMessage-ID: <{op}>\r\n"
                f"Date: Sat, 21 Nov 2026 12:00:00 +0000\r\nContent-Type: text/plain\r\n\r\n{op}\r\n"
            ).encode()

            async def send(raw: bytes = raw) -> bool:
                async with asyncio.timeout(self._patience):
                    client = aiosmtplib.SMTP(
                        hostname="127.0.0.1", port=self._place.smtp, timeout=self._patience, start_tls=False
                    )
                    async with client:
                        await client.sendmail("ann@acme.test", ["desk@hub.test"], raw)
                return True

            await self._operation(send, op=op, lane="mail", instance="mail", key=op, sha=_sha(raw))
            await asyncio.sleep(self._think * 5)

    async def _feed_lane(self) -> None:
        """Whoever writes the file is never told: what the cursor has passed counts as acknowledged."""
        with self._place.feed.open("ab", buffering=0) as file:
            serial = 0
            while not self.stopping:
                serial += 1
                op, at = f"{self._birth}-feed-{serial}", file.tell()
                poison = self._random.random() < 0.02
                line = json.dumps({"op": op, "poison": poison}).encode()
                facts: dict[str, Any] = {"poison": True} if poison else {}
                self._ledger.note(
                    "invoke", op=op, lane="feed", instance="feed", key=f"line-{at}", sha=_sha(line),
                    end=at + len(line) + 1, **facts,
                )  # fmt: skip
                file.write(line + b"\n")
                await asyncio.sleep(self._think)


def _body(op: str, lane: str, target: str, *, large: bool) -> bytes:
    said: dict[str, Any] = {
        "id": op, "sender": {"scheme": "app", "value": f"user-{lane}"}, "thread": lane, "subject": lane,
        "text": op + (LARGE if large else ""), "fields": {"target": target},
    }  # fmt: skip
    return json.dumps(said).encode()


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
