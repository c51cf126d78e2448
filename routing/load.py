"""A rules file to a rule set, or every problem that it has. No file is read here: bytes come in.

A file is taken whole or not at all: what is taken has run its own examples, and has no rule that can do nothing.
"""

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar

import re2

from plugins import BadConfig, Problem
from routing.actions import SETS, read_sets
from routing.calendars import Calendar, read_calendar
from routing.catalogue import Catalogue, read_service, read_targets
from routing.conditions import INBOUND, All, leaves
from routing.decide import DEFAULT, MATRIX
from routing.examples import Example, read_example, run_example
from routing.index import Index
from routing.lint import conjuncts, why_never
from routing.matrix import DEFAULT as DEFAULT_MATRIX
from routing.matrix import Matrix, read_matrix
from routing.model import ENGINE, Mention, RuleSet
from routing.names import Name, asked, is_one_of, named, strings
from routing.parse import Scope, read_conditions, read_list
from routing.places import Places, Report
from routing.rule import Rule
from routing.shadows import shadows
from routing.source import decode, parse, refused

MOST = 1000
"""Problems that are told of one file: each is looked for in it, and nobody reads more."""

NEEDED = ("type", "impact", "urgency", "target")
"""What `[default]` must say, so that every decision is whole."""

_TABLES = ("rule", "example", "default", "matrix", "group", "list", "calendar", "service", "targets")
_RULE_KEYS = ("name", "note", "group", "when", "set", "stop")
_OF_RULES = frozenset(_RULE_KEYS)

T = TypeVar("T")

Known = Mapping[str, frozenset[str]]
NOTHING: Known = MappingProxyType({})


def load_rules(
    text: bytes | str, file: str = "rules.toml", known: Known = NOTHING, *, accepted: bool = False
) -> RuleSet:
    """Raises BadConfig with all problems; a file whose examples fail is refused as well. Nothing is read from disk.

    `known`: kind of `Mention` → what there is of it; of a kind that is not in it nothing is checked.
    `accepted`: it was in force once, so it is taken without its examples and whatever else later releases may mind.
    """
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    source = decode(data, file)
    return _Loader(data, parse(source, file), Places(file, source), known).load(accepted=accepted)


def _allowed(field: str) -> str:
    return f"allowed: {', '.join(SETS[field])}" if SETS[field] else ""


