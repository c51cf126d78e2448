"""The hub's one way out by HTTP; every plugin's `call` ends here.

What it holds (reliability.md §4.3, S34, F33-F37): https and public addresses unless listed (`egress_guard`), no
redirects, no proxy or netrc from the environment, no cookies, caps on time and size that a drip can't stretch, and
errors that say what the outbox may do next. Whether an effect may have gone out is judged by one fact, a connection
that stood; all that fails before it certainly had no effect.
"""

import asyncio
import functools
import io
import re
import ssl
from collections.abc import Callable, Collection
from contextlib import nullcontext
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import SimpleNamespace
from typing import Any

import aiohttp
import structlog
from aiohttp.abc import AbstractResolver
from multidict import CIMultiDict

from hub.config import EgressConfig
from hub.egress_guard import Guard, Refused, Target, VettedResolver
from plugins import Answer, Call, Clock, Pause, Refuse, Retry, Secret, Uncertain

PER_HOST = 32
"""Connections to one scheme, host and port: a slow far side must not take every socket of the hub."""
CONNECTIONS = 256
"""Connections in all, for each of http and https; callers wait for one within the connect time-out."""
FILES = 2
"""Long files that are read at the same time: each stands in memory until it is stored (R10)."""
IDLE = 1.0
"""Seconds that a connection is kept: enough for a busy lane (twice the calls on loopback without TLS), too short to
meet a server's idle time-out, which would lose the answer to an effect that goes out just then."""
HEARTBEAT = 30.0
"""Seconds between pings on a dialled WebSocket; one that does not answer in half of them is gone."""
WS_CLOSE = 0.5
"""Seconds for the far side's closing frame: a runner must end within a second."""
MAX_RETRY_AFTER = 86400.0
"""Seconds; a far side that names a longer wait is asked again after a day."""
EXCERPT = 200
"""Characters of an error's body that are shown to the administrator."""

