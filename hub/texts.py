"""Texts that rules name: acknowledgements and help articles, as Markdown files in two folders, by language.

`templates/<name>.<language>.md` is an acknowledgement: its first line the subject, as `# …`, the rest the text, with
`{reference}`, `{desk}`, `{article}` and `{pin}` to be filled in. `articles/<service>/<name>.<language>.md`, or
`articles/<name>.<language>.md` for all services, is a help article: its first line the title.

Files are read when they are needed, so that an edit is live at once; that they are there is checked with the rules.
"""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import structlog
from msgspec import Struct

from hub.communicate.acknowledge import Words, words
from hub.config import Config
from routing import Decision

log = structlog.get_logger("trunkline.texts")

LARGEST = 64 << 10
"""Bytes of a file that are read."""
SHOWN = 4000
"""Characters of an article that go into an acknowledgement."""
SUFFIX = ".md"
_BLANKS = re.compile(r"\{(reference|desk|article|pin)\}")


class Said(Struct, frozen=True):
    """One file: its first line, and what follows."""

    title: str
    text: str


class Article(Struct, frozen=True, kw_only=True):
    """A help article, in one language."""

    name: str
    service: str
    """"" for all services."""
    language: str
    title: str
    text: str


class Texts:
    """The two folders; either may be absent."""

    def __init__(self, templates: Path, articles: Path, language: str) -> None:
        """`language`: the desk's, which stands in where there is no other."""
        self._templates = templates
        self._articles = articles
        self._language = language

    def template_names(self) -> frozenset[str]:
        """What rules may set as `acknowledgement`."""
        return frozenset(_name(path) for path in _files(self._templates))

    def article_names(self) -> frozenset[str]:
        """What rules may set as `article`."""
        return frozenset(
            _name(path) for folder in (self._articles, *_folders(self._articles)) for path in _files(folder)
        )

    def template(self, name: str, language: str) -> Said | None:
        """In that language, else in the desk's, else in any."""
        found = self._pick(self._templates, name, language)
        return _read(found) if found else None

    def article(self, name: str, service: str, language: str) -> Article | None:
        """The service's own, else that for all services."""
        for part in (service, "") if service else ("",):
            folder = self._articles / part if part else self._articles
            if (part == "" or _plain(part)) and (found := self._pick(folder, name, language)):
                return _article(found, part)
        return None

    def articles(self, service: str = "", language: str = "") -> list[Article]:
        """All for this service and for all services, each once, in the language that fits best; by name."""
        folders = [(self._articles / service, service)] if service and _plain(service) else []
        folders.append((self._articles, ""))
        picked: dict[str, Article] = {}
        for folder, part in folders:
            for name in sorted({_name(path) for path in _files(folder)} - picked.keys()):
                found = self._pick(folder, name, language)
                article = _article(found, part) if found else None
                if article:
                    picked[name] = article
        return [picked[name] for name in sorted(picked)]

    def everything(self, language: str = "") -> list[Article]:
        """All articles of all services, each once, in the language that fits best."""
        found = [(self._articles, ""), *((folder, folder.name) for folder in _folders(self._articles))]
        picked = [(part, self._pick(folder, name, language)) for folder, part in found for name in _names(folder)]
        articles = [_article(path, part) for part, path in picked if path]
        return [one for one in articles if one is not None]

    def _pick(self, folder: Path, name: str, language: str) -> Path | None:
        by_language = {_language(path): path for path in _files(folder) if _name(path) == name}
        for wanted in (language, language.partition("-")[0], self._language, self._language.partition("-")[0], ""):
            if wanted.lower() in by_language:
                return by_language[wanted.lower()]
        return next(iter(by_language.values()), None)


def _plain(part: str) -> bool:
    """A service's name that is no path."""
    return part not in {".", ".."} and not {"/", "\\", "\0"} & set(part)


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == SUFFIX and path.is_file())
    except OSError:
        return []


def _folders(folder: Path) -> Iterator[Path]:
    try:
        yield from (path for path in sorted(folder.iterdir()) if path.is_dir())
    except OSError:
        return


def _names(folder: Path) -> list[str]:
    return sorted({_name(path) for path in _files(folder)})


def _name(path: Path) -> str:
    return path.name.removesuffix(SUFFIX).partition(".")[0]


def _language(path: Path) -> str:
    return path.name.removesuffix(SUFFIX).partition(".")[2].lower()


def _article(path: Path, service: str) -> Article | None:
    said = _read(path)
    if said is None:
        return None
    return Article(name=_name(path), service=service, language=_language(path), title=said.title, text=said.text)


def _read(path: Path) -> Said | None:
    try:
        stamp = path.stat()
        return _said(path, stamp.st_mtime_ns, stamp.st_size)
    except OSError as error:
        log.warning("texts.unreadable", file=path.name, why=error.strerror)
        return None


@lru_cache(maxsize=64)
def _said(path: Path, _changed: int, _size: int) -> Said:
    with path.open("rb") as file:
        text = file.read(LARGEST).decode("utf-8", "replace").lstrip("\ufeff").strip()
    first, _, rest = text.partition("\n")
    return Said(first.lstrip("# ").strip(), rest.strip()) if first.startswith("#") else Said("", text)


def filled(template: Said, *, reference: str, desk: str, article: str, pin: Callable[[], str] = str) -> Said:
    """The template with what belongs into it; every other brace stays as it is. A PIN is drawn only if it is shown."""
    values = {"reference": reference, "desk": desk, "article": article}
    values["pin"] = pin() if "pin" in _BLANKS.findall(template.text) else ""
    text = _BLANKS.sub(lambda blank: values[blank[1]], template.text)
    title = _BLANKS.sub(lambda blank: "" if blank[1] in ("article", "pin") else values[blank[1]], template.title)
    return Said(" ".join(title.split()), text.strip() + "\n")


_HELP = {"en": "This may help in the meantime:", "de": "Das hilft vielleicht schon weiter:"}


def acknowledgement(
    texts: Texts, decision: Decision, desk: Config, *, reference: str, subject: str, pin: Callable[[], str] = str
) -> Words:
    """What the rules chose, else the desk's usual words; the help article at its place, else below.

    `pin` draws one that continues the query by telephone; without it `{pin}` is left out.
    """
    outcome = decision.outcome
    language = outcome.language or decision.facts.language or desk.language
    article = texts.article(outcome.article, outcome.service or "", language) if outcome.article else None
    help_ = f"{article.title}\n\n{article.text[:SHOWN]}" if article else ""
    template = texts.template(outcome.acknowledgement, language) if outcome.acknowledgement else None
    usual = words(language, reference, desk.name, subject, proved=(decision.facts.assurance or 0) >= 1)
    if template is None:
        intro = _HELP.get(language.partition("-")[0].lower(), _HELP["en"])
        return Words(usual.subject, f"{usual.text}\n{intro}\n\n{help_}\n" if help_ else usual.text)
    said = filled(template, reference=reference, desk=desk.name, article=help_, pin=pin)
    return Words(f"{said.title} [{reference}]" if said.title else usual.subject, said.text)
