"""One connection of a widget: takes its frames, brings it the lines of its conversation."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from urllib.parse import urlsplit

from connectors.channels.webchat import frames
from connectors.channels.webchat.frames import File, Hello, Msg, Seen, Typing, frame
from connectors.channels.webchat.sessions import (
    TICKET_SECONDS,
    Ticket,
    Visitor,
    known_visitor,
    make_ticket,
    new_visitor,
    signed_in,
)
from connectors.channels.webchat.settings import WebchatSettings
from plugins import Busy, Envelope, HubPort, Line, NotAuthentic, Request, SocketLink

PATIENCE = 10.0
"""Seconds until the first frame; a hub under load needs some of them itself."""
NOT_AUTHENTIC, NOT_HERE, TOO_LATE, TOO_BIG, LATER = 4401, 4403, 4408, 1009, 1013
BURST, PER_SECOND = 40, 4.0
"""Frames of one connection: beyond them it is read more slowly; nothing is thrown away."""


def may_embed(request: Request, origins: Sequence[str]) -> bool:
    """Browsers say truly which site a script runs on; what others say may be no URL, so it is not taken apart.

    Ours is the one that the configuration names, or that was asked: a Host that lies gains nothing, since no cookie
    stands behind it.
    """
    origin = request.header("origin")
    ours = {urlsplit(request.url).netloc, request.header("host")} - {""}
    return origin in origins or origin.partition("://")[2] in ours


class Talk:
    """From hello to the end."""

    def __init__(self, link: SocketLink, hub: HubPort, instance: str, settings: WebchatSettings) -> None:
        self._link, self._hub, self._instance, self._settings = link, hub, instance, settings
        self._visitor: Visitor
        self._left, self._since = float(BURST), 0.0
        self._shown = 0
        """Number of the last line that this window has."""
        self._marked: dict[str, int] = {}

    async def run(self) -> None:
        """Until either side ends it."""
        if not may_embed(self._link.request, self._settings.origins):
            await self._link.close(NOT_HERE)
            return
        try:
            hello = await self._hello()
        except NotAuthentic:
            await self._link.close(NOT_AUTHENTIC)
            return
        except TimeoutError:  # who comes late may be who it says: its session is not called false
            await self._link.close(TOO_LATE)
            return
        if hello.after:  # beyond the end: an invention, or what a restored store has lost
            self._shown = min(hello.after, await self._hub.last(self._visitor.thread))
        if not hello.poll or self._visitor.session or self._shown < hello.after:
            await self._ready()
        async with asyncio.TaskGroup() as group:
            bringing = group.create_task(self._bring(self._shown))
            await self._take()
            bringing.cancel()

    async def _hello(self) -> Hello:
        """Raises NotAuthentic, TimeoutError."""
        async with asyncio.timeout(PATIENCE):
            said = await self._link.receive()
        try:
            hello = frames.read((said or "")[: frames.LARGEST])
        except frames.UNREADABLE:
            raise NotAuthentic("no hello") from None
        if not isinstance(hello, Hello):
            raise NotAuthentic("no hello")
        settings, now = self._settings, self._now()
        if hello.jwt:
            self._visitor = signed_in(hello.jwt, settings.users, self._instance, now)
        elif hello.session:
            self._visitor = known_visitor(hello.session, self._instance, settings.secrets, now, settings.session_days)
        else:
            self._visitor = new_visitor(self._instance, settings.secrets, now)
        return hello

    async def _ready(self) -> None:
        visitor = self._visitor
        values = {"v": frames.VERSION, "conv": visitor.thread, "session": visitor.session or None, "seq": self._shown}
        values |= {"heartbeat_s": frames.HEARTBEAT, "max_file": self._settings.max_file}
        await self._link.send(frame("ready", **values, notices=list(await self._hub.notices())))

    # ---- to the widget -----------------------------------------------------------------------------------

    async def _bring(self, after: int) -> None:
        """Lines from the store, in order, and what passes in between."""
        try:
            async with aclosing(self._hub.feed(self._visitor.thread, after)) as feed:
                async for each in feed:
                    if self._over():
                        await self._link.close(NOT_AUTHENTIC)
                        return
                    if isinstance(each, Line):
                        await self._link.send(_shown(each))
                        self._shown = each.seq
                    elif each.what == "desk-typing":
                        await self._link.send(frame("typing"))
        except ConnectionError:  # the peer has gone: `_take` hears of it too
            return

    # ---- from the widget ---------------------------------------------------------------------------------

    async def _take(self) -> None:
        while (said := await self._link.receive()) is not None:
            if len(said) > frames.LARGEST:
                await self._link.close(TOO_BIG)
                return
            if self._over():
                await self._link.close(NOT_AUTHENTIC)
                return
            await self._slow_down()
            try:
                await self._frame(said)
            except Busy:
                await self._link.close(LATER)
                return
            except ConnectionError:
                return

    async def _frame(self, said: str) -> None:
        try:
            given = frames.read(said)
        except frames.UNREADABLE:
            await self._refuse(frames.cid_of(said), "unreadable")
            return
        match given:
            case Msg() if len(given.text) > frames.MOST_TEXT:
                await self._refuse(given.cid, "too_long")
            case Msg() if not given.text.strip():
                await self._refuse(given.cid, "empty")
            case Msg():
                await self._keep(said, given.cid)
            case File():
                await self._leave(given)
            case Seen():
                await self._mark(said, given)
            case Typing():
                self._hub.signal(self._visitor.thread, "user-typing")
            case frames.Ping():
                await self._link.send(frame("pong"))

    async def _keep(self, said: str, cid: str) -> None:
        """The ack means: on disk. The same line again is acknowledged again."""
        (received,) = await self._hub.receive(self._envelope(said, "line", cid))
        await self._link.send(frame("ack", cid=cid, id=received.receipt))

    async def _mark(self, said: str, given: Seen) -> None:
        """Each line once, and none that the window can't have: marks fill no disk.

        A poll is a connection of its own and remembers no mark, so the journal has to tell that it stood: whatever else
        is in the frame, a line is marked only once.
        """
        if self._marked.get(given.state, 0) < given.seq <= self._shown:
            self._marked[given.state] = given.seq
            mark = f"{given.state}/{given.seq}"
            await self._hub.receive(self._envelope(said, "seen", mark, fingerprint=mark.encode()))
        await self._link.send(frame("seen", state=given.state, seq=given.seq))

    async def _leave(self, given: File) -> None:
        if not 0 < given.size <= self._settings.max_file:
            await self._refuse(given.cid, "too_large" if given.size else "empty")
            return
        ticket = Ticket(
            thread=self._visitor.thread, who=self._visitor.who, cid=given.cid, name=given.name, type=given.type,
            size=given.size, until=int(self._now()) + TICKET_SECONDS,
        )  # fmt: skip
        made = make_ticket(ticket, self._instance, self._settings.secrets)
        await self._link.send(frame("ticket", cid=given.cid, ticket=made))

    async def _refuse(self, cid: str, why: str) -> None:
        await self._link.send(frame("refused", cid=cid, why=why))

    def _envelope(self, said: str, what: str, name: str, fingerprint: bytes = b"") -> Envelope:
        visitor = self._visitor
        facts = {"what": what, "thread": visitor.thread, "who": visitor.who}
        known = {"issuer": visitor.issuer, "name": visitor.name, "email": visitor.email}
        return Envelope(
            key=f"{visitor.thread}/{name}", raw=said.encode("utf-8", "replace"), at=self._hub.clock.now(),
            lane=visitor.thread, facts=facts | {key: value for key, value in known.items() if value},
            fingerprint=fingerprint,
        )  # fmt: skip

    async def _slow_down(self) -> None:
        """A bucket of frames that fills again."""
        now = self._now()
        self._left = min(BURST, self._left + (now - self._since) * PER_SECOND)
        self._since = now
        self._left -= 1
        if self._left < 0:
            await self._hub.clock.sleep(-self._left / PER_SECOND)

    def _over(self) -> bool:
        return self._visitor.until is not None and self._now() > self._visitor.until

    def _now(self) -> float:
        return self._hub.clock.now().timestamp()


def _shown(line: Line) -> str:
    files = [{"name": media.name, "type": media.type, "size": media.size} for media in line.media]
    at = line.at.astimezone(UTC)
    return frame(
        "line", seq=line.seq, id=line.id, cid=line.key.rpartition("/")[2], at=_stamp(at), text=line.text, files=files,
        **{"from": "desk" if line.side == "desk" else "you"},
    )  # fmt: skip


def _stamp(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds")
