"""Pages for people who sign in: what a portal may ask of the hub for them, and who it is that asks.

The hub alone knows sessions. A person asks for a link (`Act`, `sign_in`); the mail leads to the hub's page
`/portal/enter/…`, which opens the session; `POST /portal/leave/{instance}` ends it, with `all=1` on every device. A
plugin sees `Request.person` and passes it on: every answer here is of that person alone, and empty for anybody else.
"""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from plugins.model import Fold, Instant, MediaRef, Person, Reply, Request


class OwnQuery(Struct, frozen=True, kw_only=True):
    """A matter of the person's, over all channels."""

    reference: str
    subject: str
    state: str
    """new, open, pending (on the person), on_hold, resolved, closed"""
    channel: str
    """Where it began."""
    service: str
    opened_at: Instant
    updated_at: Instant
    token: str
    """What a reply (`Message.tokens`) and an `Act` on it name: it works for this person alone."""
    own: bool = True
    """They began it: closing and reopening is theirs, too."""


class OwnLine(Struct, frozen=True, kw_only=True):
    """A message of it, as the person may see it: what agents note is none."""

    id: str
    side: str
    """user or desk"""
    channel: str
    at: Instant
    text: str
    folds: Sequence[Fold] = ()
    automatic: bool = False
    claimed: bool = False
    """Somebody wrote under the person's address, and nobody vouches that it was them."""
    media: Sequence[MediaRef] = ()


class Notice(Struct, frozen=True, kw_only=True):
    """An announcement in force."""

    text: str
    services: Sequence[str]
    """Titles; none: the desk as a whole."""
    major: bool
    since: Instant


class Help(Struct, frozen=True, kw_only=True):
    """A help article; `html` is safe to show."""

    name: str
    title: str
    text: str
    html: str = ""
    service: str = ""


class Service(Struct, frozen=True, kw_only=True):
    """A service that can be asked for; `Message.fields["service"]` names it."""

    name: str
    title: str


class Wishes(Struct, frozen=True, kw_only=True):
    """What the person prefers, and what there is to choose from."""

    channel: str = ""
    language: str = ""
    channels: Sequence[str] = ()


class VisitDesk(Protocol):
    """What `Site.show` may ask. Everything is fast, and nothing here changes anything."""

    async def queries(self, person: Person) -> Sequence[OwnQuery]:
        """The newest hundred."""

    async def query(self, person: Person, reference: str) -> OwnQuery | None:
        """None: there is none, or it is somebody else's."""

    async def lines(self, person: Person, reference: str) -> Sequence[OwnLine]:
        """Oldest first; none if it is not theirs."""

    async def attachment(self, person: Person, line: str, n: int) -> MediaRef | None:
        """If it is the person's to see and its bytes have come: for `Reply.blob`."""

    async def wishes(self, person: Person) -> Wishes:
        """As `Act` set them."""

    async def announcements(self) -> Sequence[Notice]:
        """In force now, the newest first."""

    async def services(self, person: Person | None) -> Sequence[Service]:
        """The catalogue, without what this person may not use."""

    async def help(self, words: str, language: str) -> Sequence[Help]:
        """Articles that may answer these words, the best first; no words: all."""

    async def article(self, name: str, language: str) -> Help | None:
        """One of them."""

    async def recorded(self, receipt: str) -> bool:
        """Waits a moment for what this receipt was given for, so that a page shows what its reader has just sent."""


class Site(Protocol):
    """A plugin with pages that depend on who asks."""

    async def show(self, request: Request, desk: VisitDesk) -> Reply:
        """GET and HEAD of `/p/{instance}/{tail}` where `pages` has nothing: no effects, 5 s at most."""
