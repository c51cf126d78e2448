"""A telephone menu as a model: what a caller hears and chooses, apart from any telephone system's wire.

A menu is a set of named nodes. Three say something or branch, and go on by themselves (`say`, `hours`, `notices`); six
wait for the caller or for somebody else (`choose`, `ask`, `pin`, `record`, `dial`, `queue`); `hangup` ends the call. A
voice connector renders a `Turn` in its system's words, and brings what was heard back to `Menu.heard`. Everything here
is pure; what is wrong with a menu is found when it is loaded, all of it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Meta, Struct

NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
SILENT = ("say", "hours", "notices")
"""Nodes that go on by themselves."""
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SPAN = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-4]):([0-5][0-9])")
_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}|sip:[!-~]{3,200}")
_WORD = re.compile(r"\w+")
_NEEDS: Mapping[str, tuple[str, ...]] = {
    "say": ("say", "next"),
    "hours": ("calendar", "next", "otherwise"),
    "notices": ("next",),
    "choose": ("say", "options", "otherwise"),
    "ask": ("say", "field", "next", "otherwise"),
    "pin": ("say", "next", "otherwise"),
    "record": ("next",),
    "dial": ("number", "next", "otherwise"),
    "queue": ("queue", "next", "otherwise"),
    "hangup": (),
}
"""What a node must say for itself."""
_TAKES: Mapping[str, tuple[str, ...]] = {
    "choose": ("tries", "wait"),
    "ask": ("digits", "tries", "wait"),
    "pin": ("tries", "wait"),
    "record": ("say", "seconds", "transcribe"),
    "dial": ("say", "seconds"),
    "queue": ("say",),
    "hangup": ("say",),
}
"""What it may say besides."""


class Option(Struct, frozen=True, kw_only=True):
    """One way on from a `choose`."""

    to: Annotated[str, Meta(description="The node that it leads to.")]
    key: Annotated[str, Meta(description="The key to press.", pattern="^[0-9*]?$")] = ""
    words: Annotated[tuple[str, ...], Meta(description="Words that mean it when they are spoken.", max_length=20)] = ()
    label: Annotated[
        str, Meta(description="What agents and rules read: the value of the field that has the node's name.")
    ] = ""
    set: Annotated[dict[str, str], Meta(description='Further fields for rules, such as service = "mail".')] = {}
    language: Annotated[str, Meta(description="The language that the caller hears from here on.")] = ""

    @property
    def chosen(self) -> str:
        """Its name for people."""
        return self.label or (self.words[0] if self.words else self.key)


class Node(Struct, frozen=True, kw_only=True):
    """One place in a menu."""

    do: Annotated[
        Literal["say", "choose", "ask", "pin", "hours", "notices", "record", "dial", "queue", "hangup"],
        Meta(description="What happens here."),
    ]
    say: Annotated[
        str | dict[str, str], Meta(description="What the caller hears: a text, or a table of language to text.")
    ] = ""
    next: Annotated[str, Meta(description="The node after it; of `hours` while it is open.")] = ""
    otherwise: Annotated[
        str, Meta(description="The node if nothing fits: closed, nothing understood, wrong PIN, nobody answers.")
    ] = ""
    options: Annotated[tuple[Option, ...], Meta(description="Of `choose`: the ways on.", max_length=12)] = ()
    field: Annotated[str, Meta(description="Of `ask`: the field that what was said goes into.", max_length=100)] = ""
    digits: Annotated[
        int, Meta(description="Of `ask`: this many digits are to be pressed; 0: the caller speaks.", ge=0, le=30)
    ] = 0
    tries: Annotated[int, Meta(description="How often it is asked before `otherwise`.", ge=1, le=5)] = 3
    wait: Annotated[int, Meta(description="Seconds of silence until it is asked again.", ge=1, le=60)] = 5
    seconds: Annotated[
        int, Meta(description="Longest `record`, or how long `dial` rings (at most 600).", ge=1, le=3600)
    ] = 60
    transcribe: Annotated[bool, Meta(description="Of `record`: have it written down.")] = False
    number: Annotated[str, Meta(description="Of `dial`: the agent's number in E.164, or a SIP address.")] = ""
    queue: Annotated[str, Meta(description="Of `queue`: the waiting line's name.", max_length=64)] = ""
    calendar: Annotated[str, Meta(description="Of `hours`: the name of a calendar under `hours`.")] = ""


Spans = Annotated[tuple[str, ...], Meta(description='When it is open, as ["08:00-12:00", "13:00-17:00"].')]


class Hours(Struct, frozen=True, kw_only=True):
    """A calendar of the hours in which somebody answers."""

    zone: Annotated[str, Meta(description='Its time zone, such as "Europe/Berlin".')]
    mon: Spans = ()
    tue: Spans = ()
    wed: Spans = ()
    thu: Spans = ()
    fri: Spans = ()
    sat: Spans = ()
    sun: Spans = ()
    closed: Annotated[tuple[date, ...], Meta(description="Days on which it stays closed, such as 2026-12-25.")] = ()

    def open_at(self, at: datetime) -> bool:
        """Is somebody there?"""
        local = at.astimezone(ZoneInfo(self.zone))
        spans = getattr(self, DAYS[local.weekday()])
        now = local.time().replace(tzinfo=None)
        return local.date() not in self.closed and any(begin <= now < end for begin, end in map(_span, spans))


class Speak(Struct, frozen=True):
    """Read this aloud."""

    text: str
    language: str


class Listen(Struct, frozen=True):
    """Wait for keys or words. `digits`: so many keys, 0: none are taken. `hints`: words that are likely."""

    prompt: str
    digits: int
    speech: bool
    wait: int
    hints: tuple[str, ...] = ()


class Record(Struct, frozen=True):
    """Take down what is said."""

    seconds: int
    transcribe: bool


class Ring(Struct, frozen=True):
    """Call an agent and join the two."""

    number: str
    seconds: int


class Wait(Struct, frozen=True):
    """Stand in a waiting line."""

    queue: str


class End(Struct, frozen=True):
    """Hang up."""


class Turn(Struct, frozen=True, kw_only=True):
    """What the caller hears now, and what is waited for; the answer belongs to `node`."""

    node: str
    language: str
    said: tuple[Speak, ...]
    last: Listen | Record | Ring | Wait | End

    @property
    def choosing(self) -> bool:
        """Is the caller still on the way to what the call is about?"""
        return isinstance(self.last, Listen)


class Heard(Struct, frozen=True, kw_only=True):
    """What came back: keys, words, or whether somebody else answered."""

    digits: str = ""
    speech: str = ""
    reached: bool = True
    """`dial` and `queue`: the caller has spoken with somebody. `pin`: it opens its query."""


class Move(Struct, frozen=True, kw_only=True):
    """Where it goes on, and what it means."""

    to: str
    language: str
    again: bool = False
    """The same is asked once more."""
    fields: Mapping[str, str] = {}
    text: str = ""
    """For people; "" if nothing was said that means something."""


class Menu:
    """One menu. `problems` tells first whether it can be walked."""

    def __init__(
        self, start: str, nodes: Mapping[str, Node], languages: Sequence[str], hours: Mapping[str, Hours]
    ) -> None:
        self.start = start
        self.nodes = nodes
        self.languages = languages
        self._hours = hours

    def turn(self, name: str, language: str, at: datetime, notices: Sequence[str] = ()) -> Turn:
        """From this node on, up to the one that waits."""
        said: list[Speak] = []
        node = self.nodes[name]
        while node.do in SILENT:
            if node.do == "notices":
                said += [Speak(text, language) for text in notices]
            if node.say:
                said.append(Speak(self._text(node, language), language))
            closed = node.do == "hours" and not self._hours[node.calendar].open_at(at)
            name = node.otherwise if closed else node.next
            node = self.nodes[name]
        if node.say and node.do not in ("choose", "ask", "pin"):
            said.append(Speak(self._text(node, language), language))
        return Turn(node=name, language=language, said=tuple(said), last=self._last(node, language))

    def heard(self, name: str, language: str, tries: int, heard: Heard) -> Move:
        """What it means that this was heard at a node; `tries` were made before this one."""
        node = self.nodes[name]
        if node.do == "choose":
            option = _choice(node, heard)
            if option is not None:
                fields = {name: option.chosen, **option.set}
                return Move(to=option.to, language=option.language or language, fields=fields, text=option.chosen)
        elif node.do == "ask":
            said = heard.digits if node.digits else heard.speech
            if said:
                return Move(to=node.next, language=language, fields={node.field: said}, text=said)
        elif node.do != "pin" or heard.reached:
            return Move(to=node.next if heard.reached or not node.otherwise else node.otherwise, language=language)
        if tries + 1 < node.tries:
            return Move(to=name, language=language, again=True, text=heard.speech)
        return Move(to=node.otherwise, language=language, text=heard.speech)

    def _text(self, node: Node, language: str) -> str:
        return node.say if isinstance(node.say, str) else node.say.get(language, "")

    def _last(self, node: Node, language: str) -> Listen | Record | Ring | Wait | End:
        prompt = self._text(node, language)
        if node.do == "choose":
            hints = tuple(word for option in node.options for word in option.words)
            keys = any(option.key for option in node.options)
            return Listen(prompt, int(keys), bool(hints), node.wait, hints)
        if node.do == "ask":
            return Listen(prompt, node.digits, not node.digits, node.wait)
        if node.do == "pin":
            return Listen(prompt, PIN_DIGITS, False, node.wait)
        if node.do == "record":
            return Record(node.seconds, node.transcribe)
        if node.do == "dial":
            return Ring(node.number, node.seconds)
        return Wait(node.queue) if node.do == "queue" else End()


PIN_DIGITS = 9
"""Of a query's PIN, as the hub issues it."""