_WEBSOCKET = re.compile(r"^ws(?=s?:)", re.IGNORECASE)
_METHOD = re.compile(r"(?!CONNECT$|TRACE$)[A-Z]{3,20}", re.ASCII)
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)  # RFC 9110 §5.6.2
_HEADER_VALUE = re.compile(r"[\t -~]*", re.ASCII)
_OURS = frozenset(  # they frame the request or steer the connection
    ["connection", "content-length", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"]
)
_SECONDS = re.compile(r"\d+(\.\d+)?", re.ASCII)
_PARTS = re.compile(r"[\s/?&=]+")
_UNPRINTABLE = re.compile(r"[^ -~\xa1-\U0010ffff]+")

log = structlog.get_logger("hub.egress")


class _Unread(Exception):
    """The answer is longer than what is read."""


class _Lost(Exception):
    """The connection broke; carries aiohttp's error past aiohttp's own second try."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


async def _once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    # aiohttp sends PUT, DELETE and GET again by itself when the connection breaks before the answer: an effect twice.
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _Lost(error) from error


def has_effect(call: Call) -> bool:
    """Would a person notice it twice? As the author says, else by method."""
    return call.method not in ("GET", "HEAD") if call.effect is None else call.effect


def judge(call: Call, answer: Answer, expect: Collection[int], now: datetime) -> Answer:
    """The answer if it is 2xx or expected, else the error that `Egress.call` promises for its status."""
    status = answer.status
    if 200 <= status < 300 or status in expect:
        return answer
    why = f"the far side answered {status}{_excerpt(call, answer.body)}"
    after = retry_after(answer.headers.get("retry-after", ""), now)
    if status == 429:
        raise Retry(why, after=after)
    if status in (401, 403):
        raise Pause(why, after=after)
    if 300 <= status < 500:
        raise Refuse(f"http_{status}", why)
    if has_effect(call):
        raise Uncertain(why)
    raise Retry(why, after=after)


def retry_after(text: str, now: datetime) -> float | None:
    """Seconds to wait by `Retry-After` (RFC 9110 §10.2.3: seconds or a date), from 0 to a day.

    None where it says nothing usable (negative, garbage): our own schedule decides then.
    """
    text = text.strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), MAX_RETRY_AFTER)
    try:
        moment = parsedate_to_datetime(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        seconds = (moment - now).total_seconds()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)


@functools.cache
def _trusted() -> ssl.SSLContext:
    """The system's authorities. Reading them takes 40 ms: once is enough."""
    return ssl.create_default_context()


class Client:
    """One for the whole hub; safe for any number of tasks of one loop."""

    def __init__(
        self,
        config: EgressConfig,
        clock: Clock,
        *,
        connect_timeout: float = 10.0,
        per_host: int = PER_HOST,
        tls: ssl.SSLContext | None = None,
        resolver: AbstractResolver | None = None,
    ) -> None:
        """`connect_timeout`: seconds to get a connection: waiting for a free one, DNS, TCP and TLS together.

        `tls`: trusts the system's authorities if absent (OpenSSL's SSL_CERT_FILE adds an internal one).
        Raises ValueError for an entry of `config.allow` that is none.
        """
        self._config = config
        self._clock = clock
        self._connect_timeout = connect_timeout
        self._per_host = per_host
        self._guard = Guard(config.allow)
        self._files = asyncio.Semaphore(FILES)
        self._tls = tls or _trusted()
        self._resolver = resolver
        self._sessions: dict[bool, aiohttp.ClientSession] = {}  # by Target.plain; made inside the running loop
        self._closed = False

    async def request(self, call: Call, *, expect: Collection[int] = ()) -> Answer:
        """`Egress.call` as the protocol says it, for callers without an attempt."""
        return judge(call, await self.exchange(call), expect, self._clock.now())

    async def exchange(self, call: Call, may: Callable[[], None] | None = None) -> Answer:
        """The far side's answer, whatever its status.

        Raises: Refuse("egress_refused") by the guard and Retry before a connection stood (DNS, TCP, TLS): nothing was
        sent. Without a whole answer after that: Uncertain for an effect; else Retry, or Refuse("answer_too_large").
        """
        try:
            target = self._guard.target(_url(call))
            headers = _headers(call)
        except Refused as refused:
            why = str(refused)
        else:
            return await self._exchange(call, target, headers, may)
        log.warning("egress refused", method=call.method, why=why)
        raise Refuse("egress_refused", why)  # outside of except: no context that a traceback would show

    async def dial(self, call: Call) -> aiohttp.ClientWebSocketResponse:
        """A WebSocket, where `call.url` is `wss:` (or `ws:`, where http is allowed).

        Raises: as `exchange` before a connection stood, Retry for any other answer than a WebSocket.
        """
        try:
            target = self._guard.target(_WEBSOCKET.sub("http", _url(call)))
            headers = _headers(call)
            if self._closed:
                raise Retry("the hub is stopping")
            async with asyncio.timeout(self._config.timeout):
                return await self._session(target.plain).ws_connect(
                    target.url,
                    headers=headers,
                    heartbeat=HEARTBEAT,
                    autoping=False,
                    max_msg_size=self._config.max_answer,
                    timeout=aiohttp.ClientWSTimeout(ws_close=WS_CLOSE),
                )
        except (Refused, _Lost, aiohttp.ClientError, OSError, ValueError) as error:
            failure = error.error if isinstance(error, _Lost) else error
        why = f"WebSocket: {_words(failure, call)}"
        log.info("egress failed", why=why)
        if isinstance(failure, Refused):  # outside of except, as above
            raise Refuse("egress_refused", why)
        raise Retry(why)

    async def close(self) -> None:
        """Cuts what is under way; later calls are Retry."""
        self._closed = True
        for session in self._sessions.values():
            await session.close()

    async def _exchange(
        self, call: Call, target: Target, headers: CIMultiDict[str], may: Callable[[], None] | None
    ) -> Answer:
        if self._closed:
            raise Retry("the hub is stopping")
        trip = SimpleNamespace(connected=False, may=may)
        room = self._files if call.longest > self._config.max_answer else nullcontext()
        try:
            async with room, asyncio.timeout(self._config.timeout):
                answer = await self._send(call, target, headers, trip)
        except (Refused, _Lost, _Unread, aiohttp.ClientError, OSError, ValueError) as error:
            failure = error.error if isinstance(error, _Lost) else error
        else:
            log.debug("egress", method=call.method, place=target.place, status=answer.status)
            return answer
        why = f"{call.method} {target.place}: {_words(failure, call)}"
        log.info("egress failed", why=why, connected=trip.connected)
        # Outside of except, because aiohttp's errors know the headers and the whole URL.
        if isinstance(failure, Refused):
            raise Refuse("egress_refused", why)
        if not trip.connected:
            raise Retry(why)
        if has_effect(call):
            raise Uncertain(why)
        if isinstance(failure, _Unread):
            raise Refuse("answer_too_large", why)
        raise Retry(why)

    async def _send(self, call: Call, target: Target, headers: CIMultiDict[str], trip: SimpleNamespace) -> Answer:
        limit = max(self._config.max_answer, min(call.longest, self._config.max_file))
        response = await self._session(target.plain).request(
            call.method,
            target.url,
            headers=headers,
            data=io.BytesIO(call.body) if call.body else None,  # bytes over 1 MiB would be written in one go
            allow_redirects=False,
            trace_request_ctx=trip,
        )
        try:
            body = await self._read(response, limit)
            return Answer(status=response.status, headers=_plain_headers(response), body=body)
        finally:
            response.close()  # a connection with an unread rest isn't fit for another call

    async def _read(self, response: aiohttp.ClientResponse, limit: int) -> bytes:
        if response.method != "HEAD" and (response.content_length or 0) > limit:
            raise _Unread
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > limit:  # after decompression, which aiohttp does in bounded pieces
                raise _Unread
        return bytes(body)

    def _session(self, plain: bool) -> aiohttp.ClientSession:
        if plain not in self._sessions:
            inner = self._resolver or aiohttp.ThreadedResolver()
            connector = aiohttp.TCPConnector(
                resolver=VettedResolver(self._guard, inner, plain=plain),
                use_dns_cache=False,  # the vetting is per connection
                ssl=self._tls,
                limit=CONNECTIONS,
                limit_per_host=self._per_host,
                keepalive_timeout=IDLE,
            )
            trace = aiohttp.TraceConfig()
            trace.on_connection_create_end.append(_connected)
            trace.on_connection_reuseconn.append(_connected)
            trace.on_request_chunk_sent.append(_sending)
            trace.on_request_redirect.append(_redirected)
            self._sessions[plain] = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, connect=self._connect_timeout),
                headers={"User-Agent": "Trunkline", "Accept-Encoding": "identity"},
                skip_auto_headers=["Content-Type"],
                middlewares=(_once,),
                trace_configs=[trace],
                trust_env=False,
            )
        return self._sessions[plain]


