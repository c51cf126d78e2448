"""One IMAP session: blocking calls, and the thread that makes them.

imapclient blocks, so every call runs on a daemon thread of its own; the loop waits for it under a deadline and can
always leave: shutting the socket down wakes the thread, and a thread that hangs in a name look-up is left behind.
"""

import asyncio
import concurrent.futures
import contextlib
import imaplib
import queue
import re
import socket
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, ParamSpec, TypeVar

from imapclient import IMAPClient, SocketTimeout
from imapclient.exceptions import LoginError

from connectors.channels.email.access import tls_context
from connectors.channels.email.headers import clean
from connectors.channels.email.settings import Imap, OAuth
from plugins import BadConfig, Pause, Problem, Secret

P = ParamSpec("P")
T = TypeVar("T")

_PASSING = re.compile(r"\[(?:UNAVAILABLE|INUSE|LIMIT|SERVERBUG)\]", re.IGNORECASE)
_OUTAGE = re.compile(r"\[(?:UNAVAILABLE|INUSE|LIMIT)\]", re.IGNORECASE)
"""Of the whole mailbox, for as long as it lasts. Dovecot says SERVERBUG also of a single mail that is damaged."""

NOTHING = "the server sent nothing of it"

HEAD = 256 * 1024
"""Bytes fetched of a mail that is too large: all headers, and enough to see what it is."""


class Opened(NamedTuple):
    """What SELECT says of a folder (RFC 9051 §6.3.2)."""

    validity: int
    next: int
    """A new mail will have this UID or a higher one."""


class Row(NamedTuple):
    """One mail before it is fetched."""

    uid: int
    size: int
    at: datetime
    """INTERNALDATE: when the mailbox got it; far away if the server doesn't know."""


class Body(NamedTuple):
    """One mail as fetched."""

    row: Row
    raw: bytes
    cut: str
    """Why `raw` is not the whole mail: "too large", or "unreadable" where the server can't read its own. Else ""."""
    refused: str = ""
    """The server's words where it gave less than we asked for: it may still give it later. Then `raw` may be empty."""


