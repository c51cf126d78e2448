"""Senders that talk to the listener: by smtplib in a thread, and byte by byte."""

import asyncio
import smtplib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from connectors.channels.email.smtp_in import listening
from tests.connectors.email.kit import ADDRESS, Journal, listen_settings, mail


@asynccontextmanager
async def port_of(hub: Journal, **more: Any) -> AsyncIterator[int]:
    async with listening(hub, listen_settings(**more)) as gate:
        yield gate.port


async def talk(port: int, work: Callable[[Any], Any], kind: Any = smtplib.SMTP) -> Any:
    """smtplib blocks: the sender is a thread."""

    def run() -> Any:
        with kind("127.0.0.1", port, timeout=10) as client:
            return work(client)

    return await asyncio.to_thread(run)


def send(*recipients: str, raw: bytes = b"", sender: str = "ann@acme.test") -> Callable[[Any], Any]:
    return lambda client: client.sendmail(sender, list(recipients) or [ADDRESS], raw or mail(1))


async def raw_talk(port: int, *pieces: bytes) -> list[bytes]:
    """Every line that is answered to these bytes, each piece sent when the last one was answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = [await reader.readline()]
    for piece in pieces:
        writer.write(piece)
        lines.append(await asyncio.wait_for(reader.readline(), 5))
        while lines[-1][3:4] == b"-":
            lines.append(await reader.readline())
    writer.close()
    await writer.wait_closed()
    return lines


def rcpt() -> bytes:
    return f"RCPT TO:<{ADDRESS}>\r\n".encode()


HELLO = (b"EHLO a\r\n", b"MAIL FROM:<a@b.test>\r\n", rcpt(), b"DATA\r\n")
