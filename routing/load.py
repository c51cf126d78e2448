"""A rules file to a rule set, or every problem that it has. No file is read here: bytes come in.

A file is taken whole or not at all: what is taken has run its own examples, and has no rule that can do nothing.
"""

import gc
import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import chain
from types import MappingProxyType
from typing import Any, TypeVar

import re2

from plugins import BadConfig, Problem
from routing.actions import SETS, read_sets
from routing.calendars import Calendar, read_calendar
from routing.catalogue import Catalogue, read_service, read_targets
from routing.conditions import All, leaves
from routing.decide import DEFAULT
from routing.examples import Example, read_example, run_example
from routing.index import Index
from routing.lint import conjuncts, why_never
from routing.matrix import DEFAULT as DEFAULT_MATRIX
from routing.matrix import Matrix, read_matrix
from routing.model import ENGINE, RuleSet
from routing.names import Name, asked, is_one_of, strings
from routing.parse import Scope, read_conditions, read_list
from routing.pieces import Parts, Piece, taken_apart
from routing.places import Places, Report
from routing.reading import Guards, Reading, read_rule, reading_of
from routing.rule import Rule
from routing.shadows import shadows
from routing.source import decode, parse, refused

MOST = 1000
"""Problems that are told of one file: each is looked for in it, and nobody reads more."""

NEEDED = ("type", "impact", "urgency", "target")
"""What `[default]` must say, so that every decision is whole."""

_TABLES = ("rule", "example", "default", "matrix", "group", "list", "calendar", "service", "targets")

T = TypeVar("T")

Known = Mapping[str, frozenset[str]]
NOTHING: Known = MappingProxyType({})


def load_rules(
    text: bytes | str,
    file: str = "rules.toml",
    known: Known = NOTHING,
    *,
    accepted: bool = False,
    before: RuleSet | None = None,
) -> RuleSet:
    """Raises BadConfig with all problems; a file whose examples fail is refused as well. Nothing is read from disk.

    `known`: kind of `Mention` → what there is of it; of a kind that is not in it nothing is checked.
    `accepted`: it was in force once, so it is taken without its examples and whatever else later releases may mind.
    `before`: a set of which much stands in this file too. It saves time and changes nothing in what comes out.
    """
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    with _uncollected():
        return _Loader(data, file, known, before).load(accepted=accepted)