class Mailbox:
    """An IMAP session; every method blocks and belongs to the worker's thread, except `abort`."""

    def __init__(self, settings: Imap, oauth: OAuth | None, max_bytes: int) -> None:
        self.socket: socket.socket | None = None
        """For polling only, while IDLE."""
        self.can_idle = False
        self._settings, self._oauth, self._max_bytes = settings, oauth, max_bytes
        self._client: Any = None
        self._gone = False

    def connect(self) -> None:
        """TCP, TLS, greeting; with `tls = "starttls"` a server that doesn't offer it is refused."""
        settings, limits = self._settings, self._settings.timeouts
        implicit = settings.tls == "tls"
        self._client = IMAPClient(
            settings.host,
            settings.port or (993 if implicit else 143),
            ssl=implicit,
            ssl_context=tls_context(settings) if implicit else None,
            timeout=SocketTimeout(limits.connect, limits.fetch),
        )
        self.socket = self._client.socket()
        self._client.normalise_times = False
        if self._gone:  # the loop has given up meanwhile
            self.close()
        elif settings.tls == "starttls":
            if not self._client.has_capability("STARTTLS"):
                raise Pause(f"{settings.host} offers no STARTTLS: nothing is sent in clear unless tls is none")
            self._client.starttls(tls_context(settings))
            self.socket = self._client.socket()

    def login(self, token: Secret | None) -> None:
        """By bearer token where there is one, else by password.

        Raises:
            Pause: refused; a person must act.
            BadConfig: mails should be moved and the server has no safe way to.
        """
        try:
            self._login(token)
        except LoginError as error:  # also where the line broke, or the server can't tell now (RFC 5530 §3)
            if isinstance(error.__context__, imaplib.IMAP4.abort) or _PASSING.search(str(error)):
                raise error.__context__ or error from None
            raise Pause(f"{self._settings.host} refused the log-in of {self._settings.user}: {error}") from None
        self.can_idle = self._client.has_capability("IDLE")
        movable = self._client.has_capability("MOVE") or self._client.has_capability("UIDPLUS")
        if self._settings.move_to and not movable:
            fix = "leave move_to unset"
            raise BadConfig([Problem(file="", key="imap.move_to", what="the server has no MOVE, no UIDPLUS", fix=fix)])

    def _login(self, token: Secret | None) -> None:
        user, password = self._settings.user, self._settings.password
        if token and self._oauth and self._oauth.mechanism == "OAUTHBEARER":
            self._client.oauthbearer_login(user, token.reveal())
        elif token:
            self._client.oauth2_login(user, token.reveal())
        elif password and self._client.has_capability("AUTH=PLAIN"):  # takes any UTF-8, LOGIN only ASCII
            self._client.plain_login(user, password.reveal())
        elif password:
            self._client.login(user, password.reveal())

    def select(self, folder: str) -> Opened:
        """Open a folder, read-only unless mails are to be moved: so no flag of anybody changes."""
        answer = self._client.select_folder(folder, readonly=not self._settings.move_to)
        if b"UIDNEXT" not in answer:
            answer |= self._client.folder_status(folder, ["UIDNEXT"])
        return Opened(int(answer[b"UIDVALIDITY"]), int(answer[b"UIDNEXT"]))

    def search(self, low: int, high: int) -> list[int]:
        """UIDs from `low` to `high` that exist, ascending; whatever their flags."""
        return sorted(uid for uid in self._client.search(["UID", f"{low}:{high}"]) if low <= uid <= high)

    def rows(self, uids: Sequence[int]) -> list[Row]:
        """What is there of these UIDs; who is missing was expunged meanwhile."""
        found = self._client.fetch(uids, ["RFC822.SIZE", "INTERNALDATE"])
        return [_row(uid, found[uid]) for uid in uids if b"RFC822.SIZE" in found.get(uid, ())]

    def bodies(self, rows: Sequence[Row]) -> list[Body]:
        r"""The mails in order, without those that were expunged meanwhile. BODY.PEEK never sets \Seen."""
        raws = self._raws([row.uid for row in rows if row.size <= self._max_bytes], "BODY.PEEK[]", b"BODY[]")
        bodies = []
        for row in rows:
            raw = raws.get(row.uid, NOTHING)
            if isinstance(raw, bytes) and (raw or not row.size):  # RFC822.SIZE may lie
                fits = len(raw) <= self._max_bytes
                bodies.append(Body(row, raw, "") if fits else Body(row, raw[:HEAD], "too large"))
            elif self.search(row.uid, row.uid):
                bodies.append(self._head(row, raw if isinstance(raw, str) else NOTHING))
        return bodies

    def _head(self, row: Row, refused: str) -> Body:
        """What can be had of a mail that is too large, or that the server refused with these words."""
        head = self._raws([row.uid], f"BODY.PEEK[]<0.{HEAD}>", b"BODY[]<0>").get(row.uid, NOTHING) or NOTHING
        large = row.size > self._max_bytes
        cut = "too large" if large else "unreadable"
        if isinstance(head, str):
            return Body(row, b"", cut, head)
        return Body(row, head, cut, "" if large else refused)

    def _raws(self, uids: Sequence[int], part: str, key: bytes) -> dict[int, bytes | str]:
        """Bytes by UID, or the server's words where it refuses.

        One unreadable mail makes some servers answer NO to a whole batch: then each is asked alone. An outage is
        raised: it says nothing of a mail.
        """
        if not uids:
            return {}
        try:
            found = self._client.fetch(uids, [part])
        except imaplib.IMAP4.abort:
            raise
        except imaplib.IMAP4.error as error:
            if len(uids) == 1 and _OUTAGE.search(str(error)):
                raise
            if len(uids) == 1:
                return {uids[0]: _words(error) or NOTHING}
            return {uid: raw for each in uids for uid, raw in self._raws([each], part, key).items()}
        return {uid: found[uid][key] for uid in uids if isinstance(found.get(uid, {}).get(key), bytes)}

    def move(self, uids: Sequence[int]) -> None:
        """Into `move_to`. Mails that somebody else has moved or deleted are no error; the others are still moved."""
        try:
            self._move(uids)
        except imaplib.IMAP4.abort:
            raise
        except imaplib.IMAP4.error as error:
            if "TRYCREATE" in str(error).upper():
                self._client.create_folder(self._settings.move_to)
                self.move(uids)
                return
            left = set(self.search(min(uids), max(uids))).intersection(uids)
            if left and len(left) < len(uids):
                self.move(sorted(left))
            # else: they stay until the folder is next opened

    def _move(self, uids: Sequence[int]) -> None:
        target = self._settings.move_to
        if self._client.has_capability("MOVE"):
            self._client.move(uids, target)
        else:
            self._client.copy(uids, target)
            self._client.add_flags(uids, [rb"\Deleted"], silent=True)
            self._client.uid_expunge(uids)

    def idle(self) -> bool:
        """Begin IDLE. True: the server has spoken already, so don't wait for the socket.

        What came in one packet with the server's "+" sits in imaplib's buffer, where no poll of the socket sees it.
        """
        self._client.idle()
        assert self.socket is not None
        self.socket.setblocking(False)
        try:
            return bool(self._client._imap.file.peek(1))  # noqa: SLF001  imapclient has no word for it
        except OSError:  # TLS says "would block" by an exception
            return False
        finally:
            self.socket.settimeout(self._settings.timeouts.fetch)

    def idle_done(self) -> None:
        """End IDLE."""
        self._client.idle_done()

    def close(self) -> None:
        """Give the socket back."""
        self._gone = True
        if self._client is not None:
            with contextlib.suppress(OSError):
                self._client.shutdown()

    def abort(self) -> None:
        """From any thread: whatever blocks fails now."""
        self._gone = True
        if self.socket is not None:
            with contextlib.suppress(OSError):  # past SSLSocket.shutdown, which would drop the TLS state in use
                socket.socket.shutdown(self.socket, socket.SHUT_RDWR)


def _words(error: Exception) -> str:
    return clean(str(error).encode("utf-8", "replace").decode())[:300]


def _row(uid: int, found: Any) -> Row:
    at = found.get(b"INTERNALDATE")
    return Row(uid, int(found[b"RFC822.SIZE"]), at.astimezone(UTC) if at else datetime.max.replace(tzinfo=UTC))


class Worker:
    """One daemon thread that makes blocking calls in order."""

    def __init__(self, close: Callable[[], None]) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._close = close
        self._ended: concurrent.futures.Future[None] = concurrent.futures.Future()
        threading.Thread(target=self._work, name="imap", daemon=True).start()

    async def call(self, seconds: float, job: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `job` on the thread. TimeoutError after `seconds`, and then the thread is of no use any more."""
        future: concurrent.futures.Future[T] = concurrent.futures.Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(job(*args, **kwargs))
            except BaseException as error:  # noqa: BLE001  handed over whole
                future.set_exception(error)

        self._jobs.put(run)
        async with asyncio.timeout(seconds):
            return await asyncio.wrap_future(future)

    async def stop(self, grace: float) -> None:
        """Let the thread close what it holds; leave it behind after `grace` seconds."""
        self._jobs.put(None)
        await asyncio.wait([asyncio.wrap_future(self._ended)], timeout=grace)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
        self._close()
        self._ended.set_result(None)
