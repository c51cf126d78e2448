"""Reading a mailbox by IMAP: our own table of UIDs is the truth, never a flag that a phone may set.

The cursor of a folder moves in the transaction that stores its mails, so that nothing is skipped or taken twice by a
crash; what a changed UIDVALIDITY brings again is told by the hub from key and fingerprint (RFC 9051 §2.3.1.1).
"""

import asyncio
import contextlib
import imaplib
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, ParamSpec, TypeVar

import msgspec
from imapclient.exceptions import ProtocolError

from connectors.channels.email.access import access_token
from connectors.channels.email.keys import delivery_key
from connectors.channels.email.mailbox import Body, Mailbox, Opened, Row, Worker
from connectors.channels.email.settings import EmailSettings, Imap
from plugins import Egress, Envelope, HubPort, Pause, Retry

P = ParamSpec("P")
T = TypeVar("T")

WINDOW = 50_000
"""UIDs asked for by one SEARCH: its answer is one line, and imaplib takes at most 1,000,000 bytes of one."""
ROWS = 500
BATCH_COUNT = 100
BATCH_BYTES = 8 << 20
"""Mails held in memory at once: so many, of together so many bytes; a larger one travels alone."""
SKEW = timedelta(minutes=1)
"""By which INTERNALDATE, in whole seconds of the server's clock, may lag: rather a mail too many than one too few."""
GRACE = 0.5
"""Seconds for a good-bye: `run` must end within one when it is cancelled."""
TRIES = 10
"""Sessions that ask for a mail that the server refuses; with the pauses between them some ten minutes."""
MOST_LEFT = 500
"""Mails of a folder that are given up: a server that refuses more is out of order, so it is tried until it is not."""
AGAIN = timedelta(hours=1)
"""How often a session asks again for the mails that were given up; the first time when it begins."""


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """How far a folder was read."""

    validity: int
    uid: int
    since: datetime | None = None
    """`start = "new"`: when the folder was first seen."""
    old: int = 0
    """Up to this UID only mails that came after `since` are ours; so a rescan brings no older ones."""
    stuck: int = 0
    """The UID that was refused last, and how often."""
    tries: int = 0
    left: tuple[int, ...] = ()
    """Given up, parked, never moved, and asked for again."""

    def ours(self, row: Row) -> bool:
        """Is this mail to be taken at all?"""
        return self.since is None or row.uid > self.old or row.at >= self.since


async def read_mailbox(hub: HubPort, settings: EmailSettings) -> None:
    """Read until cancelled. Raises Retry when the session breaks and Pause when the server refuses us."""
    assert settings.imap
    async with session(hub, settings) as opened:
        reader = _Reader(hub, settings.imap, *opened)
        while True:
            for folder in settings.imap.folders:
                await reader.sync(folder)
            await reader.wait()


@contextlib.asynccontextmanager
async def session(egress: Egress, settings: EmailSettings) -> AsyncIterator[tuple[Mailbox, Worker]]:
    """A session, logged in; closed whatever happens, within `GRACE`."""
    imap = settings.imap
    assert imap
    token = await access_token(egress, settings.oauth) if settings.oauth and not imap.password else None
    mailbox = Mailbox(imap, settings.oauth, settings.max_bytes)
    worker = Worker(mailbox.close)
    try:
        with _translated(imap):
            await worker.call(imap.timeouts.connect, mailbox.connect)
            await worker.call(imap.timeouts.login, mailbox.login, token)
        yield mailbox, worker
    finally:
        mailbox.abort()
        await worker.stop(GRACE)


@contextlib.contextmanager
def _translated(imap: Imap) -> Iterator[None]:
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise Pause(f"{imap.host}: certificate refused: {error.verify_message}") from error
    except TimeoutError as error:
        raise Retry(f"{imap.host} did not answer in time") from error
    except (imaplib.IMAP4.error, ProtocolError, OSError, EOFError) as error:
        raise Retry(f"{imap.host}: {error}") from error


