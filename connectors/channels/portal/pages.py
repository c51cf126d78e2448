"""The portal's pages, for whoever asks: templates and words are data beside this file, what they show is the hub's.

A page is made of what `VisitDesk` says of the person who is signed in; an id in an address only narrows that.
"""

import json
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import jinja2

from connectors.channels.portal.settings import PortalSettings, ServiceForm
from plugins import Fold, Help, Page, Person, Reply, Request, VisitDesk

_FOLDER = Path(__file__).parent
_WORDS: Mapping[str, Mapping[str, str]] = json.loads((_FOLDER / "words.json").read_text())
_HTML = "text/html; charset=utf-8"
LONGEST_QUESTION = 2000
MOST_ASKED = 20
"""Parameters of an address; those behind them are nobody's."""
EXCERPT = 160
NEWEST = 5
"""Own queries on the first page."""

Values = Mapping[str, Any]
Shown = tuple[str, Values] | Reply


class Visit:
    """One request: who asks, in which language, and what the address says."""

    def __init__(self, request: Request, desk: VisitDesk) -> None:
        self.desk = desk
        self.person: Person | None = request.person
        self.path = [part for part in request.tail.split("/") if part]
        self._query = parse_qs("&".join(urlsplit(request.url).query.split("&", MOST_ASKED)[:MOST_ASKED]))
        self._accepts = request.header("accept-language")
        self.language = "en"
        self.waited = ""
        """What became of what was just sent: "", "recorded", or "waiting"."""

    async def wait(self) -> None:
        """For what was just sent, so that the page shows it."""
        receipt = self.asked("sent")[:64]
        if self.person is not None and receipt:
            self.waited = "recorded" if await self.desk.recorded(receipt) else "waiting"

    def asked(self, name: str) -> str:
        """A parameter of the address."""
        return self._query.get(name, [""])[0][:LONGEST_QUESTION]

    def speak(self, chosen: str) -> None:
        """The language that the person chose, else the browser's first that we speak."""
        wanted = [chosen, *(part.partition(";")[0].strip() for part in self._accepts.split(",")[:20])]
        spoken = [one.partition("-")[0].lower() for one in wanted]
        self.language = next((one for one in spoken if one in _WORDS), "en")


