"""The checks of a plugin that makes pages for whoever asks (`Site`), and the desk in memory that it asks.

Two people have a matter each. Whatever they wrote is as hostile as a page can meet, and carries a mark, so that a check
sees whose words stand where.
"""

import base64
import hashlib
import html
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import quote, unquote

from plugins.fit import roles
from plugins.model import Fold, Identity, MediaRef, Page, Person, Reply, Request
from plugins.testing.crossing import cross
from plugins.testing.stubs import START
from plugins.visits import Help, Notice, OwnLine, OwnQuery, Service, Wishes

ODD = "\"'><script>alert(1)</script>&amp;{{7*7}}"
"""Ends every attribute and element, if it is not escaped."""
_RAW = re.compile(r"<script>alert|[\"']><script")
_LINK = re.compile(r"""(?:href|action)=["']?/p/sample/([^"'\s>#]*)""")
_MOST = 40
"""Pages that a check follows links to."""


def mark(person: Person) -> str:
    """A word in everything that is this person's."""
    return "mark" + hashlib.sha256(person.identity.value.encode()).hexdigest()[:12]


def _somebody(name: str) -> Person:
    return Person(identity=Identity(scheme="email", value=f"{name}@acme.test"), proof=f"proof of {name}")


ANN, BOB = _somebody("ann"), _somebody("bob")


class StubVisits:
    """`VisitDesk` in memory: one matter for each of `people`, nothing for anybody else."""

    def __init__(self, people: Sequence[Person] = (ANN, BOB)) -> None:
        self._people = list(people)

    async def queries(self, person: Person) -> Sequence[OwnQuery]:
        return [_query(person)] if person in self._people else []

    async def query(self, person: Person, reference: str) -> OwnQuery | None:
        return next((one for one in await self.queries(person) if one.reference == reference), None)

    async def lines(self, person: Person, reference: str) -> Sequence[OwnLine]:
        if await self.query(person, reference) is None:
            return ()
        file = MediaRef(sha256="0" * 64, name=f"{mark(person)} {ODD}", type=ODD, size=7)
        own = OwnLine(
            id="1", side="user", channel="email", at=START, text=f"{mark(person)} {ODD}\n> {ODD}", media=[file],
            folds=[Fold(start=len(f"{mark(person)} {ODD}\n"), end=len(f"{mark(person)} {ODD}\n> {ODD}"), kind="quote")],
        )  # fmt: skip
        return [own, OwnLine(id="2", side="desk", channel="chat", at=START, text=ODD, automatic=True)]

    async def attachment(self, person: Person, line: str, n: int) -> MediaRef | None:
        if person not in self._people or (line, n) != ("1", 0):
            return None
        return MediaRef(
            sha256=mark(person).encode().hex().ljust(64, "0"), name=f"{ODD}\r\nX-Injected: 1", type="text/html", size=7
        )

    async def wishes(self, person: Person) -> Wishes:
        return (
            Wishes(channel="email", language="en", channels=["email", "phone"]) if person in self._people else Wishes()
        )

    async def announcements(self) -> Sequence[Notice]:
        return [Notice(text=ODD, services=[ODD], major=True, since=START)]

    async def services(self, person: Person | None) -> Sequence[Service]:  # the same for all
        return [Service(name="vpn", title=ODD), Service(name=ODD, title="Odd")]

    async def help(self, words: str, language: str) -> Sequence[Help]:  # the same for all
        return [Help(name=ODD, title=ODD, text=ODD, service="vpn")]

    async def article(self, name: str, language: str) -> Help | None:
        return Help(name=name, title=ODD, text=ODD, html="<p>safe</p>") if name == ODD else None

    async def recorded(self, receipt: str) -> bool:  # at once
        return True


def _query(person: Person) -> OwnQuery:
    digest = base64.b32encode(hashlib.sha256(person.identity.value.encode()).digest()).decode()
    return OwnQuery(
        reference=f"TL-{digest[:8]}", subject=f"{mark(person)} {ODD}", state="open", channel="email", service=ODD,
        opened_at=START, updated_at=START, token=f"token-{mark(person)}",
    )  # fmt: skip


