"""An SMTP server that records what it is sent and misbehaves on demand (aiosmtpd, on the test's own loop)."""

import asyncio
import dataclasses
import ssl
import warnings
from typing import Any, Self

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


@dataclasses.dataclass
class Taken:
    """One mail that the sink has read to its end, whatever it answered."""

    mail_from: str
    rcpt: list[str]
    raw: bytes
    tls: bool


class SmtpSink:
    """`async with SmtpSink() as sink:` listens on `127.0.0.1:sink.port`; what arrived is in `sink.taken`.

    `tls`: "none", "starttls" or "tls", with a server `context`. `answers` scripts replies by step (`MAIL`, `RCPT`,
    `DATA`); a list is used up one by one, then 250 again. `drop` cuts the connection after the body was read and
    before it is answered. `password`: log-in is required, with any user.
    """

    def __init__(self, *, tls: str = "none", context: ssl.SSLContext | None = None, password: str = "") -> None:
        self.taken: list[Taken] = []
        self.answers: dict[str, list[str]] = {}
        self.drop = False
        self.port = 0
        self._tls, self._context, self._password = tls, context, password
        self._protocols: list[SMTP] = []

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        context = self._context if self._tls == "tls" else None
        self._server = await loop.create_server(self._protocol, "127.0.0.1", 0, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for protocol in self._protocols:
            if protocol.transport is not None:
                protocol.transport.abort()  # type: ignore[attr-defined]
        tasks = [protocol._handler_coroutine for protocol in self._protocols if protocol._handler_coroutine]
        for task in tasks:
            task.cancel()  # aborting is not enough in the middle of a TLS handshake
        await asyncio.gather(*tasks, return_exceptions=True)

    def _protocol(self) -> SMTP:
        with warnings.catch_warnings(action="ignore"):  # log-in without TLS is what some tests are about
            protocol = self._server_side()
        self._protocols.append(protocol)
        return protocol

    def _server_side(self) -> SMTP:
        return SMTP(
            self,
            hostname="sink.test",
            loop=asyncio.get_running_loop(),
            enable_SMTPUTF8=True,
            tls_context=self._context if self._tls == "starttls" else None,
            require_starttls=self._tls == "starttls",
            auth_required=bool(self._password),
            auth_require_tls=False,
            authenticator=self._log_in if self._password else None,
        )

    def _log_in(self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any) -> AuthResult:
        good = isinstance(data, LoginPassword) and data.password == self._password.encode()
        return AuthResult(success=good, handled=False)

    def _scripted(self, step: str) -> str:
        return self.answers[step].pop(0) if self.answers.get(step) else "250 OK"

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's word
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _: object
    ) -> str:
        answer = self._scripted("MAIL")
        if answer.startswith("250"):
            envelope.mail_from = address
        return answer

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's word
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _: object
    ) -> str:
        answer = self._scripted("RCPT")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        tls = session.ssl is not None or self._tls == "tls"
        raw = envelope.original_content or b""
        self.taken.append(Taken(envelope.mail_from or "", list(envelope.rcpt_tos), raw, tls))
        if self.drop:
            server.transport.abort()  # type: ignore[union-attr]
            await asyncio.sleep(0)
        return self._scripted("DATA")
