"""Taking mail from a mail server by SMTP (RFC 5321) or LMTP (RFC 2033).

250 is said only when the journal holds the mail; whatever goes wrong before is 451, and the sender comes again.
aiosmtpd speaks the protocol; only DATA is our own: its loop works line by line, which lets one mail of short lines
stop the whole process for seconds, and at LMTP it gives one answer where each recipient needs one.
"""

import asyncio
import logging
import ssl
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, TLSSetupException

from connectors.channels.email.keys import delivery_key
from connectors.channels.email.settings import EmailSettings, Listen
from plugins import Busy, Envelope, HubPort, LeaseLost, subscriber

log = logging.getLogger(__name__)

RECIPIENTS = 100
"""Of one mail: RFC 5321 §4.5.3.1.8 asks for as many."""
FAREWELL = 2.0
"""Seconds to take our last line in; who doesn't read it is cut off."""
BUFFER = 64 * 1024
_END = b"\r\n.\r\n"
_FACT = 1000


@asynccontextmanager
async def listening(hub: HubPort, settings: EmailSettings) -> AsyncIterator["Gate"]:
    """Listen while inside; `gate.lost` ends only if another node runs this instance now (LeaseLost).

    Raises:
        OSError: the port is taken, or the certificate can't be read.
    """
    assert settings.listen
    gate = Gate(hub, settings, settings.listen)
    host, port = settings.listen.host, settings.listen.port
    try:
        server = await asyncio.get_running_loop().create_server(gate.protocol, host, port)
    except OSError as error:
        raise OSError(
            error.errno, f"listen: {host}:{port} can't be had, is another program there? {error.strerror}"
        ) from error
    gate.port = server.sockets[0].getsockname()[1]
    hub.alive()
    try:
        yield gate
    finally:
        server.close()
        await gate.close()


def server_context(settings: Listen) -> ssl.SSLContext | None:
    """For STARTTLS, if a certificate is set.

    Raises:
        OSError: one of its files can't be read, or they don't belong together.
    """
    if not settings.cert_file:
        return None
    for key, file in (("cert_file", settings.cert_file), ("key_file", settings.key_file)):
        try:
            open(file, "rb").close()  # for its name: OpenSSL does not say which one it could not open
        except OSError as error:
            raise OSError(error.errno, f"listen.{key} {file} can't be read: {error.strerror}") from error
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(settings.cert_file, settings.key_file)
    return context