class _Reader:
    """One session at work."""

    def __init__(self, hub: HubPort, imap: Imap, mailbox: Mailbox, worker: Worker) -> None:
        self._hub, self._imap, self._mailbox, self._worker = hub, imap, mailbox, worker
        self._cursors: dict[str, Cursor] = {}
        self._asked: dict[str, datetime] = {}

    async def sync(self, folder: str) -> None:
        """Take everything that is new in a folder, in batches."""
        opened = await self._call(self._imap.timeouts.select, self._mailbox.select, folder)
        cursor = await self._cursor(folder, opened)
        await self._ask_again(folder)
        low = cursor.uid + 1
        while low < opened.next:
            high = min(low + WINDOW, opened.next) - 1
            uids = await self._fetch(self._mailbox.search, low, high)
            for chunk in _chunks(uids, ROWS):
                await self._take(folder, chunk)
            self._cursors[folder] = msgspec.structs.replace(self._cursors[folder], uid=high)
            low = high + 1

    async def wait(self) -> None:
        """Until the server says that something is new, or it is time to look again."""
        if not self._mailbox.can_idle:
            await asyncio.sleep(self._imap.poll)
            return
        limits, first = self._imap.timeouts, self._imap.folders[0]
        opened = await self._call(limits.select, self._mailbox.select, first)
        if opened.next > self._cursors[first].uid + 1:  # came meanwhile: IDLE would not tell of it again
            return
        spoken = await self._call(limits.idle, self._mailbox.idle)
        if not spoken:
            await self._readable()
        await self._call(limits.idle, self._mailbox.idle_done)

    async def _readable(self) -> None:
        loop, spoke, sock = asyncio.get_running_loop(), asyncio.Event(), self._mailbox.socket
        assert sock is not None
        number = sock.fileno()
        loop.add_reader(number, spoke.set)
        try:
            async with asyncio.timeout(self._imap.poll):
                await spoke.wait()
        except TimeoutError:
            pass
        finally:
            loop.remove_reader(number)

    async def _cursor(self, folder: str, opened: Opened) -> Cursor:
        known = self._cursors.get(folder)
        fresh = known is None
        if known is None:
            stored = await self._hub.cursor(self._name(folder))
            known = msgspec.json.decode(stored, type=Cursor) if stored else await self._first(folder, opened)
        if known.validity != opened.validity:
            known = Cursor(validity=opened.validity, uid=0, since=known.since, old=opened.next - 1)
        self._cursors[folder] = known
        if fresh and self._imap.move_to:
            await self._sweep(known)
        return known

    async def _first(self, folder: str, opened: Opened) -> Cursor:
        if self._imap.start == "all":
            return Cursor(validity=opened.validity, uid=0)
        last, since = opened.next - 1, self._hub.clock.now() - SKEW
        cursor = Cursor(validity=opened.validity, uid=last, since=since, old=last)
        await self._hub.receive(cursor=msgspec.json.encode(cursor), name=self._name(folder))
        return cursor

    async def _sweep(self, cursor: Cursor) -> None:
        """Move what a session took that died before it could."""
        for low in range(1, cursor.uid + 1, WINDOW):
            for chunk in _chunks(await self._fetch(self._mailbox.search, low, min(low + WINDOW - 1, cursor.uid)), ROWS):
                rows = await self._fetch(self._mailbox.rows, chunk)
                if ours := [row.uid for row in rows if cursor.ours(row) and row.uid not in cursor.left]:
                    await self._fetch(self._mailbox.move, ours)

    async def _take(self, folder: str, uids: Sequence[int]) -> None:
        cursor = self._cursors[folder]
        rows = [row for row in await self._fetch(self._mailbox.rows, uids) if cursor.ours(row)]
        for batch in _batches(rows):
            bodies = await self._fetch(self._mailbox.bodies, batch)
            left = tuple(body.row.uid for body in bodies if body.refused)
            if left:
                await self._be_patient(folder, bodies)
            await self._record(folder, bodies, uid=batch[-1].uid, left=self._cursors[folder].left + left)

    async def _be_patient(self, folder: str, bodies: Sequence[Body]) -> None:
        """Record what stands before the first refused mail, and raise Retry; return when it was asked for often enough.

        Its neighbours were asked for as often: they are given up together.
        """
        cursor = self._cursors[folder]
        at = next(number for number, body in enumerate(bodies) if body.refused)
        uid = bodies[at].row.uid
        tries = cursor.tries + 1 if cursor.stuck == uid else 1
        if tries >= TRIES and len(cursor.left) < MOST_LEFT:
            return
        await self._record(folder, bodies[:at], uid=uid - 1, stuck=uid, tries=tries)
        raise Retry(f"{self._imap.host} refuses mail {uid} of {folder} ({tries}): {bodies[at].refused}")

    async def _ask_again(self, folder: str) -> None:
        """Take what was given up and can be read by now; what is there no more is forgotten."""
        cursor, now = self._cursors[folder], self._hub.clock.now()
        if not cursor.left or (folder in self._asked and now - self._asked[folder] < AGAIN):
            return
        self._asked[folder] = now
        rows = await self._fetch(self._mailbox.rows, cursor.left)
        left = {row.uid for row in rows}
        for batch in _batches(rows):
            whole = [body for body in await self._fetch(self._mailbox.bodies, batch) if not body.refused]
            left -= {body.row.uid for body in whole}
            await self._record(folder, whole, left=tuple(sorted(left)))
        self._cursors[folder] = msgspec.structs.replace(self._cursors[folder], left=tuple(sorted(left)))

    async def _record(self, folder: str, bodies: Sequence[Body], **changes: Any) -> None:
        """Store mails together with what changes of the cursor; then move those that were had."""
        cursor = msgspec.structs.replace(self._cursors[folder], **changes)
        envelopes = await self._fetch(self._envelopes, folder, bodies)
        await self._hub.receive(*envelopes, cursor=msgspec.json.encode(cursor), name=self._name(folder))
        self._cursors[folder] = cursor
        uids = [body.row.uid for body in bodies if not body.refused]
        if self._imap.move_to and uids:
            await self._fetch(self._mailbox.move, uids)

    def _envelopes(self, folder: str, bodies: Sequence[Body]) -> list[Envelope]:
        """On the worker's thread: digests of large mails take their time."""
        now, validity = self._hub.clock.now(), self._cursors[folder].validity
        return [_envelope(body, folder, validity, now) for body in bodies]

    async def _fetch(self, job: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._call(self._imap.timeouts.fetch, job, *args, **kwargs)

    async def _call(self, seconds: float, job: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        with _translated(self._imap):
            answer = await self._worker.call(seconds, job, *args, **kwargs)
        self._hub.alive()
        return answer

    def _name(self, folder: str) -> str:
        """Another account or server is another cursor, even where both count from the same UIDVALIDITY."""
        return f"imap:{self._imap.user}@{self._imap.host}/{folder}"


def _envelope(body: Body, folder: str, validity: int, now: datetime) -> Envelope:
    """A mail that was refused goes by its place: read later, it comes under its own key."""
    row, place = body.row, f"{folder}:{validity}:{body.row.uid}"
    key, fingerprint = delivery_key(body.raw) if body.raw and not body.refused else (place, b"")
    facts = {"source": "imap", "place": place, "size": str(row.size)} | ({"cut": body.cut} if body.cut else {})
    if body.refused:
        facts["refused"] = body.refused
    return Envelope(key=key, fingerprint=fingerprint, raw=body.raw, at=min(row.at, now), facts=facts)


def _chunks(uids: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(uids), size):
        yield uids[start : start + size]


def _batches(rows: Sequence[Row]) -> Iterator[list[Row]]:
    batch: list[Row] = []
    held = 0
    for row in rows:
        if batch and (len(batch) >= BATCH_COUNT or held + row.size > BATCH_BYTES):
            yield batch
            batch, held = [], 0
        batch.append(row)
        held += row.size
    if batch:
        yield batch