class SiteChecks:
    """Part of `ConnectorConformance`; skipped for what shows no pages."""

    cls: ClassVar[type[Any]]
    make: Any
    cannot: Any
    _hides: Any

    def site_paths(self) -> Sequence[str]:
        """Paths below `/p/{instance}/` to which no link leads from the first page."""
        return ()

    def test_pages_cross_the_contract(self) -> None:
        if "pages" not in roles(self.cls):
            self.cannot("has no assets of its own")
        pages = list(self.make().pages)
        cross(pages, list[Page])
        self._hides(*(page.body for page in pages))
        paths = [page.path.lstrip("/") for page in pages]
        assert len(paths) == len(set(paths))
        assert all(path and ".." not in path.split("/") for path in paths)

    async def test_page_is_shown_to_whoever_asks(self) -> None:
        made = self._site()
        for person in (ANN, None):
            assert (await self._shown(made, "", person)).status in (200, 302, 303)
            for reply in (await self._walked(made, person)).values():
                assert reply.status < 500

    async def test_nobody_is_shown_what_is_anothers(self) -> None:
        made = self._site()
        paths = [*await self._walked(made, ANN), *await self._walked(made, BOB)]
        for whose, not_theirs in ((ANN, [BOB]), (BOB, [ANN]), (None, [ANN, BOB])):
            for path in paths:
                reply = await self._shown(made, path, whose)
                assert [mark(one) for one in not_theirs if mark(one) in _text(reply)] == [], path

    async def test_what_people_wrote_is_text_on_every_page(self) -> None:
        made = self._site()
        for path, reply in (await self._walked(made, ANN)).items():
            disposition = {name.lower(): value for name, value in reply.headers}.get("content-disposition", "")
            if "html" in reply.type and not disposition.startswith("attachment"):
                assert not _RAW.search(reply.body.decode()), path

    async def test_hostile_path_gets_a_page_too(self) -> None:
        made = self._site()
        for tail, query, headers in _hostile(list(await self._walked(made, ANN))):
            for person in (ANN, None):
                reply = await self._shown(made, tail, person, query, headers)
                assert reply.status < 500, (tail[:80], query[:80])
                assert "html" not in reply.type or not _RAW.search(reply.body.decode()), (tail[:80], query[:80])

    def _site(self) -> Any:
        if "site" not in roles(self.cls):
            self.cannot("shows nobody pages of their own")
        return self.make()

    async def _walked(self, made: Any, person: Person | None) -> Mapping[str, Reply]:
        """Every page that this person gets to from the first one."""
        found: dict[str, Reply] = {}
        todo = ["", *self.site_paths()]
        while todo and len(found) < _MOST:
            path = todo.pop(0)
            if path not in found:
                found[path] = await self._shown(made, path, person)
                links = (html.unescape(link).partition("?")[0] for link in _LINK.findall(_text(found[path])))
                todo += [unquote(link) for link in links]
        return found

    async def _shown(
        self, made: Any, path: str, person: Person | None, query: str = "", headers: Mapping[str, str] | None = None
    ) -> Reply:
        """The page, as the hub would send it."""
        request = Request(
            method="GET", url=f"https://hub.acme.test/p/sample/{quote(path, errors='replace')}{query}", tail=path,
            headers=headers or {}, at=START, person=person,
        )  # fmt: skip
        reply: Reply = await made.show(request, StubVisits())
        cross(reply, Reply)
        for name, value in reply.headers:
            assert not set(name + value) & {"\r", "\n", "\0"}, f"{name} breaks the headers"
            assert name.lower() != "location" or re.match(r"/(?!/)", value), f"leads elsewhere: {value}"
        self._hides(repr(reply))
        assert (person is None) or person.proof not in _text(reply)
        return reply


def _text(reply: Reply) -> str:
    """What it shows; the blobs that `StubVisits` names say whose they are."""
    return repr(reply.headers) + (reply.body + bytes.fromhex(reply.blob)).decode(errors="replace")


def _hostile(paths: Sequence[str]) -> Iterator[tuple[str, str, Mapping[str, str]]]:
    """(tail, query, headers): strange paths, and strange questions to every page that there is."""
    for tail in ("../../etc/passwd", "\0", "\udcff", "a" * 10_000, "/" * 1000, ODD, "%00", "q/" + "9" * 400, "\u2028"):
        yield tail, "", {}
    odd = quote(ODD)
    for path in paths:
        names = ("q", "sent", "did", "next", "language")
        yield path, "?" + "&".join(f"{name}={odd}" for name in names), {"accept-language": ODD}
        yield path, "?" + "q=" * 200 + "&" * 2000 + "&".join(f"a{n}={n}" for n in range(500)), {}
        yield path, "?q=" + "%FF%00" * 500, {"accept-language": "," * 50_000 + "\udcff"}
