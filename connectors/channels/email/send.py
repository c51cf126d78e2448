"""Sending by SMTP: one step, one mail, the same bytes and Message-ID on every try.

SMTP knows no idempotency and can't be asked what it took (class C): a connection that is lost between the body and its
answer leaves a possible duplicate, which a person sees flagged.
"""

import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import format_datetime

from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPDataError,
    SMTPException,
    SMTPRecipientRefused,
    SMTPResponseException,
    SMTPSenderRefused,
    SMTPServerDisconnected,
)

from connectors.channels.email.access import access_token, tls_context
from connectors.channels.email.compose import addressed, blobs, fill, key_of
from connectors.channels.email.settings import EmailSettings, Smtp
from plugins import Attempt, Done, Egress, Pause, Refuse, Retry, Step, TrunklineError, Uncertain

_PERIOD = re.compile(rb"(?m)^\.")
_LOG_IN = {530, 534, 535, 538}


async def send(step: Step, attempt: Attempt, settings: EmailSettings) -> Done:
    """Send one rendered mail; without a server it is caught."""
    done = Done(ref=key_of(step.body), objects=(key_of(step.body),), caught=settings.smtp is None)
    if settings.smtp is None:
        return done
    data = [await attempt.blob(sha256) for sha256 in blobs(step.body)]
    date = f"Date: {format_datetime(attempt.clock.now())}\r\n".encode()
    async with connection(settings, attempt) as client:
        conversation = _Conversation(client, settings.smtp)
        await conversation.address(*addressed(step.body, settings))
        await conversation.data(date + fill(step.body, data), attempt)
    return done


@asynccontextmanager
async def connection(settings: EmailSettings, egress: Egress) -> AsyncIterator[SMTP]:
    """A connection, encrypted and logged in as configured; there is no way back to plain text."""
    smtp = settings.smtp
    assert smtp
    token = await access_token(egress, settings.oauth) if settings.oauth and smtp.user and not smtp.password else None
    plain = smtp.tls == "none"
    client = SMTP(
        hostname=smtp.host,
        port=smtp.port or {"tls": 465, "starttls": 587, "none": 25}[smtp.tls],
        use_tls=smtp.tls == "tls",
        start_tls=False,
        tls_context=None if plain else tls_context(smtp),
        timeout=smtp.timeout,
        local_hostname=settings.address.rpartition("@")[2],
    )
    try:
        try:
            await client.connect()
            if smtp.tls == "starttls":
                await _encrypt(client, smtp)
            if token:
                await client.auth_xoauth2(smtp.user, token.reveal())
            elif smtp.user and smtp.password:
                await client.login(smtp.user, smtp.password.reveal())
        except (SMTPException, OSError) as error:
            raise _before(error, smtp) from error
        yield client
        if client.protocol is not None:
            client.protocol.write(b"QUIT\r\n")  # its answer tells nothing that is worth waiting for
    finally:
        client.close()


async def _encrypt(client: SMTP, smtp: Smtp) -> None:
    await client.ehlo()
    if not client.supports_extension("starttls"):
        raise Pause(f"{smtp.host} offers no STARTTLS: nothing is sent in clear unless tls is none")
    await client.starttls()


class _Conversation:
    """MAIL, RCPT, DATA: each answer by what the hub does next."""

    def __init__(self, client: SMTP, smtp: Smtp) -> None:
        self._client, self._smtp = client, smtp

    async def address(self, sender: str, to: str) -> None:
        """Name sender and recipient."""
        try:
            await self._client.mail(sender)
            await self._client.rcpt(to)
        except (SMTPException, OSError) as error:
            raise _before(error, self._smtp) from error

    async def data(self, mail: bytes, attempt: Attempt) -> None:
        """Hand over the body. From its first byte on only an answer tells what became of it."""
        try:
            answer = await self._client.execute_command(b"DATA")
            if answer.code != 354:
                raise SMTPDataError(answer.code, answer.message)
            protocol = self._client.protocol
            if protocol is None:
                raise SMTPServerDisconnected("Connection lost")
        except (SMTPException, OSError) as error:
            raise _before(error, self._smtp) from error
        attempt.effect()
        try:
            protocol.write(_PERIOD.sub(b"..", mail) + b".\r\n")
            answer = await protocol.read_response(timeout=self._smtp.timeout)
        except (SMTPException, OSError) as error:
            raise Uncertain(f"{self._smtp.host} took the mail and gave no answer: {error}") from error
        if answer.code >= 300:
            raise _answered(answer.code, answer.message, "content_refused", self._smtp)


def _before(error: Exception, smtp: Smtp) -> TrunklineError:
    """An error before the body was sent: nothing can have happened."""
    cause = error.__cause__ if isinstance(error.__cause__, ssl.SSLError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return Pause(f"{smtp.host}: certificate refused: {cause.verify_message}")
    if type(error) is SMTPException:  # the library's own words: no log-in offered, none that we know
        return Pause(f"{smtp.host}: {error}")
    if isinstance(error, SMTPAuthenticationError) and error.code >= 500:
        return Pause(f"{smtp.host} refused the log-in of {smtp.user}: {error.code} {error.message[:300]}")
    if isinstance(error, SMTPResponseException):
        codes = {SMTPRecipientRefused: "recipient_refused", SMTPSenderRefused: "sender_refused"}
        return _answered(error.code, error.message, codes.get(type(error), "mail_refused"), smtp)
    return Retry(f"{smtp.host}: {error}")


def _answered(code: int, message: str, cause: str, smtp: Smtp) -> TrunklineError:
    """RFC 5321 §4.2.1: 4yz comes and goes, 5yz stays. Log-in codes of RFC 4954 concern all mail."""
    why = f"{smtp.host} said {code} {message[:300]}"
    if code in _LOG_IN:
        return Pause(why)
    return Refuse(cause, why) if code >= 500 else Retry(why)