async def _connected(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: Any) -> None:
    trip = context.trace_request_ctx
    if trip is None:  # a WebSocket
        return
    if trip.may is not None:
        trip.may()
    trip.connected = True


async def _sending(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: Any) -> None:
    """Just before the bytes: aiohttp's own task writes a body, and the node may have stood still meanwhile."""
    trip = context.trace_request_ctx
    if trip is not None and trip.may is not None:
        trip.may()


async def _redirected(_session: aiohttp.ClientSession, _context: SimpleNamespace, params: Any) -> None:
    """Only a WebSocket's handshake gets here: aiohttp can't be told not to follow, and an address goes unvetted."""
    params.response.close()
    raise Refused("the far side redirects elsewhere")


def _url(call: Call) -> str:
    return call.url.reveal() if isinstance(call.url, Secret) else str(call.url)


def _headers(call: Call) -> CIMultiDict[str]:
    if not _METHOD.fullmatch(call.method):
        raise Refused("no such method")
    headers: CIMultiDict[str] = CIMultiDict()
    for name, given in call.headers.items():
        value = given.reveal() if isinstance(given, Secret) else given
        if not _HEADER_NAME.fullmatch(name) or name in headers:
            raise Refused("a header's name is no token, or is given twice")
        if name.lower() in _OURS or name.lower().startswith("proxy-"):
            raise Refused(f"the header {name} is the hub's to set")
        if not isinstance(value, str) or not _HEADER_VALUE.fullmatch(value):
            raise Refused(f"the header {name} is not plain ASCII text on one line")
        headers[name] = value
    return headers


def _plain_headers(response: aiohttp.ClientResponse) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in response.headers.items():
        text = value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        key = name.lower()
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


def _words(failure: Exception, call: Call) -> str:
    """What went wrong, without URLs and headers, which aiohttp's own texts may hold."""
    if isinstance(failure, Refused):
        return str(failure)
    if isinstance(failure, _Unread):
        return "the answer is too large"
    if isinstance(failure, TimeoutError):
        return "no whole answer in time"
    if isinstance(failure, aiohttp.ClientConnectorCertificateError):
        return _masked(call, str(failure.certificate_error))
    if isinstance(failure, aiohttp.ClientConnectorError):
        return _masked(call, str(failure.os_error))
    if isinstance(failure, aiohttp.ClientResponseError):
        return _masked(call, failure.message)
    return _masked(call, type(failure).__name__)


def _excerpt(call: Call, body: bytes) -> str:
    text = _masked(call, body[:4096].decode("utf-8", "replace"))
    return f": {text}" if text else ""


def _masked(call: Call, text: str) -> str:
    """The beginning of a far side's text, printable, without the secrets that were sent there (some echo them)."""
    for given in (call.url, *call.headers.values()):
        if isinstance(given, Secret):
            for part in (given.reveal(), *_PARTS.split(given.reveal())):  # `Bearer x`: x alone is the secret
                if len(part) >= 4:
                    text = text.replace(part, "***")
    return _UNPRINTABLE.sub(" ", text).strip()[:EXCERPT]