def _choice(node: Node, heard: Heard) -> Option | None:
    for option in node.options:
        if option.key and option.key == heard.digits:
            return option
    spoken = _WORD.findall(heard.speech.casefold())
    for option in node.options:
        for word in option.words:
            wanted = _WORD.findall(word.casefold())
            if any(spoken[at : at + len(wanted)] == wanted for at in range(len(spoken))):
                return option
    return None


def _span(text: str) -> tuple[time, time]:
    """From, until; 24:00 is the day's end. Raises ValueError."""
    found = _SPAN.fullmatch(text)
    if found is None:
        raise ValueError(text)
    h1, m1, h2, m2 = map(int, found.groups())
    end = time.max if h2 == 24 else time(h2, m2)
    if time(h1, m1) >= end or (h2 == 24 and m2):
        raise ValueError(text)
    return time(h1, m1), end


# ---- what is wrong with a menu -----------------------------------------------------------------------


def problems(
    start: str, nodes: Mapping[str, Node], languages: Sequence[str], hours: Mapping[str, Hours]
) -> list[tuple[str, str]]:
    """Everything that keeps the menu from being used, as (setting, what is wrong); empty if it can be walked."""
    found = [("start", f"there is no node {start}")] if start not in nodes else []
    for name, calendar in hours.items():
        found += [(f"hours.{name}.{key}", what) for key, what in _calendar(calendar)]
    for name, node in nodes.items():
        found += [(f"menu.{name}{key}", what) for key, what in _node(name, node, nodes, languages, hours)]
    return found or [*_ways(start, nodes)]


