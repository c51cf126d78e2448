"""Fetching: new mentions, and another look at the last ones, since edits and deletions are told to nobody who asks.

The cursor is all that is remembered. It holds the last notifications and not only the very last, because a server may
show an older id after a newer one (ids are given before the transaction ends); what was seen is left out.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Raw, Struct

from connectors.channels.mastodon.statuses import UNREADABLE, Account, Notification, Status
from plugins import Envelope, HubPort, Refuse

PAGE = 80  # "GET /api/v1/notifications", the most that one answer holds
SEEN = 20
"""Notifications that are asked for again: fewer than the page of any server, so that pages go forward."""
WATCHED = 40
"""Posts that are looked at again."""
FIRST = timedelta(days=1)
"""At the very first start older mentions are left alone: they were answered, or never will be."""

Ask = Callable[[str, Any], Awaitable[Any]]
"""(path with query, type of the answer) → the answer, None for 404."""


class Watched(Struct, frozen=True):
    """A post that came in: how we know it, and whose it is."""

    status: str
    edited_at: str
    account: str


class Cursor(Struct, frozen=True):
    """Where we are."""

    seen: tuple[str, ...] = ()
    watched: tuple[Watched, ...] = ()


class _Id(Struct, frozen=True):
    id: str


class _Context(Struct, frozen=True):
    ancestors: tuple[_Id, ...] = ()


class _Instance(Struct, frozen=True):
    domain: str


class Fetching:
    """One run of the runner."""

    def __init__(self, hub: HubPort, ask: Ask) -> None:
        self._hub = hub
        self._ask = ask
        self._cursor: Cursor | None = None
        self._about: dict[str, str] = {}
        self._looks = True

    async def begin(self) -> None:
        """Who we are, and where we stopped."""
        me = await self._ask("/api/v1/accounts/verify_credentials", Account)
        instance = await self._ask("/api/v2/instance", _Instance)
        if me is None or instance is None:
            raise Refuse("not_allowed", "the server has no API of Mastodon 4")
        self._about = {"me": me.id, "domain": instance.domain.lower()}
        kept = await self._hub.cursor()
        self._cursor = msgspec.json.decode(kept, type=Cursor) if kept else None

    async def new(self) -> bool:
        """Bring what is new; True if there may be more at once."""
        first, cursor = self._cursor is None, self._cursor or Cursor()
        forward = "" if first else f"&min_id={quote(cursor.seen[0]) if len(cursor.seen) == SEEN else 0}"
        path = f"/api/v1/notifications?types[]=mention&include_filtered=true&limit={PAGE}{forward}"
        page = await self._ask(path, list[Raw]) or []
        self._hub.alive()
        found = {msgspec.json.decode(raw, type=_Id).id: bytes(raw) for raw in page}
        fresh = [number for number in sorted(found, key=_order) if number not in cursor.seen]
        envelopes, watched = [], list(cursor.watched)
        for number in fresh:
            told = _read(found[number])
            if first and told and _older(told, self._hub.clock.now() - FIRST):
                continue
            envelopes.append(await self._envelope(number, found[number], told))
            if told and told.status:
                watched.append(Watched(told.status.id, told.status.edited_at or "", told.status.account.id))
        if fresh or first:
            seen = sorted({*cursor.seen, *fresh}, key=_order)[-SEEN:]
            await self._receive(envelopes, Cursor(tuple(seen), tuple(watched[-WATCHED:])))
        return len(page) >= PAGE // 2 and bool(fresh)  # servers may hold fewer in a page

    async def again(self) -> None:
        """Have the last posts been changed or taken back? Servers before 4.3 can't be asked for many at once."""
        cursor = self._cursor
        if cursor is None or not cursor.watched or not self._looks:
            return
        asked = "&".join(f"id[]={quote(each.status)}" for each in cursor.watched)
        answer = await self._ask(f"/api/v1/statuses?{asked}", list[Raw])
        if answer is None:
            self._looks = False
            return
        found: dict[str, bytes] = {msgspec.json.decode(raw, type=_Id).id: bytes(raw) for raw in answer}
        envelopes, watched = [], []
        for each in cursor.watched:
            raw = found.get(each.status) or await self._one(each.status)
            edited_at = _edited_at(raw) if raw else None
            if raw is None:
                envelopes.append(self._change(each, f"gone {each.status}", msgspec.json.encode({"gone": each.status})))
                continue
            if edited_at is not None and edited_at != each.edited_at:
                key = f"status {each.status} {edited_at}"
                envelopes.append(self._change(each, key, b'{"changed": ' + raw + b"}"))
            watched.append(Watched(each.status, each.edited_at if edited_at is None else edited_at, each.account))
        if envelopes:
            await self._receive(envelopes, Cursor(cursor.seen, tuple(watched)))

    async def _one(self, status: str) -> bytes | None:
        """What is missing in an answer for many may only have been too many."""
        raw = await self._ask(f"/api/v1/statuses/{quote(status, safe='')}", Raw)
        return None if raw is None else bytes(raw)

    def _change(self, each: Watched, key: str, raw: bytes) -> Envelope:
        facts = {**self._about, "kind": "status"}
        return Envelope(key=key, raw=raw, at=self._hub.clock.now(), facts=facts, lane=each.account)

    async def _envelope(self, number: str, raw: bytes, told: Notification | None) -> Envelope:
        facts: dict[str, str] = dict(self._about)
        status = told.status if told else None
        if status and status.in_reply_to_id:
            facts["root"] = await self._root(status)
        lane, key = status.account.id if status else "", f"notification {number}"
        same = sha256(key.encode()).digest()  # counts of likes and the like change in between
        return Envelope(key=key, raw=raw, at=self._hub.clock.now(), facts=facts, lane=lane, fingerprint=same)

    async def _root(self, status: Status) -> str:
        """The post that the thread began with, as far up as we may see."""
        above = status.in_reply_to_id or status.id
        try:
            context = await self._ask(f"/api/v1/statuses/{quote(status.id, safe='')}/context", _Context)
        except Refuse:  # a thread that is larger than an answer may be
            return above
        return context.ancestors[0].id if context and context.ancestors else above

    async def _receive(self, envelopes: Sequence[Envelope], cursor: Cursor) -> None:
        await self._hub.receive(*envelopes, cursor=msgspec.json.encode(cursor))
        self._cursor = cursor


def _read(raw: bytes) -> Notification | None:
    """None for what `parse` will park."""
    try:
        return msgspec.json.decode(raw, type=Notification)
    except UNREADABLE:
        return None


def _edited_at(raw: bytes) -> str | None:
    """When the post was last changed, "" for never; None for what can't be read and so says nothing."""
    try:
        return msgspec.json.decode(raw, type=Status).edited_at or ""
    except UNREADABLE:
        return None


def _older(told: Notification, than: datetime) -> bool:
    try:
        return datetime.fromisoformat(told.created_at or "") < than
    except (ValueError, TypeError):
        return False


def _order(number: str) -> tuple[int, str]:
    """Ids are numbers in text, larger than many can hold."""
    return len(number), number
