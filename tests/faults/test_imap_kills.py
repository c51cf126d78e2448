"""kill -9 around the one change that the hub makes at a mailbox: the move of what is recorded (R1, F52)."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import text

from bench.faults.place import PLAIN_RULES
from bench.faults.served import Served
from context_store.reader import reading
from tests.connectors.email.kit import ADDRESS, mail
from tests.faultproxy import Fault, FaultProxy
from tests.servers import Dovecot, free_port, room

pytestmark = pytest.mark.timeout(300)
MAILS = 6
CONFIG = """
[hub]
listen = "127.0.0.1:{web}"
[plugins]
entry_points = false
[instance.mail]
kind = "email"
address = "{address}"
[instance.mail.imap]
host = "127.0.0.1"
port = {imap}
tls = "none"
user = "{user}"
password = "file:password"
move_to = "Done"
poll = 1
[instance.querylog]
kind = "querylog"
"""


def configured(folder: Path, dovecot: Dovecot, user: str, imap: int) -> Served:
    web = free_port()
    (folder / "password").write_text(dovecot.password)
    (folder / "password").chmod(0o600)
    (folder / "rules.toml").write_text(PLAIN_RULES)
    (folder / "plugins.toml").write_text(CONFIG.format(web=web, imap=imap, user=user, address=ADDRESS))
    return Served(folder / "plugins.toml", web)


def recorded(folder: Path) -> list[str]:
    with reading(f"sqlite:///{folder}/var/trunkline.db") as conn:
        if conn.scalar(text("SELECT count(*) FROM envelopes WHERE state <> 'done'")):
            return []
        return sorted(conn.scalars(text("SELECT subject FROM messages WHERE direction = 'in'")))


async def all_moved(dovecot: Dovecot, user: str) -> None:
    async with asyncio.timeout(60):
        while True:
            with dovecot.client(user) as client:
                found = {name: client.select(name, readonly=True)[1][0] for name in ("INBOX", "Done")}
            if found == {"INBOX": b"0", "Done": str(MAILS).encode()}:
                return
            await asyncio.sleep(0.2)


@pytest.mark.parametrize("moment", ["journaled", "before the move", "after the move"])
async def test_a_kill_around_the_move_loses_and_doubles_no_mail(dovecot: Dovecot, mail_user: str, moment: str):
    with dovecot.client(mail_user) as client:
        client.create("Done")
    for number in range(MAILS):
        dovecot.deliver(mail_user, mail(number))
    # deaf: the command never arrives; mute: it is done, and nobody hears of it
    fault = {"before the move": Fault(b"MOVE", deaf=True), "after the move": Fault(b"MOVE", mute=True)}.get(moment)
    with room("hub") as folder:
        async with FaultProxy("127.0.0.1", dovecot.port, fault) as proxy:
            served = configured(folder, dovecot, mail_user, proxy.port)
            served.start({"TRUNKLINE_CRASH": "port.received:1"} if fault is None else None)
            try:
                async with asyncio.timeout(60):
                    while served.exitcode is None and not (fault and proxy.began):  # noqa: ASYNC110  # another process
                        await asyncio.sleep(0.005)
                await served.kill()
                proxy.fault = Fault()
                served.start()
                await served.ready()
                await all_moved(dovecot, mail_user)
                async with asyncio.timeout(30):
                    while not (found := await asyncio.to_thread(recorded, folder)):  # noqa: ASYNC110
                        await asyncio.sleep(0.1)
            finally:
                await served.kill()
    assert found == [f"Matter {number}" for number in range(MAILS)]