class Pages:
    """All pages of one instance."""

    def __init__(self, instance: str, settings: PortalSettings, largest: int) -> None:
        self._instance = instance
        self._settings = settings
        self._largest = largest
        self._pages: Mapping[str, Callable[[Visit], Awaitable[Shown | None]]] = {
            "": self._home, "queries": self._queries, "q": self._one, "service": self._service, "help": self._help,
            "help.json": self._suggestions, "preferences": self._preferences, "sign-in": self._sign_in,
        }  # fmt: skip

    @property
    def assets(self) -> Sequence[Page]:
        """Style and script."""
        return [
            Page(path="portal.css", body=_read("portal.css"), type="text/css; charset=utf-8"),
            Page(path="portal.js", body=_read("portal.js"), type="text/javascript; charset=utf-8"),
        ]

    async def show(self, request: Request, desk: VisitDesk) -> Reply:
        """The page of this path; 404 for what is not there, or not theirs."""
        visit = Visit(request, desk)
        await visit.wait()
        wishes = await desk.wishes(visit.person) if visit.person else None
        visit.speak(wishes.language if wishes else "")
        page = self._pages.get(visit.path[0] if visit.path else "")
        shown = await page(visit) if page else None
        if shown is None:
            return await self._render(visit, "missing", {}, status=404)
        return shown if isinstance(shown, Reply) else await self._render(visit, *shown)

    # ---- pages -----------------------------------------------------------------------------------------

    async def _home(self, visit: Visit) -> Shown:
        own = await visit.desk.queries(visit.person) if visit.person else []
        services = await visit.desk.services(visit.person)
        return "home", {"own": own[:NEWEST], "more": len(own) > NEWEST, "services": services}

    async def _queries(self, visit: Visit) -> Shown:
        if visit.person is None:
            return "sign_in", {"sent": False, "needed": True}
        return "queries", {"own": await visit.desk.queries(visit.person)}

    async def _one(self, visit: Visit) -> Shown | None:
        if visit.person is None:
            return "sign_in", {"sent": False, "needed": True}
        if len(visit.path) == 5 and visit.path[2] == "file":
            return await self._file(visit, visit.person, visit.path[3], visit.path[4])
        if len(visit.path) != 2:
            return None
        query = await visit.desk.query(visit.person, visit.path[1])
        if query is None:
            return None
        lines = await visit.desk.lines(visit.person, query.reference)
        did = visit.asked("did") if visit.asked("did") in {"reply", "close", "reopen"} else ""
        return "query", {"query": query, "lines": lines, "did": did}

    async def _file(self, visit: Visit, person: Person, line: str, n: str) -> Reply | None:
        if not (n.isascii() and n.isdigit() and len(n) < 4):
            return None
        found = await visit.desk.attachment(person, line, int(n))
        if found is None:
            return None
        name = "".join(c if c.isalnum() or c in " .-_()" else "_" for c in found.name)[-120:].strip(" .") or "file"
        # never shown, whatever it says that it is
        disposition = f"attachment; filename=\"file\"; filename*=UTF-8''{quote(name)}"
        return Reply(
            blob=found.sha256, type="application/octet-stream", headers=(("Content-Disposition", disposition),)
        )

    async def _service(self, visit: Visit) -> Shown | None:
        wanted = "/".join(visit.path[1:])
        service = next((one for one in await visit.desk.services(visit.person) if one.name == wanted), None)
        if service is None:
            return None
        asks = next((one for one in self._settings.form if one.service == wanted), ServiceForm(service=wanted))
        return "service", {"service": service, "asks": asks}

    async def _help(self, visit: Visit) -> Shown | None:
        if len(visit.path) > 1:
            article = await visit.desk.article("/".join(visit.path[1:]), visit.language)
            return ("article", {"article": article}) if article else None
        words = visit.asked("q")
        found = await visit.desk.help(words, visit.language)
        return "help", {"words": words, "found": [(one, excerpt(one)) for one in found]}

    async def _suggestions(self, visit: Visit) -> Reply:
        """For the script: the same answer as the page's, as JSON."""
        words = visit.asked("q").strip()
        found = await visit.desk.help(words, visit.language) if words else []
        said = [
            {"title": one.title, "text": excerpt(one), "href": f"/p/{self._instance}/help/{quote(one.name, safe='')}"}
            for one in found
        ]
        return Reply(body=json.dumps(said).encode(), type="application/json")

    async def _preferences(self, visit: Visit) -> Shown:
        if visit.person is None:
            return "sign_in", {"sent": False, "needed": True}
        return "preferences", {"wishes": await visit.desk.wishes(visit.person)}

    async def _sign_in(self, visit: Visit) -> Shown:
        return "sign_in", {"sent": bool(visit.asked("sent")), "needed": False}

    # ---- shared ----------------------------------------------------------------------------------------

    async def _render(self, visit: Visit, template: str, values: Values, *, status: int = 200) -> Reply:
        body = _ENVIRONMENT.get_template(f"{template}.html").render(
            {
                "base": f"/p/{self._instance}", "post": f"/in/{self._instance}", "title": self._settings.title,
                "leave": f"/portal/leave/{self._instance}", "languages": self._settings.languages,
                "largest": self._largest >> 20, "waited": visit.waited,
                "person": visit.person, "language": visit.language, "w": _WORDS[visit.language], "page": template,
                "submission": secrets.token_urlsafe(18), "notices": await visit.desk.announcements(), **values,
            }
        )  # fmt: skip
        return Reply(status=status, body=body.encode(), type=_HTML)


def excerpt(one: Help) -> str:
    """How it begins."""
    plain = " ".join(one.text.replace("#", " ").replace("*", "").replace("`", "").split())
    return plain if len(plain) <= EXCERPT else plain[:EXCERPT].rsplit(" ", 1)[0] + " …"


def pieces(text: str, folds: Sequence[Fold]) -> list[tuple[str, str]]:
    """(kind, piece): what is to be folded, and "" for what is not."""
    found, at = [], 0
    for fold in sorted(folds, key=lambda one: one.start):
        if fold.start >= at:
            found += [("", text[at : fold.start]), (fold.kind, text[fold.start : fold.end])]
            at = fold.end
    return [(kind, piece.strip("\n")) for kind, piece in [*found, ("", text[at:])] if piece.strip()]


def stamp(at: datetime) -> str:
    """In UTC: the hub does not know where the person is."""
    return at.strftime("%Y-%m-%d %H:%M UTC")


def size(n: int) -> str:
    """Bytes for people."""
    return f"{max(1, n >> 10)} KiB" if n < 1 << 20 else f"{n / (1 << 20):.1f} MiB"


def _read(name: str) -> bytes:
    return (_FOLDER / name).read_bytes()


def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER / "templates"), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.filters |= {"stamp": stamp, "size": size}
    made.globals |= {"pieces": pieces}
    return made


_ENVIRONMENT = _environment()