class Gate:
    """Who may hand in what; aiosmtpd calls the `handle_` methods."""

    port = 0

    def __init__(self, hub: HubPort, settings: EmailSettings, listen: Listen) -> None:
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.sessions: dict[_Conversation, None] = {}  # in the order in which they came
        self.hostname = settings.address.rpartition("@")[2]
        self._hub, self._settings, self._listen = hub, settings, listen
        self._tls = server_context(listen)
        accept = listen.accept or (settings.address, *settings.aliases)
        self._accept = frozenset(entry.lower() for entry in accept)

    def protocol(self) -> asyncio.Protocol:
        """Whose call it is shows only once it is connected, hence the door before the conversation."""
        return _Door(self)

    def admit(self, peer: str) -> "_Conversation | None":
        """One conversation; None if all are taken (memory is bounded by `connections` mails).

        Then whoever holds most of them gives one up, as long as that leaves them no fewer than the newcomer has: one
        relay may use all, and nobody can keep all the others out.
        """
        staying = [session for session in self.sessions if not session.leaving]
        if len(staying) >= self._listen.connections:
            held = defaultdict[str, list[_Conversation]](list)
            for session in staying:
                held[session.peer].append(session)
            most = max(held.values(), key=len)
            if len(most) < len(held[peer]) + 2:
                return None
            min(most, key=lambda each: (each.receiving, each.since)).dismiss("4.3.2 Others wait, come again later")
        kind = _Lmtp if self._listen.protocol == "lmtp" else _Conversation
        return kind(self, peer, self._settings.max_bytes, self._tls, self._listen)

    async def close(self) -> None:
        """Cut all conversations: who has no 250 yet comes again."""
        sessions = list(self.sessions)
        for session in sessions:
            session.cut()
        await asyncio.gather(*(session.ended for session in sessions))

    async def handle_RCPT(  # noqa: N802  aiosmtpd's word
        self, _server: SMTP, _session: Any, envelope: Any, address: str, _options: Sequence[str]
    ) -> str:
        """Ours, or nobody's: we relay for no one."""
        if len(envelope.rcpt_tos) >= RECIPIENTS:
            return "452 4.5.3 Too many recipients"
        local, _, domain = address.lower().rpartition("@")
        names = {f"{local}@{domain}", f"{local.partition('+')[0]}@{domain}", f"@{domain}"}
        if not names & self._accept:
            return "550 5.1.1 No such mailbox here"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_exception(self, error: Exception) -> str:
        """A bug of ours is no reason for the sender to give up."""
        if isinstance(error, TLSSetupException):  # the peer's business: it didn't trust us, or spoke no TLS
            log.info("tls handshake failed: %r", error.__cause__)
        else:
            log.error("smtp conversation failed", exc_info=error)
        return "451 4.3.0 Try again later"

    async def take(self, session: Any, envelope: Any, raw: bytes) -> str:
        """Journal one mail; the answer for the sender."""
        large = len(raw) > BUFFER  # a digest that takes its time, off the loop
        key, fingerprint = await asyncio.to_thread(delivery_key, raw) if large else delivery_key(raw)
        facts = {
            "source": self._listen.protocol,
            "mail_from": _clean(envelope.mail_from),
            "rcpt": _clean(", ".join(envelope.rcpt_tos)),
            "peer": _clean(str((session.peer or ("",))[0])),
        }
        mail = Envelope(key=key, fingerprint=fingerprint, raw=raw, at=self._hub.clock.now(), facts=facts)
        try:
            received = await self._hub.receive(mail, wait=False)
        except Busy:
            return "451 4.3.2 Busy, try again later"
        except LeaseLost as error:
            if not self.lost.done():
                self.lost.set_exception(error)
            return "451 4.3.2 Moving, try again later"
        self._hub.alive()
        return f"250 2.6.0 Recorded as {received[0].id}"


def _clean(text: str) -> str:
    """A fact is plain text of bounded length; aiosmtpd decodes with surrogate escapes."""
    return text.encode("utf-8", "replace").decode()[:_FACT]


def _writable(transport: asyncio.BaseTransport) -> asyncio.WriteTransport:
    """Asserted for mypy alone: uvloop's transports do all that asyncio's do, and derive from none of its classes."""
    return cast("asyncio.WriteTransport", transport)


