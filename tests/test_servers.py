"""The servers that other tests stand on: they start, and the faults happen."""

import asyncio
import imaplib

import psycopg
import pytest

from tests.faultproxy import Fault, FaultProxy
from tests.servers import Dovecot, PostgreSQL, Redis, program


def test_delivered_mail_is_seen_by_imap_client(dovecot: Dovecot, mail_user: str):
    dovecot.deliver(mail_user, b"Subject: hi\r\n\r\nhello\r\n")
    with dovecot.client(mail_user) as client:
        assert client.select()[1] == [b"1"]


def test_bearer_token_logs_in_at_dovecot(dovecot: Dovecot, mail_user: str):
    with imaplib.IMAP4("127.0.0.1", dovecot.port) as client:
        token = f"user={mail_user}\1auth=Bearer {dovecot.bearer(mail_user)}\1\1"
        assert client.authenticate("XOAUTH2", lambda _: token.encode())[0] == "OK"


def test_uidvalidity_changes_when_uids_are_forgotten(dovecot: Dovecot, mail_user: str):
    dovecot.deliver(mail_user, b"Subject: hi\r\n\r\nhello\r\n")
    seen = []
    for _ in range(2):
        with dovecot.client(mail_user) as client:
            client.select()
            seen.append(client.response("UIDVALIDITY")[1])
        dovecot.forget_uids(mail_user)
    assert seen[0] != seen[1]


def test_database_is_fresh(postgresql: PostgreSQL, postgresql_url: str):
    with psycopg.connect(postgresql_url.replace("+psycopg", "")) as connection:
        connection.execute("CREATE TABLE t (x int)")
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (0,)


async def test_redis_answers_on_its_socket(redis_server: Redis):
    reader, writer = await asyncio.open_unix_connection(redis_server.socket)
    writer.write(b"PING\r\n")
    assert await reader.readline() == b"+PONG\r\n"
    writer.close()
    await writer.wait_closed()


def test_missing_program_is_an_error_that_names_the_way_out():
    with pytest.raises(FileNotFoundError, match="make test"):
        program("no-such-program")


async def test_proxy_without_fault_passes_everything(smtp_sink):
    async with FaultProxy("127.0.0.1", smtp_sink.port) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        assert (await reader.readline()).startswith(b"220 sink.test")
        writer.close()
        await writer.wait_closed()
        assert proxy.began == 0


async def test_proxy_resets_after_bytes(smtp_sink):
    async with FaultProxy("127.0.0.1", smtp_sink.port, Fault(reset_after=5)) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(100)
        writer.close()
        assert proxy.began == 1