def _calendar(calendar: Hours) -> Iterator[tuple[str, str]]:
    try:
        ZoneInfo(calendar.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        yield "zone", f"there is no time zone {calendar.zone}"
    for day in DAYS:
        for span in getattr(calendar, day):
            try:
                _span(span)
            except ValueError:
                yield day, f'"{span}" is no span: expected e.g. "08:00-17:00"'


def _node(
    name: str, node: Node, nodes: Mapping[str, Node], languages: Sequence[str], hours: Mapping[str, Hours]
) -> Iterator[tuple[str, str]]:
    if not NAME.fullmatch(name):
        yield "", "a node's name is lower-case letters, digits, - and _, begins with a letter, 32 at most"
    yield from ((f".{each}", f"is missing: {node.do} needs it") for each in _NEEDS[node.do] if not getattr(node, each))
    allowed = {"do", *_NEEDS[node.do], *_TAKES.get(node.do, ())} | ({"say"} if node.do in SILENT else set())
    for setting, default in _DEFAULTS.items():
        if setting not in allowed and getattr(node, setting) != default:
            yield f".{setting}", f"means nothing to {node.do}"
    for setting, target in _targets(node):
        if target not in nodes:
            yield setting, f"there is no node {target}"
    yield from _spoken(node, languages)
    if node.calendar and node.calendar not in hours:
        yield ".calendar", f"there are no hours called {node.calendar}"
    if node.number and not _NUMBER.fullmatch(node.number):
        yield ".number", 'expected a number in E.164, such as "+15550003333", or "sip:…"'
    yield from _options(node, languages)


def _spoken(node: Node, languages: Sequence[str]) -> Iterator[tuple[str, str]]:
    """A plain text is said in every language; a table has them all."""
    if isinstance(node.say, dict):
        yield from ((".say", f"has no text in {each}") for each in languages if not node.say.get(each))
        yield from ((".say", f"{other} is none of languages") for other in node.say if other not in languages)


def _options(node: Node, languages: Sequence[str]) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for number, option in enumerate(node.options):
        ways = {*filter(None, [option.key]), *(word.casefold() for word in option.words)}
        if not ways:
            yield f".options[{number}]", "has neither key nor words, so nobody can choose it"
        for way in sorted(ways & seen):
            yield f".options[{number}]", f"{way} leads elsewhere already"
        seen |= ways
        if option.language and option.language not in languages:
            yield f".options[{number}].language", f"{option.language} is none of languages"


def _targets(node: Node) -> list[tuple[str, str]]:
    """(setting, node) of all ways on."""
    ways = [(f".options[{number}].to", option.to) for number, option in enumerate(node.options)]
    return [*ways, *((f".{name}", target) for name in ("next", "otherwise") if (target := getattr(node, name)))]


def _ways(start: str, nodes: Mapping[str, Node]) -> Iterator[tuple[str, str]]:
    """What only shows when it is walked: what nobody reaches, and what nobody leaves."""
    after = {name: {target for _, target in _targets(node)} for name, node in nodes.items()}
    for name in nodes.keys() - _reached({start}, after):
        yield f"menu.{name}", f"nobody gets here from {start}"
    before: dict[str, set[str]] = {name: set() for name in nodes}
    for name, targets in after.items():
        for target in targets:
            before[target].add(name)
    ends = {name for name, node in nodes.items() if node.do == "hangup"}
    for name in sorted(nodes.keys() - _reached(ends, before)):
        yield f"menu.{name}", "no way leads from here to a hangup: a caller would go round for ever"
    silent = {name: after[name] & {n for n in nodes if nodes[n].do in SILENT} for name in nodes}
    for name, node in nodes.items():
        if node.do in SILENT and name in _reached(silent[name], silent):
            yield f"menu.{name}", "comes back to itself without waiting for the caller"


def _reached(begin: set[str], ways: Mapping[str, set[str]]) -> set[str]:
    found, new = set(begin), set(begin)
    while new:
        new = {target for name in new for target in ways[name]} - found
        found |= new
    return found


_DEFAULTS = dict(zip(reversed(Node.__struct_fields__), reversed(Node.__struct_defaults__), strict=False))