@contextmanager
def _uncollected() -> Iterator[None]:
    """All that a load makes is small and stays: the collector would go through it again and again, half of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _allowed(field: str) -> str:
    return f"allowed: {', '.join(SETS[field])}" if SETS[field] else ""


class _Loader:
    """One file on its way: problems are collected until all of it was looked at."""

    def __init__(self, data: bytes, file: str, known: Known, before: RuleSet | None) -> None:
        self._data, self._file, self._before = data, file, before
        self._source = decode(data, file)
        self._known = dict(known)
        self._problems: list[tuple[int, Problem]] = []
        self._count = 0
        self._doubtful: set[str] = set()
        """`list.partners`: what has mistakes of its own; nothing is concluded from it."""
        self._strings: set[str] = set()
        """All that stands in tables with mistakes: it may be what one of them should name."""
        self._new: set[int] = set()
        """Numbers of the rules that were read only now."""
        self._whole: set[int] = set()
        """Of those of which everything fits."""

    def load(self, *, accepted: bool) -> RuleSet:
        parts = self._parts()
        document = self._document
        for key in document.keys() - set(_TABLES):
            self._report(key)("", "unknown table", f"allowed: {', '.join(_TABLES)}")
        calendars = self._named("calendar", read_calendar)
        catalogue = self._catalogue(calendars)
        self._surround(calendars)
        self._lines = [piece.line or self._places.line("rule", number) for number, piece in enumerate(parts.rules)]
        rules = [self._reading(number, parts.rules) for number in range(len(parts.rules))]
        default = reading_of(self._default(document.get("default")))
        matrix = self._matrix(document)
        listed = [] if accepted else parts.examples
        examples = [self._example(piece, number) for number, piece in enumerate(listed)]
        if not accepted:
            self._lint(rules)
            self._unused(catalogue)
            self._strangers(rules, default)
            self._named_in(examples, rules)
        self._fail()
        read: dict[str, object] = {}
        if not accepted:
            texts = (piece.text for piece in (*parts.rules, *listed) if piece.text)
            read = dict(zip(texts, (*rules, *(example for example, _ in examples)), strict=False))
        rule_set = self._rule_set(rules, default, matrix, catalogue, read)
        for example, report in examples:
            if example:
                run_example(rule_set, example, report)
        self._fail()
        return rule_set

    @cached_property
    def _places(self) -> Places:
        """Made for whoever must be told where something stands."""
        return Places(self._file, self._source)

    def _parts(self) -> Parts:
        parts = taken_apart(self._source, self._before.read if self._before else {})
        self._document = parts.document if parts else parse(self._source, self._file)
        return parts or Parts(self._document, self._list("rule"), self._list("example"))

    def _surround(self, calendars: Mapping[str, Calendar]) -> None:
        """Reads what rules may name, and sees what of it is another than it was."""
        lists = self._named("list", read_list)
        self._scope = Scope(lists=lists, calendars=calendars, doubtful=self._doubtful)
        self._guards = Guards(self._names("group"), self._named("group", self._group))
        kinds: dict[str, Mapping[str, object]] = {"list": lists, "calendar": calendars, "group": self._guards.read}
        self._around = {f"{kind}.{name}": what for kind, known in kinds.items() for name, what in known.items()}
        before = self._before.surroundings if self._before else {}
        names = self._around.keys() | before.keys()
        self._changed = self._doubtful.union(name for name in names if self._around.get(name) != before.get(name))

    def _fail(self) -> None:
        """In the order of the file, what stands nowhere in it at the end."""
        if self._problems:
            ordered = [problem for _, problem in sorted(self._problems, key=lambda each: each[0] or math.inf)]
            if self._count > MOST:
                ordered.append(Problem(file=self._file, key="", what=f"{self._count - MOST:,} more problems"))
            raise BadConfig(ordered)

    def _report(self, table: str, prefix: str = "", number: int = 0) -> Report:
        """A collector for one table; where its key stands is looked for when something is wrong with it."""

        def report(key: str, what: str, fix: str) -> None:
            self._add(lambda: self._places.line(table, number, key), (prefix or table, key), what, fix)

        return report

    def _report_rule(self, rule: Rule, number: int) -> Report:
        """A nameless rule is known by its number."""
        return self._report("rule", f"rule {rule.name or number + 1}", number)

    def _report_named(self, kind: str, name: str) -> Report:
        """The same for `[kind.name]`."""

        def report(key: str, what: str, fix: str) -> None:
            self._add(lambda: self._places.named(kind, name, key), (f"{kind}.{name}", key), what, fix)

        return report

    def _add(self, where: Callable[[], int], path: Iterable[str], what: str, fix: str) -> None:
        self._count += 1
        if self._count <= MOST:
            at = where()
            self._problems.append((at, self._places.problem(at, ": ".join(filter(None, path)), what, fix)))

    def _list(self, name: str) -> list[Piece]:
        tables = self._document.get(name, [])
        if not isinstance(tables, list):
            self._report(name)("", "expected a list of tables", f"write [[{name}]]")
            return []
        return [Piece(table) for table in tables]

    def _names(self, kind: str) -> Mapping[str, Any]:
        tables = self._document.get(kind, {})
        return tables if isinstance(tables, dict) else {}

    def _named(self, kind: str, read: Callable[[str, Any, Report], T | None]) -> dict[str, T]:
        """All `[kind.<name>]`, or the entries of `[kind]`."""
        if not isinstance(self._document.get(kind, {}), dict):
            self._report(kind)("", "expected a table", f"write [{kind}.name]")
        made = {}
        for name, table in self._names(kind).items():
            path, before = f"{kind}.{name}", self._count
            known = read(name, table, self._report_named(kind, name))
            if self._count > before:
                self._doubtful.add(path)
                self._strings.update(strings(table))
            if known is not None:
                made[name] = known
        return made

    def _group(self, name: str, table: Any, report: Report) -> All | None:
        if not isinstance(table, dict) or "when" not in table:
            report("when", "missing", "say what all rules of the group ask for")
            return None
        for key in table.keys() - {"when", "note"}:
            report(key, "unknown key", "allowed: when, note")
        scope = self._scope.own()
        guard = read_conditions(table["when"], "when", report, scope)
        self._take(scope, f"group.{name}")
        return guard

    def _take(self, scope: Scope, path: str = "") -> bool:
        """Whether nothing that was used has mistakes of its own; if it has, `path` is in doubt as well."""
        self._scope.used.update(scope.used)
        sound = scope.used.isdisjoint(self._doubtful)
        if path and not sound:
            self._doubtful.add(path)
        return sound

    def _catalogue(self, calendars: Mapping[str, Calendar]) -> Catalogue:
        hours = self._names("calendar")
        services = self._named("service", lambda name, table, report: read_service(name, table, hours, report))
        targets = read_targets(self._document.get("targets", {}), "", self._report("targets"))
        return Catalogue(services=services, targets=targets, calendars=calendars)

    def _unused(self, catalogue: Catalogue) -> None:
        """A list, calendar or group that nothing names is a slip: a condition was forgotten, or misspelt elsewhere."""
        used = self._scope.used | {f"calendar.{service.hours}" for service in catalogue.services.values()}
        for kind in ("list", "calendar", "group"):
            for name in self._names(kind):
                if f"{kind}.{name}" not in used and name not in self._strings:
                    self._report_named(kind, name)("", "nothing in the file uses it", "take it out, or name it")

    def _strangers(self, rules: Sequence[Reading], default: Reading) -> None:
        """Names of what nobody has, in rules with other mistakes too. Services: where the file has a catalogue."""
        if self._names("service"):
            self._known["service"] = frozenset(self._names("service"))
        groups = {name: self._lost(asked(leaves(guard))) for name, guard in self._guards.read.items()}
        for name, lost in groups.items():
            self._tell(lost, self._report_named("group", name))
        strange = frozenset(self._lost({name for each in rules for name in each.names}))
        for number, each in enumerate(rules if strange else ()):
            own = [name for name in each.names if name in strange and name not in groups.get(each.rule.group, ())]
            if own:
                self._tell(own, self._report_rule(each.rule, number))
        self._tell(self._lost(default.names), self._report(DEFAULT))

    def _lost(self, given: Iterable[Name]) -> list[Name]:
        return [each for each in given if each[1] in self._known and not is_one_of(each, self._known[each[1]])]

    def _tell(self, lost: Iterable[Name], report: Report) -> None:
        for key, kind, name in lost:
            fix = f"there are: {', '.join(sorted(self._known[kind])) or 'none'}"
            report(key, f"there is no {kind} {name!r}", fix)

    def _named_in(self, examples: Sequence[tuple[Example | None, Report]], rules: Sequence[Reading]) -> None:
        names = {DEFAULT, *(each.rule.name for each in rules)} if examples else ()
        for example, report in examples:
            if example and example.expect.rule is not None and example.expect.rule not in names:
                report("expect.rule", f"there is no rule {example.expect.rule!r}", "")
            if example and example.facts.instance is not None:
                self._tell(self._lost([("message.instance", "instance", example.facts.instance)]), report)

    def _reading(self, number: int, pieces: list[Piece]) -> Reading:
        """Drops the table: all of them and what they are read as would be the most memory that a load needs."""
        piece = pieces[number]
        pieces[number] = piece._replace(table=None)
        known = self._before.read.get(piece.text) if self._before else None
        if isinstance(known, Reading) and known.used.isdisjoint(self._changed):
            self._scope.used.update(known.used)
            self._whole.add(number)
            return known
        self._new.add(number)
        table, before, scope = piece.read(), self._count, self._scope.own()
        name = table.get("name") if isinstance(table, dict) else None
        title = f"rule {name if name and isinstance(name, str) else number + 1}"
        reading = read_rule(table, self._report("rule", title, number), scope, self._guards)
        self._take(scope)
        if self._count > before:
            self._strings.update(strings(table))
        elif reading.asks:
            self._whole.add(number)
        return reading

    def _default(self, table: Any) -> Rule:
        report = self._report(DEFAULT)
        if not isinstance(table, dict):
            what = "missing" if table is None else "expected a table"
            report("", what, f"write [default] with set.{', set.'.join(NEEDED)}")
            return Rule(name=DEFAULT, when=All(()), sets={})
        for key in table.keys() - {"set", "note"}:
            report(key, "unknown key", "allowed: set, note")
        written = table.get("set", {})
        sets, tags = read_sets(written, report)
        for field in NEEDED if isinstance(written, dict) else ():
            if field not in written:
                report(f"set.{field}", "is needed, so that every decision is whole", _allowed(field))
        if "priority" in sets:
            report("set.priority", "would make the matrix useless", "set impact and urgency, or change [matrix]")
        return Rule(name=DEFAULT, when=All(()), sets=sets, tags=tags)

    def _matrix(self, document: Mapping[str, Any]) -> Matrix:
        if "matrix" not in document:
            return DEFAULT_MATRIX
        return read_matrix(document["matrix"], self._report("matrix"))

    def _lint(self, rules: Sequence[Reading]) -> None:
        """What rules say together. Nothing is concluded from one that is not understood yet."""
        seen: dict[str, int] = {}
        never: set[int] = set()
        for number, each in enumerate(rules):
            if each.rule.name and seen.setdefault(each.rule.name, number) != number:
                what = f"line {self._lines[seen[each.rule.name]]} has a rule of this name"
                self._report_rule(each.rule, number)("name", what, "names are unique")
        for number in sorted(self._new):
            if rules[number].asks and (why := why_never(rules[number].rule.when)):
                never.add(number)
                self._report_rule(rules[number].rule, number)("when", f"can never match: {why}", "")
        self._shadows(rules, sorted(self._whole - never))

    def _shadows(self, rules: Sequence[Reading], sound: Iterable[int]) -> None:
        for number, above in shadows([(each, rules[each].rule, rules[each].asked) for each in sound]):
            rule, others = rules[number].rule, [(rules[each].rule, self._lines[each]) for each in sorted(above)]
            if any(rule.name == other.name for other, _ in others):
                continue  # which is what is told of it
            named = " and ".join(f"{other.name} (line {line})" for other, line in others)
            stops = all(other.stop for other, _ in others)
            one = len(others) == 1
            why = f"stop{'s' * one} before it" if stops else f"set{'s' * one} the same fields before it"
            what = f"{named} ask{'s' * one} for no more and {why}" if one else f"{named} together {why}"
            if one and _same(rule, others[0][0]):
                what = f"differs from {named} in its name alone"
            never = "never runs" if stops else "never has an effect"
            self._report_rule(rule, number)("", f"{never}: {what}", "move it up, or take it out")

    def _rule_set(
        self,
        rules: Sequence[Reading],
        default: Reading,
        matrix: Matrix,
        catalogue: Catalogue,
        read: Mapping[str, object],
    ) -> RuleSet:
        before = self._before.index.lexicon if self._before else None
        try:
            index = Index([each.filing for each in rules], self._scope.compiled, before)
        except re2.error as error:
            raise refused(self._file, f"all patterns together are too large for RE2: {error}", "") from None
        return RuleSet(
            file=self._file,
            source=self._data,
            hash=hashlib.sha256(b"trunkline rules, engine %d\n" % ENGINE + self._data).hexdigest(),
            rules=tuple(each.rule for each in rules),
            default=default.rule,
            matrix=matrix,
            index=index,
            calendars=catalogue.calendars,
            catalogue=catalogue,
            counted=frozenset(chain.from_iterable(each.counted for each in rules)),
            names=[each.names for each in (*rules, default)],
            read=read,
            surroundings=self._around,
        )

    def _example(self, piece: Piece, number: int) -> tuple[Example | None, Report]:
        report = self._report("example", f"example {number + 1}", number)
        known = self._before.read.get(piece.text) if self._before else None
        return (known if isinstance(known, Example) else read_example(piece.read(), report)), report


def _same(one: Rule, other: Rule) -> bool:
    alike = (one.sets, one.tags, one.stop) == (other.sets, other.tags, other.stop)
    return alike and set(conjuncts(one.when)) == set(conjuncts(other.when))
