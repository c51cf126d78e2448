"""`trunkline sample`: real traffic over the real protocols, and what became of each message."""

import asyncio
import secrets
import time
from typing import Annotated

from cyclopts import Parameter

from hub.cli.access import load
from hub.cli.common import DEFAULT, UNWELL, WELL, CommandError, Common
from hub.cli.output import as_json, err, table
from hub.cli.traffic import LOOK, PATIENCE, look, send


def sample(
    *,
    all_: Annotated[
        bool, Parameter(name="all", help="Every channel, in a hub of its own, vendors by stand-ins.", negative="")
    ] = False,
    common: Common = DEFAULT,
) -> int:
    """Send sample traffic and show what became of it.

    trunkline sample

    A mail by SMTP to each mailbox that listens, a form to each portal, a signed message to each webhook, a line in each
    chat, a contact at each desk. With --all, in a hub of its own that is thrown away: these, and every vendor's channel
    with a strict stand-in for the vendor, each with an agent's answer.
    """
    if all_:
        from hub.cli.sample_all import sample_all  # noqa: PLC0415  # it loads every stand-in

        return sample_all(as_json_=common.json)
    config = load(common)
    mark = secrets.token_hex(3)
    sent = asyncio.run(send(config, mark))
    if not sent:
        raise CommandError("no instance takes mail by SMTP, forms or signed messages: see trunkline plugins list")
    with err.status("Waiting for what becomes of them") as status:
        end = time.monotonic() + PATIENCE
        waiting = sent
        while waiting and time.monotonic() < end:
            waiting = [each for each in waiting if not look(config, each)]
            status.update(f"Waiting for what becomes of them: {len(waiting)} to go")
            time.sleep(LOOK)
    if common.json:
        as_json(sent)
    else:
        table(
            ("sent", "answer", "query", "acknowledgement"),
            (
                (
                    (f"{e.instance}, by {e.over}", e.subject),
                    (e.answer, e.receipt),
                    (e.reference or "not recorded yet", e.triage),
                    e.acknowledgement,
                )
                for e in sent
            ),
            wide="query",
        )
    return WELL if all(each.reference for each in sent) else UNWELL
