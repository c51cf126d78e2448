"""A mailbox at a real Dovecot and a real hub that reads it: SQLite, outgoing mail caught, nothing else configured."""

import asyncio
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from msgspec import json as msgjson
from sqlalchemy import Connection, text

from bench.corpus.account import Delivered, Kept
from context_store.blobs import BlobStore
from context_store.pending import tallies_by_instance
from hub.app import Hub, build
from hub.config import load_config
from plugins import Claim, Fold, Identity, Media, Message
from tests.servers import Dovecot

USER = "desk"
PATIENCE = 180.0
"""Seconds until all must have come to rest: far more than it takes."""
PLUGINS = """
[hub]
name = "Desk"
listen = "127.0.0.1:0"
rules = "{rules}"
[hub.delivery]
poll = 0.05
[plugins]
entry_points = false
[instance.mail]
kind = "email"
address = "support@hub.example"
[instance.mail.imap]
host = "127.0.0.1"
port = {port}
tls = "none"
user = "{user}"
password = "env:MAILBOX"
folders = {folders}
poll = 0.2
[instance.querylog]
kind = "querylog"
"""


class Desk:
    """One installation in `folder`; it may be started again."""

    def __init__(self, folder: Path, dovecot: Dovecot, folders: Sequence[str]) -> None:
        self.hub: Hub
        self._dovecot = dovecot
        self._file = folder / "plugins.toml"
        rules = Path(__file__).parents[2] / "rules.toml"
        self._file.write_text(
            PLUGINS.format(rules=rules, port=dovecot.port, user=USER, folders=json.dumps(list(folders)))
        )
        with dovecot.client(USER) as client:
            for name in folders:
                if name != "INBOX":
                    client.create(name)

    async def start(self) -> None:
        config = await asyncio.to_thread(load_config, self._file, {"MAILBOX": Dovecot.password})
        self.hub = build(config)
        await self.hub.start()

    async def stop(self) -> None:
        await self.hub.drain()
        await self.hub.stop()

    async def settle(self, **mails: int) -> None:
        """Until the cursor has passed so many mails in each folder named, and all that follows from them is done.

        Nothing is ever deleted there, so UIDs count mails; what UIDNEXT says may lag behind a delivery by a second.
        """
        for name, count in mails.items():
            validity = await asyncio.to_thread(self._validity, name)
            await self._until(_passed, f"/{name}", validity, count)
        await self._until(_at_rest)

    async def _until(self, true: Callable[..., bool], *facts: Any) -> None:
        async with asyncio.timeout(PATIENCE):
            while not await self.hub.store.read(true, *facts):  # noqa: ASYNC110  the store tells nobody
                await asyncio.sleep(0.02)

    def _validity(self, name: str) -> int:
        with self._dovecot.client(USER) as client:
            answer = client.status(name, "(UIDVALIDITY)")[1][0].decode()
        return int(answer.rpartition(" ")[2].strip("()"))

    # ---- what is there -----------------------------------------------------------------------------------

    def delivered(self, names: dict[str, str]) -> list[Delivered]:
        """Every mail of the inbox, read by another client. `names`: file → name in the manifest."""
        uids = self._dovecot.uids(USER)
        mails = []
        with self._dovecot.client(USER) as client:
            client.select("INBOX", readonly=True)
            for file, name in names.items():
                (_, raw), *_ = client.uid("FETCH", str(uids[file]), "(BODY.PEEK[])")[1]
                mails.append(Delivered(name, uids[file], raw))
        return mails

    async def kept(self) -> list[Kept]:
        return await self.hub.store.read(_kept, self.hub.blobs)

    async def counts(self) -> dict[str, int]:
        """The tallies, and `messages` that came in."""
        tallies = (await self.hub.store.read(tallies_by_instance)).get("mail", {})
        return {**tallies, "messages": await self.hub.store.read(_messages)}

    async def work(self) -> dict[str, int]:
        """What left, or could not: `delivery done`, `delivery parked` and so on."""
        return await self.hub.store.read(_work)


def _passed(conn: Connection, ending: str, validity: int, uid: int) -> bool:
    stored = {
        name: json.loads(value)
        for name, value in conn.execute(text("SELECT name, value FROM cursors WHERE instance <> ''"))
    }
    return any(name.endswith(ending) and (at["validity"], at["uid"]) == (validity, uid) for name, at in stored.items())


def _at_rest(conn: Connection) -> bool:
    pending = "SELECT count(*) FROM envelopes WHERE state = 'pending'"
    work = "SELECT count(*) FROM outbox WHERE state IN ('queued', 'leased', 'uncertain')"
    return not (conn.scalar(text(pending)) or conn.scalar(text(work)))


def _messages(conn: Connection) -> int:
    return int(conn.scalar(text("SELECT count(*) FROM messages WHERE direction = 'in'")) or 0)


def _work(conn: Connection) -> dict[str, int]:
    rows = conn.execute(text("SELECT kind, state, coalesce(cause, ''), count(*) FROM outbox GROUP BY 1, 2, 3"))
    return {f"{kind} {state} {cause}".strip(): count for kind, state, cause, count in rows}


def _kept(conn: Connection, blobs: BlobStore) -> list[Kept]:
    outcomes: dict[int, list[tuple[str, str]]] = {}
    for envelope, outcome, reason in conn.execute(text("SELECT envelope_id, outcome, reason FROM items ORDER BY n")):
        outcomes.setdefault(envelope, []).append((outcome, reason))
    messages = _stored_messages(conn)
    rows = conn.execute(text("SELECT id, facts, raw, raw_sha, state, cause FROM envelopes ORDER BY id"))
    return [
        Kept(
            id=row.id,
            uid=int(json.loads(row.facts)["facts"]["place"].rpartition(":")[2]),
            sha=sha256(row.raw if row.raw is not None else blobs.get(conn, row.raw_sha)).digest(),
            state=row.state,
            cause=row.cause or "",
            outcomes=outcomes.get(row.id, ()),
            messages=messages.get(row.id, ()),
        )
        for row in rows
    ]


def _stored_messages(conn: Connection) -> dict[int, list[Message]]:
    """By envelope, as far as the corpora expect something of a message."""
    files: dict[int, list[Media]] = {}
    for message, name in conn.execute(text("SELECT message_id, name FROM attachments ORDER BY message_id, n")):
        files.setdefault(message, []).append(Media(name=name))
    found: dict[int, list[Message]] = {}
    rows = conn.execute(
        text(
            "SELECT m.*, i.value AS sender FROM messages AS m JOIN identities AS i ON i.id = m.identity_id "
            "WHERE m.direction = 'in' ORDER BY m.id"
        )
    )
    for row in rows:
        message = Message(
            key=row.key,
            sender=Claim(identity=Identity(scheme="email", value=row.sender)),
            at=datetime.fromtimestamp(row.at / 1000, UTC),
            text=row.text,
            folds=msgjson.decode(row.folds, type=list[Fold]),
            subject=row.subject,
            kind=row.kind,
            automatic=row.automatic,
            media=files.get(row.id, ()),
        )
        found.setdefault(row.envelope_id, []).append(message)
    return found
