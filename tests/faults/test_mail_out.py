"""kill -9 around the one effect of an acknowledgement by mail, which no server can be asked about (R7, class C)."""

import asyncio
from email import message_from_bytes
from pathlib import Path
from typing import Any

import aiosmtplib
import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session
from sqlalchemy import text

from bench.faults.place import PLAIN_RULES
from bench.faults.served import Served
from context_store.reader import reading
from tests.servers import free_port, room
from tests.smtpsink import SmtpSink

pytestmark = pytest.mark.timeout(300)
CONFIG = """
[hub]
listen = "127.0.0.1:{web}"
[hub.delivery]
schedule = [0.05]
lease = 1.0
poll = 0.1
[plugins]
entry_points = false
[instance.mail]
kind = "email"
address = "desk@hub.test"
listen = {{ port = {smtp} }}
smtp = {{ host = "127.0.0.1", port = {sink}, tls = "none" }}
[instance.querylog]
kind = "querylog"
"""
MAIL = b"From: Ann <ann@acme.test>\r\nTo: desk@hub.test\r\nSubject: VPN\r\nMessage-ID: <1@acme.test>\r\n\r\nHelp\r\n"


class Slow(SmtpSink):
    """So slow that the query log's effect, the only other one, is had and settled long before the mail's."""

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        await asyncio.sleep(0.7)
        return await super().handle_DATA(server, session, envelope)


def delivery(folder: Path) -> Any:
    """(state, may it be a duplicate?) of the one acknowledgement; None before it is recorded."""
    with reading(f"sqlite:///{folder}/var/trunkline.db") as conn:
        return conn.execute(text("SELECT state, maybe_duplicate FROM outbox WHERE kind = 'delivery'")).first()


@pytest.mark.parametrize(
    ("point", "mails", "flagged"),
    [
        ("out.before_send:2", 1, True),  # nothing went out, but nobody can know
        ("out.sent:2", 2, True),  # it went out, and we did not write that down
        ("out.recorded:2", 1, False),  # we did
    ],
)
async def test_what_may_have_gone_out_goes_again_under_its_message_id_and_is_flagged(
    point: str, mails: int, *, flagged: bool
):
    web, smtp = free_port(), free_port()
    with room("hub") as folder:
        (folder / "rules.toml").write_text(PLAIN_RULES)
        async with Slow() as sink:
            (folder / "plugins.toml").write_text(CONFIG.format(web=web, smtp=smtp, sink=sink.port))
            served = Served(folder / "plugins.toml", web)
            served.start({"TRUNKLINE_CRASH": point})
            try:
                await served.ready()
                await handed_over(smtp)
                assert await served.ended(60) == -9
                served.start()
                async with asyncio.timeout(60):
                    while (found := await asyncio.to_thread(delivery, folder))[0] != "done":  # noqa: ASYNC110
                        await asyncio.sleep(0.1)
            finally:
                await served.kill()
    assert bool(found.maybe_duplicate) is flagged
    assert len(sink.taken) == mails
    assert len({message_from_bytes(one.raw)["Message-ID"] for one in sink.taken}) == 1


async def handed_over(port: int) -> None:
    """As soon as the listener stands."""
    async with asyncio.timeout(60):
        while True:
            try:
                async with aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False) as client:
                    await client.sendmail("ann@acme.test", ["desk@hub.test"], MAIL)
            except aiosmtplib.SMTPConnectError:
                await asyncio.sleep(0.1)
            else:
                return