class _Loader:
    """One file on its way: problems are collected until all of it was looked at."""

    def __init__(self, data: bytes, document: dict[str, Any], places: Places, known: Known) -> None:
        self._data, self._document, self._places = data, document, places
        self._known = dict(known)
        self._problems: list[tuple[int, Problem]] = []
        self._count = 0
        self._doubtful: set[str] = set()
        """`list.partners`: what has mistakes of its own; nothing is concluded from it."""
        self._strings: set[str] = set()
        """All that stands in tables with mistakes: it may be what one of them should name."""
        self._asking: set[int] = set()
        self._whole: set[int] = set()
        """Numbers of the rules whose conditions fit, and of those of which everything does."""

    def load(self, *, accepted: bool) -> RuleSet:
        document = self._document
        for key in document.keys() - set(_TABLES):
            self._report(self._places.line(key), key)("", "unknown table", f"allowed: {', '.join(_TABLES)}")
        calendars = self._named("calendar", read_calendar)
        catalogue = self._catalogue(calendars)
        lists = self._named("list", read_list)
        self._scope = Scope(lists=lists, calendars=calendars, doubtful=self._doubtful)
        self._groups = self._named("group", self._group)
        rules = tuple(self._rule(table, number) for number, table in enumerate(self._list("rule")))
        default = self._default(document.get("default"))
        matrix = self._matrix(document)
        given = [list(named(rule)) for rule in (*rules, default)]
        listed = () if accepted else self._list("example")
        examples = [self._example(table, number) for number, table in enumerate(listed)]
        if not accepted:
            self._lint(rules)
            self._unused(catalogue)
            self._strangers(rules, default, given)
            self._expected(rules, examples)
        self._fail()
        document.clear()  # it and the index together would be the most memory that a load needs
        mentions = tuple(self._mentions((*rules, default), given))
        rule_set = self._rule_set(rules, default, matrix, catalogue, mentions)
        for example, report in examples:
            if example:
                run_example(rule_set, example, report)
        self._fail()
        return rule_set

    def _fail(self) -> None:
        """In the order of the file, what stands nowhere in it at the end."""
        if self._problems:
            ordered = [problem for _, problem in sorted(self._problems, key=lambda each: each[0] or math.inf)]
            if self._count > MOST:
                ordered.append(Problem(file=self._places.file, key="", what=f"{self._count - MOST:,} more problems"))
            raise BadConfig(ordered)

    def _report(self, line: int, prefix: str, table: str = "", number: int = 0) -> Report:
        """A collector for one table; `line` is used where the key's own can't be found."""

        def report(key: str, what: str, fix: str) -> None:
            self._add(lambda: (self._places.line(table, number, key) if table else 0) or line, (prefix, key), what, fix)

        return report

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

    def _list(self, name: str) -> list[Any]:
        tables = self._document.get(name, [])
        if not isinstance(tables, list):
            self._report(self._places.line(name), name)("", "expected a list of tables", f"write [[{name}]]")
            return []
        return tables

    def _names(self, kind: str) -> Mapping[str, Any]:
        tables = self._document.get(kind, {})
        return tables if isinstance(tables, dict) else {}

    def _named(self, kind: str, read: Callable[[str, Any, Report], T | None]) -> dict[str, T]:
        """All `[kind.<name>]`, or the entries of `[kind]`."""
        if not isinstance(self._document.get(kind, {}), dict):
            self._report(self._places.line(kind), kind)("", "expected a table", f"write [{kind}.name]")
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
        line, hours = self._places.line("targets"), self._names("calendar")
        services = self._named("service", lambda name, table, report: read_service(name, table, hours, report))
        targets = read_targets(self._document.get("targets", {}), "", self._report(line, "targets", "targets"))
        return Catalogue(services=services, targets=targets, calendars=calendars)

    def _unused(self, catalogue: Catalogue) -> None:
        """A list, calendar or group that nothing names is a slip: a condition was forgotten, or misspelt elsewhere."""
        used = self._scope.used | {f"calendar.{service.hours}" for service in catalogue.services.values()}
        for kind in ("list", "calendar", "group"):
            for name in self._names(kind):
                if f"{kind}.{name}" not in used and name not in self._strings:
                    self._report_named(kind, name)("", "nothing in the file uses it", "take it out, or name it")

    def _strangers(self, rules: tuple[Rule, ...], default: Rule, given: Sequence[Sequence[Name]]) -> None:
        """Names of what nobody has, in rules with other mistakes too. Services: where the file has a catalogue."""
        if self._names("service"):
            self._known["service"] = frozenset(self._names("service"))
        groups = {name: self._lost(asked(guard)) for name, guard in self._groups.items()}
        for name, lost in groups.items():
            self._tell(lost, self._report_named("group", name))
        for number, rule in enumerate(rules):
            if lost := self._lost(given[number]):
                own = [each for each in lost if each not in groups.get(rule.group, ())]
                self._tell(own, self._report(rule.line, _title(rule, number), "rule", number))
        self._tell(self._lost(given[-1]), self._report(default.line, default.name, "default"))

    def _lost(self, given: Iterable[Name]) -> list[Name]:
        return [each for each in given if each[1] in self._known and not is_one_of(each, self._known[each[1]])]

    def _tell(self, lost: Iterable[Name], report: Report) -> None:
        for key, kind, name in lost:
            fix = f"there are: {', '.join(sorted(self._known[kind])) or 'none'}"
            report(key, f"there is no {kind} {name!r}", fix)

    def _expected(self, rules: tuple[Rule, ...], examples: Sequence[tuple[Example | None, Report]]) -> None:
        names = {DEFAULT, *(rule.name for rule in rules)}
        for example, report in examples:
            if example and example.expect.rule is not None and example.expect.rule not in names:
                report("expect.rule", f"there is no rule {example.expect.rule!r}", "")

    def _rule(self, table: Any, number: int) -> Rule:
        line, before = self._places.line("rule", number), self._count
        name = table.get("name") if isinstance(table, dict) else None
        report = self._report(line, f"rule {name if name and isinstance(name, str) else number + 1}", "rule", number)
        if not isinstance(table, dict):
            report("", "expected a table", "write [[rule]]")
            return Rule(name="", when=All(()), sets={}, line=line)
        rule = self._read_rule(table, number, line, report)
        if self._count > before:
            self._strings.update(strings(table))
        elif number in self._asking:
            self._whole.add(number)
        return rule

    def _read_rule(self, table: dict[str, Any], number: int, line: int, report: Report) -> Rule:
        name = self._name(table.get("name"), report)
        for key in table.keys() - _OF_RULES:
            report(key, "unknown key", f"allowed: {', '.join(_RULE_KEYS)}")
        sets, tags = read_sets(table.get("set", {}), report)
        stop, note = table.get("stop", False), table.get("note", "")
        if not isinstance(stop, bool):
            report("stop", "expected true or false", "")
        if not isinstance(note, str):
            report("note", "expected a string", "")
        if stop is False and table.get("set", {}) in ({}, {"tags": []}):
            report("set", "the rule does nothing", f"set one of: {', '.join(SETS)}; or stop = true")
        before, scope = self._count, self._scope.own()
        when = self._when(table, report, scope)
        if self._take(scope) and self._count == before:
            self._asking.add(number)
        return Rule(name=name, when=when, sets=sets, tags=tags, stop=stop is True, note=str(note),
                    group=str(table.get("group", "")), line=line)  # fmt: skip

    def _name(self, name: Any, report: Report) -> str:
        if not isinstance(name, str) or not 0 < len(name) <= 100 or not name.isprintable() or not name.strip():
            report("name", "every rule needs a name of 1 to 100 printable characters", 'e.g. name = "vpn-outage"')
            return ""
        if name in {DEFAULT, MATRIX}:
            report("name", f"{name!r} is taken: decisions name it where no rule set a field", "")
        return name

    def _when(self, table: dict[str, Any], report: Report, scope: Scope) -> All:
        """Our own outbound messages are seen only by rules that ask for the direction."""
        guard = self._guard(table, report, scope)
        if "when" not in table and guard is None:
            report("when", "missing", "say when the rule matches; what holds for every message belongs in [default]")
            return All(())
        own = read_conditions(table["when"], "when", report, scope) if "when" in table else All(())
        when = All((*(guard.parts if guard else ()), *own.parts))
        if any(leaf.field == "direction" for leaf in leaves(when)):
            return when
        return All((*when.parts, INBOUND))

    def _guard(self, table: dict[str, Any], report: Report, scope: Scope) -> All | None:
        if "group" not in table:
            return None
        name = table["group"]
        if not isinstance(name, str) or name not in self._names("group"):
            known = ", ".join(self._names("group")) or "none"
            report("group", f"there is no group {name!r}", f"there are: {known}; write [group.{name}], or leave it out")
            return All(())
        scope.used.add(f"group.{name}")
        return self._groups.get(name, All(()))

    def _default(self, table: Any) -> Rule:
        report = self._report(self._places.line("default"), "default", "default")
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
        return Rule(name=DEFAULT, when=All(()), sets=sets, tags=tags, line=self._places.line("default"))

    def _matrix(self, document: dict[str, Any]) -> Matrix:
        if "matrix" not in document:
            return DEFAULT_MATRIX
        return read_matrix(document["matrix"], self._report(self._places.line("matrix"), "matrix", "matrix"))

    def _lint(self, rules: tuple[Rule, ...]) -> None:
        """What rules say together. Nothing is concluded from one that is not understood yet."""
        seen: dict[str, int] = {}
        never: set[int] = set()
        for number, rule in enumerate(rules):
            if rule.name and seen.setdefault(rule.name, number) != number:
                what = f"line {rules[seen[rule.name]].line} has a rule of this name"
                self._report(rule.line, _title(rule, number), "rule", number)("name", what, "names are unique")
        for number in sorted(self._asking):
            if why := why_never(rules[number].when):
                never.add(number)
                report = self._report(rules[number].line, _title(rules[number], number), "rule", number)
                report("when", f"can never match: {why}", "")
        self._shadows([rules[number] for number in sorted(self._whole - never)])

    def _shadows(self, rules: Sequence[Rule]) -> None:
        for rule, above in shadows(rules):
            if any(rule.name == each.name for each in above):
                continue  # which is what is told of it
            ordered = sorted(above, key=lambda each: each.line)
            named = " and ".join(f"{each.name} (line {each.line})" for each in ordered)
            stops = all(each.stop for each in above)
            one = len(above) == 1
            why = f"stop{'s' * one} before it" if stops else f"set{'s' * one} the same fields before it"
            what = f"{named} ask{'s' * one} for no more and {why}" if one else f"{named} together {why}"
            if one and _same(rule, above[0]):
                what = f"differs from {named} in its name alone"
            never = "never runs" if stops else "never has an effect"
            self._report(rule.line, f"rule {rule.name}")("", f"{never}: {what}", "move it up, or take it out")

    def _rule_set(
        self,
        rules: tuple[Rule, ...],
        default: Rule,
        matrix: Matrix,
        catalogue: Catalogue,
        mentions: tuple[Mention, ...],
    ) -> RuleSet:
        try:
            index = Index(rules, self._scope.compiled)
        except re2.error as error:
            raise refused(self._places.file, f"all patterns together are too large for RE2: {error}", "") from None
        return RuleSet(
            file=self._places.file,
            source=self._data,
            hash=hashlib.sha256(b"trunkline rules, engine %d\n" % ENGINE + self._data).hexdigest(),
            rules=rules,
            default=default,
            matrix=matrix,
            index=index,
            named=mentions,
            calendars=catalogue.calendars,
            catalogue=catalogue,
        )

    def _mentions(self, rules: Sequence[Rule], given: Sequence[Sequence[Name]]) -> Iterator[Mention]:
        for rule, those in zip(rules, given, strict=True):
            place = self._places.place(rule.line)
            prefix = rule.name if rule is rules[-1] else f"rule {rule.name}"
            for key, kind, name in those:
                if kind != "service" or key == "set.service":
                    yield Mention(kind=kind, name=name, file=place, key=f"{prefix}: {key}")

    def _example(self, table: Any, number: int) -> tuple[Example | None, Report]:
        report = self._report(self._places.line("example", number), f"example {number + 1}", "example", number)
        return read_example(table, report), report


def _title(rule: Rule, number: int) -> str:
    """A nameless rule is known by its number."""
    return f"rule {rule.name or number + 1}"


def _same(one: Rule, other: Rule) -> bool:
    alike = (one.sets, one.tags, one.stop) == (other.sets, other.tags, other.stop)
    return alike and set(conjuncts(one.when)) == set(conjuncts(other.when))
