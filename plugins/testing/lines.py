"""The stubs with a real line out: what a kit's attempt and hub call goes to a stand-in by HTTP.

Answers are judged as `Egress.call` promises. The hub's own client does more (guards, caps): this one calls nothing but
stand-ins on loopback.
"""

import asyncio
from collections.abc import Collection

import aiohttp

from plugins.errors import Pause, Refuse, Retry, Uncertain
from plugins.model import Answer, Call, Secret
from plugins.protocols import Link
from plugins.testing.stubs import StubAttempt, StubHub

PATIENCE = 1.0
"""Seconds for a call; long polls ask for less in tests."""


async def exchange(call: Call, expect: Collection[int], patience: float) -> Answer:
    """One call, and what the contract makes of its answer."""
    effect = call.effect if call.effect is not None else call.method not in {"GET", "HEAD"}
    url = call.url.reveal() if isinstance(call.url, Secret) else call.url
    headers = {n: v.reveal() if isinstance(v, Secret) else v for n, v in call.headers.items()}
    try:
        async with (
            asyncio.timeout(patience),
            aiohttp.ClientSession() as session,
            session.request(call.method, url, data=call.body, headers=headers, allow_redirects=False) as response,
        ):
            answer = Answer(
                status=response.status,
                headers={name.lower(): value for name, value in response.headers.items()},
                body=await response.read(),
            )
    except (TimeoutError, aiohttp.ClientError) as error:
        why = f"no answer: {type(error).__name__}"
    else:
        return judge(answer, expect, effect=effect)
    raise Uncertain(why) if effect else Retry(why)


def judge(answer: Answer, expect: Collection[int], *, effect: bool) -> Answer:
    """2xx or expected, else the error."""
    status, why = answer.status, f"the far side answered {answer.status}"
    if 200 <= status < 300 or status in expect:
        return answer
    if status == 429:
        after = answer.headers.get("retry-after", "")
        raise Retry(why, after=float(after) if after else None)
    if status in (401, 403):
        raise Pause(why)
    if status < 500:
        raise Refuse(f"http_{status}", why)
    raise Uncertain(why) if effect else Retry(why)


class LiveAttempt(StubAttempt):
    """One try of one step, over HTTP."""

    async def call(self, call: Call, *, expect: Collection[int] = ()) -> Answer:
        self.calls.append(call)
        return await exchange(call, expect, PATIENCE)


class LiveHub(StubHub):
    """A hub in memory whose calls go out by HTTP."""

    async def call(self, call: Call, *, expect: Collection[int] = ()) -> Answer:
        self.calls.append(call)
        return await exchange(call, expect, 60.0)

    async def dial(self, call: Call) -> Link:
        self.calls.append(call)
        url = call.url.reveal() if isinstance(call.url, Secret) else call.url
        session = aiohttp.ClientSession()
        try:
            return _Wire(session, await session.ws_connect(url), self)
        except BaseException as error:  # a runner may be cancelled just here
            await session.close()
            if isinstance(error, aiohttp.ClientError):
                raise Retry(f"no WebSocket: {type(error).__name__}") from error
            raise


class _Wire:
    """A dialled WebSocket; pings are aiohttp's business."""

    def __init__(self, session: aiohttp.ClientSession, socket: aiohttp.ClientWebSocketResponse, hub: StubHub) -> None:
        self._session, self._socket, self._hub = session, socket, hub

    async def receive(self) -> str | None:
        frame = await self._socket.receive()
        if frame.type is not aiohttp.WSMsgType.TEXT:
            return None
        self._hub.alive()
        return str(frame.data)

    async def send(self, text: str) -> None:
        await self._socket.send_str(text)

    async def close(self, code: int) -> None:
        try:
            await self._socket.close(code=code)
        finally:  # a runner may be cancelled while it says goodbye
            await self._session.close()
