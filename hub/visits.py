"""What a person who has signed in may see: the contract's `VisitDesk`, for pages of plugins.

Whose it is comes from the hub's own word (`Person.proof`) at every call, never from an id that a page was asked for.
"""

import asyncio
from collections.abc import Sequence

import msgspec
import nh3
from markdown_it import MarkdownIt

from context_store import announcements, evidence, visits
from context_store.lookups import KnownUser
from context_store.references import canonical_reference
from context_store.times import from_millis, to_millis
from hub.communicate.route import reachable
from hub.rooms import Rooms
from hub.triage import person_of
from plugins import Fold, Help, Identity, MediaRef, Notice, OwnLine, OwnQuery, Person, Service, Wishes
from routing.catalogue import eligibility

LONGEST = 32_000
"""Characters of one message on a page."""
CHANNELS = ("email", "chat", "phone", "social")
PATIENCE, LOOK = 1.5, 0.05
"""Seconds that a page waits for what its reader has just sent, and between two looks."""

_markdown = MarkdownIt("commonmark", {"html": False}).enable("table")


class Visits:
    """`plugins.VisitDesk`."""

    def __init__(self, hub: Rooms) -> None:
        self._hub = hub

    async def queries(self, person: Person) -> Sequence[OwnQuery]:
        """As the protocol says."""
        number = await self._known(person)
        found = () if number is None else await self._hub.store.read(visits.matters, number)
        return [self._own(one) for one in found]

    async def query(self, person: Person, reference: str) -> OwnQuery | None:
        """As the protocol says."""
        number, named = await self._known(person), canonical_reference(reference)
        if number is None or named is None:
            return None
        found = await self._hub.store.read(visits.matter, number, named)
        return self._own(found) if found else None

    async def lines(self, person: Person, reference: str) -> Sequence[OwnLine]:
        """As the protocol says."""
        number, named = await self._known(person), canonical_reference(reference)
        if number is None or named is None:
            return ()
        lines, files = await self._hub.store.read(visits.lines, number, named)
        return [_line(one, [file for file in files if file.message_id == one.id]) for one in lines]

    async def attachment(self, person: Person, line: str, n: int) -> MediaRef | None:
        """As the protocol says."""
        number = await self._known(person)
        if number is None or not (line.isascii() and line.isdigit() and len(line) < 19) or not 0 <= n < 1000:
            return None
        found = await self._hub.store.read(visits.file, number, int(line), n)
        if found is None or found.sha256 is None:
            return None
        return MediaRef(sha256=found.sha256.hex(), name=found.name, type=found.type, size=found.size)

    async def wishes(self, person: Person) -> Wishes:
        """As the protocol says; a channel is one that reaches the person at an identity that is proved."""
        number = await self._known(person)
        if number is None:
            return Wishes()
        said = await self._hub.store.read(visits.preferred, number)
        proved = [Identity(scheme=scheme, value=value) for scheme, value, sure in said.identities if sure >= 1]
        proved = proved or [person.identity]
        return Wishes(
            channel=said.channel, language=said.language,
            channels=[one for one in CHANNELS if reachable(self._hub.instances, one, proved)],
        )  # fmt: skip

    async def announcements(self) -> Sequence[Notice]:
        """As the protocol says."""
        found = await self._hub.store.read(announcements.announcements, to_millis(self._hub.clock.now()))
        return [
            Notice(
                text=one.text, major=one.major, since=from_millis(one.from_at),
                services=[self._title(name) for name in one.services],
            )
            for one in found
        ]  # fmt: skip

    async def services(self, person: Person | None) -> Sequence[Service]:
        """As the protocol says; a rules file without a catalogue has what its rules name."""
        rules = self._hub.rules.current
        if not rules.catalogue.services:
            return [Service(name=name, title=self._title(name)) for name in sorted(rules.named("service"))]
        number = await self._known(person) if person else None
        user = None if number is None else person_of(KnownUser(*await self._hub.store.read(visits.user, number)))
        now = self._hub.clock.now()
        return [
            Service(name=one.name, title=self._title(one.name))
            for one in rules.catalogue.services.values()
            if eligibility(rules.catalogue, one.name, user, now).status != "not_eligible"
        ]

    async def help(self, words: str, language: str) -> Sequence[Help]:
        """As the protocol says."""
        found = await asyncio.to_thread(self._hub.shelf.find, words, language)
        return [Help(name=one.name, title=one.title or one.name, text=one.text, service=one.service) for one in found]

    async def article(self, name: str, language: str) -> Help | None:
        """As the protocol says."""
        found = await asyncio.to_thread(self._hub.shelf.named, name, language)
        if found is None:
            return None
        html = nh3.clean(_markdown.render(found.text), link_rel="noopener noreferrer")
        return Help(name=found.name, title=found.title or found.name, text=found.text, html=html, service=found.service)

    async def recorded(self, receipt: str) -> bool:
        """As the protocol says."""
        ends = asyncio.get_running_loop().time() + PATIENCE
        while True:
            found = await self._hub.store.read(evidence.receipt, receipt)
            if found is None or found[0] != "pending":
                return found is not None
            if asyncio.get_running_loop().time() > ends:
                return False
            await asyncio.sleep(LOOK)

    # ---- whose it is ---------------------------------------------------------------------------------

    async def _known(self, person: Person) -> int | None:
        """The identity's id; None where the hub never said that it is theirs."""
        who = person.identity
        if not self._hub.keys.vouches(person.proof, who.scheme, who.value):
            return None
        return await self._hub.store.read(visits.identity, who.scheme, who.value)

    def _title(self, service: str) -> str:
        known = self._hub.rules.current.catalogue.services.get(service)
        return (known.title if known else "") or service.replace("-", " ").capitalize()

    def _own(self, one: visits.Matter) -> OwnQuery:
        return OwnQuery(
            reference=one.reference, subject=one.subject, state=one.state, channel=one.channel, service=one.service,
            opened_at=from_millis(one.opened_at), updated_at=from_millis(one.updated_at), own=one.own,
            token=self._hub.keys.reply_token(one.id, one.identity_id),
        )  # fmt: skip


def _line(one: visits.Line, files: Sequence[visits.File]) -> OwnLine:
    return OwnLine(
        id=str(one.id), side="user" if one.direction == "in" else "desk", channel=one.channel, at=from_millis(one.at),
        text=one.text[:LONGEST], folds=msgspec.json.decode(one.folds, type=list[Fold]), automatic=bool(one.automatic),
        claimed=one.standing == "claimed",
        media=[
            MediaRef(sha256=file.sha256.hex() if file.sha256 else "", name=file.name, type=file.type, size=file.size)
            for file in files
        ],
    )  # fmt: skip
