"""TLS at the listener, and how it stops."""

import asyncio
import contextlib
import smtplib
import ssl

import pytest

from connectors.channels.email.smtp_in import listening
from tests.certificates import Authority
from tests.connectors.email.kit import Journal, listen_settings
from tests.connectors.email.listener.talking import HELLO, port_of, send, talk


async def test_starttls_is_offered_with_a_certificate_and_can_be_required(authority: Authority):
    hub = Journal()
    cert, key = authority.issue("127.0.0.1")
    more = {"cert_file": str(cert), "key_file": str(key), "require_tls": True}
    context = ssl.create_default_context(cafile=str(authority.file))

    def encrypted(client: smtplib.SMTP) -> None:
        client.starttls(context=context)
        send()(client)

    async with port_of(hub, **more) as port:
        with pytest.raises(smtplib.SMTPSenderRefused):
            await talk(port, send())
        await talk(port, encrypted)
    assert len(hub.taken) == 1


async def test_stopping_leaves_an_unfinished_mail_unanswered():
    hub = Journal()
    async with port_of(hub) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await reader.readline()
        for piece in HELLO:
            writer.write(piece)
            while (await reader.readline())[3:4] == b"-":
                pass
        writer.write(b"Subject: half")
        await writer.drain()
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    writer.close()
    assert hub.taken == []


async def test_stopping_does_not_wait_for_a_tls_handshake(authority: Authority):
    cert, key = authority.issue("127.0.0.1")
    async with port_of(Journal(), cert_file=str(cert), key_file=str(key)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for piece in (b"EHLO a\r\n", b"STARTTLS\r\n"):
            writer.write(piece)
            while (await reader.readline())[3:4] == b"-":
                pass
    writer.close()


async def test_failed_tls_handshakes_leave_no_session_behind(authority: Authority):
    cert, key = authority.issue("127.0.0.1")
    settings = listen_settings(cert_file=str(cert), key_file=str(key))
    async with listening(Journal(), settings) as gate:
        for _ in range(3):
            with pytest.raises(ssl.SSLCertVerificationError):
                await talk(gate.port, lambda client: client.starttls(context=ssl.create_default_context()))
        async with asyncio.timeout(5):
            await asyncio.gather(*(session.ended for session in list(gate.sessions)))
        assert not gate.sessions