class _Door(asyncio.Protocol):
    """Hands a connection on to its conversation, or says that it is one too many."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        conversation = self._gate.admit(subscriber(str((transport.get_extra_info("peername") or ("",))[0])))
        if conversation is None:
            _writable(transport).write(b"421 4.3.2 Too many connections, try again later\r\n")
            transport.close()
            return
        transport.set_protocol(conversation)
        conversation.connection_made(transport)


class _Conversation(SMTP):
    """One connection."""

    line_length_limit = BUFFER

    def __init__(self, gate: Gate, peer: str, size: int, tls: ssl.SSLContext | None, listen: Listen) -> None:
        # aiosmtpd shares this table among all connections, where every EHLO raises its limits.
        self.command_size_limits = defaultdict(lambda: self.command_size_limit)
        loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = loop.create_future()
        self.peer, self.leaving, self.receiving, self.since = peer, False, False, loop.time()
        self._gate, self._size, self._idle = gate, size, listen.idle
        self._patience: asyncio.TimerHandle | None = None
        super().__init__(
            gate,
            data_size_limit=size,
            enable_SMTPUTF8=True,
            hostname=gate.hostname,  # else looked up in the DNS, blocking, for each connection
            ident="Trunkline",
            tls_context=tls,
            require_starttls=listen.require_tls,
            timeout=2 * listen.idle,  # ours comes first: NOOP and RSET don't put it off
            auth_exclude_mechanism=("LOGIN", "PLAIN"),
            loop=loop,
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._got_on(receiving=False)
        if self not in self._gate.sessions:  # STARTTLS makes the connection a second time
            self._gate.sessions[self] = None
            assert self._handler_coroutine is not None
            self._handler_coroutine.add_done_callback(self._done)

    def _got_on(self, *, receiving: bool) -> None:
        """A mail begins or is taken: from here on the peer has its time again."""
        self.receiving, self.since = receiving, self.loop.time()
        self._after(self._idle, lambda: self.dismiss("4.4.2 No mail for too long, come again later"))

    def _after(self, seconds: float, do: Callable[[], None]) -> None:
        if self._patience is not None:
            self._patience.cancel()
        self._patience = self.loop.call_later(seconds, do)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._gate.sessions.pop(self, None)
        if self._patience is not None:
            self._patience.cancel()
        self.ended.set_result(None)
        if not task.cancelled() and task.exception():
            log.debug("smtp conversation broke off", exc_info=task.exception())

    def dismiss(self, why: str) -> None:
        """Say 421 and close; what was not answered with 250 comes again."""
        self.leaving = True
        self._after(FAREWELL, self.cut)
        if self.transport is not None:
            _writable(self.transport).write(f"421 {why}\r\n".encode())
            self.transport.close()

    def cut(self) -> None:
        """Close without a word. Aborting alone leaves a session waiting for ever that is in its TLS handshake."""
        self.leaving = True
        if self.transport is not None:
            _writable(self.transport).abort()
        if self._handler_coroutine is not None:
            self._handler_coroutine.cancel()

    def replies(self, status: str) -> str:
        """What one mail is answered with: at LMTP one line for each recipient (RFC 2033 §4.2)."""
        assert self.envelope is not None
        return "\r\n".join([status] * (len(self.envelope.rcpt_tos) if isinstance(self, LMTP) else 1))

    async def smtp_DATA(self, arg: str | None) -> None:  # noqa: N802  aiosmtpd's word
        """Take one mail.

        Only CR LF . CR LF ends it, so that nothing is smuggled behind a bare LF; and a sender that doesn't wait for
        354 is refused, as no client may go on before it (RFC 2920 §3.1).
        """
        if await self.check_helo_needed():
            return
        assert self.envelope is not None
        assert self.transport is not None
        if not self.envelope.rcpt_tos or arg:
            await self.push("501 5.5.4 Syntax: DATA" if arg else "503 5.5.1 Error: need RCPT command")
            return
        if self._reader._buffer:  # type: ignore[attr-defined]  # noqa: SLF001  asyncio has no word for it
            await self.push("503 5.5.0 Error: wait for 354")
            self.transport.close()
            return
        self._reader.feed_data(b"\r\n")  # so that a lone dot in the very first line ends the mail too
        self._got_on(receiving=True)
        await self.push("354 End data with <CR><LF>.<CR><LF>")
        raw = await self._body()
        envelope = self.envelope
        status = "552 5.3.4 Error: too much mail data"
        if raw is not None:
            status = await self._gate.take(self.session, envelope, raw)
        self._got_on(receiving=False)
        await self.push(self.replies(status))
        self.envelope = self._create_envelope()

    async def _body(self) -> bytes | None:
        """Bytes up to the end mark; None if they are too many, of which no more than the limit are held.

        A line's first dot was doubled (RFC 5321 §4.5.2). It is taken away piece by piece, because one pass over a large
        hostile mail would hold up everybody else.
        """
        body, held, last = bytearray(), b"", False
        while not last:
            try:
                piece, last = held + await self._reader.readuntil(_END), True
                held = b""
            except asyncio.LimitOverrunError as over:  # no mark yet: what certainly is none of it
                piece = held + await self._reader.readexactly(over.consumed)
                kept = len(piece) - (2 if piece.endswith(b"\r\n") else piece.endswith(b"\r"))
                piece, held = piece[:kept], piece[kept:]  # the dot may come with the next piece
            if len(body) <= self._size + 4:
                body += piece.replace(b"\r\n.", b"\r\n")
        if len(body) > self._size + 4:  # the line ends that frame it
            return None
        return bytes(memoryview(body)[2:-2])


class _Lmtp(_Conversation, LMTP):
    """The same, greeted by LHLO."""
