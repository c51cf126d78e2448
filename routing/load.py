"""A rules file to a rule set, or every problem that it has. No file is read here: bytes come in.

A file is taken whole or not at all: what is taken has run its own examples, and has no rule that can do nothing.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import re2
import tomli

from plugins import BadConfig, Problem
from routing.actions import NAMED, SETS, read_sets
from routing.calendars import Calendar, read_calendar
from routing.catalogue import Catalogue, read_service, read_targets
from routing.conditions import INBOUND, All, Names, leaves
from routing.decide import DEFAULT, MATRIX
from routing.examples import Example, read_example, run_example
from routing.index import Index
from routing.lint import conjuncts, shadows, why_never
from routing.matrix import DEFAULT as DEFAULT_MATRIX
from routing.matrix import Matrix, read_matrix
from routing.model import ENGINE, Mention, RuleSet
from routing.parse import Scope, read_conditions, read_list
from routing.places import Places, Report
from routing.rule import Rule

MAX_BYTES = 64 << 20
"""100,000 long rules fit. Refused by length, before anything is parsed."""

NEEDED = ("type", "impact", "urgency", "target")
"""What `[default]` must say, so that every decision is whole."""

_TABLES = ("rule", "example", "default", "matrix", "group", "list", "calendar", "service", "targets")
_RULE_KEYS = ("name", "note", "group", "when", "set", "stop")
_OF_RULES = frozenset(_RULE_KEYS)
PARTS = 100
"""Of a dotted key: tomli needs time that grows with their square."""

T = TypeVar("T")

_DOTTED = re.compile(rf"(?:\.\s*+[\w\"'-]++\s*+){{{PARTS},}}+")


def load_rules(text: bytes | str, file: str = "rules.toml", *, accepted: bool = False) -> RuleSet:
    """Raises BadConfig with all problems; a file whose examples fail is refused as well. Nothing is read from disk.

    `accepted`: it was in force once, so it is taken without its examples and whatever else later releases may mind.
    """
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    source = _decode(data, file)
    return _Loader(data, _parse(source, file), Places(file, source)).load(accepted=accepted)


def _decode(data: bytes, file: str) -> str:
    if len(data) > MAX_BYTES:
        raise _refused(file, f"{len(data):,} bytes are too many", f"at most {MAX_BYTES:,}")
    if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise _refused(file, "begins with a byte order mark", "save it as UTF-8 without BOM")
    if (nul := data.find(0)) >= 0:
        line = data.count(b"\n", 0, nul) + 1
        raise _refused(f"{file}:{line}", "is not TOML: it has a NUL byte", "is it UTF-16? save it as UTF-8")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        what = f"is not UTF-8: byte 0x{data[error.start]:02x}"
        raise _refused(f"{file}:{line}", what, "save it as UTF-8") from None


def _parse(source: str, file: str) -> dict[str, Any]:
    if long := _DOTTED.search(source):
        line = source.count("\n", 0, long.start()) + 1
        raise _refused(f"{file}:{line}", f"a key has more than {PARTS} parts", "write it flatter")
    try:
        return tomli.loads(source)
    except tomli.TOMLDecodeError as error:
        cut = error.pos >= len(source.rstrip())
        raise _refused(f"{file}:{error.lineno}", f"is not TOML: {error}", "is the file whole?" if cut else "") from None
    except RecursionError:
        raise _refused(file, "lists or tables stand too deep in each other", "write them flatter") from None


def _refused(file: str, what: str, fix: str) -> BadConfig:
    return BadConfig([Problem(file=file, key="", what=what, fix=fix)])


def _allowed(field: str) -> str:
    return f"allowed: {', '.join(SETS[field])}" if SETS[field] else ""


class _Loader:
    """One file on its way: problems are collected until all of it was looked at."""

    def __init__(self, data: bytes, document: dict[str, Any], places: Places) -> None:
        self._data, self._document, self._places = data, document, places
        self._problems: list[Problem] = []
        self._lines: dict[str, int] = {}

    def load(self, *, accepted: bool) -> RuleSet:
        document = self._document
        for key in document.keys() - set(_TABLES):
            self._report(self._places.line(key), key)("", "unknown table", f"allowed: {', '.join(_TABLES)}")
        calendars = self._named("calendar", read_calendar)
        catalogue = self._catalogue(calendars)
        self._scope = Scope(lists=self._named("list", read_list), calendars=calendars)
        self._groups = self._named("group", self._group)
        rules = tuple(self._rule(table, number) for number, table in enumerate(self._list("rule")))
        default = self._default(document.get("default"))
        matrix = self._matrix(document)
        listed = () if accepted else self._list("example")
        examples = [self._example(table, number) for number, table in enumerate(listed)]
        if not accepted:
            self._lint(rules)
            self._unused(catalogue)
            self._strangers(rules, default, catalogue)
        self._fail()
        document.clear()  # it and the index together would be the most memory that a load needs
        rule_set = self._rule_set(rules, default, matrix, catalogue)
        for example, report in examples:
            if example:
                run_example(rule_set, example, report)
        self._fail()
        return rule_set

    def _fail(self) -> None:
        if self._problems:
            raise BadConfig(self._problems)

    def _report(self, line: int, prefix: str, table: str = "", number: int = 0) -> Report:
        """A collector for one table; `line` is used where the key's own can't be found."""

        def report(key: str, what: str, fix: str) -> None:
            at = (self._places.line(table, number, key) if table else 0) or line
            self._problems.append(self._places.problem(at, ": ".join(filter(None, (prefix, key))), what, fix))

        return report

    def _list(self, name: str) -> list[Any]:
        tables = self._document.get(name, [])
        if not isinstance(tables, list):
            self._report(self._places.line(name), name)("", "expected a list of tables", f"write [[{name}]]")
            return []
        return tables

    def _named(self, kind: str, read: Callable[[str, Any, Report], T | None]) -> dict[str, T]:
        """All `[kind.<name>]`, or the entries of `[kind]`."""
        tables = self._document.get(kind, {})
        if not isinstance(tables, dict):
            self._report(self._places.line(kind), kind)("", "expected a table", f"write [{kind}.name]")
            return {}
        made = {}
        for name, table in tables.items():
            self._lines[f"{kind}.{name}"] = line = self._places.named(kind, name)
            known = read(name, table, self._report(line, f"{kind}.{name}"))
            if known is not None:
                made[name] = known
        return made

    def _group(self, name: str, table: Any, report: Report) -> All | None:
        if not isinstance(table, dict) or "when" not in table:
            report("when", "missing", "say what all rules of the group ask for")
            return None
        for key in table.keys() - {"when", "note"}:
            report(key, "unknown key", "allowed: when, note")
        return read_conditions(table["when"], "when", report, self._scope)

    def _catalogue(self, calendars: Mapping[str, Calendar]) -> Catalogue:
        line = self._places.line("targets")
        services = self._named("service", lambda name, table, report: read_service(name, table, calendars, report))
        targets = read_targets(self._document.get("targets", {}), "", self._report(line, "targets"))
        return Catalogue(services=services, targets=targets, calendars=calendars)

    def _unused(self, catalogue: Catalogue) -> None:
        """A list, calendar or group that nothing names is a slip: a condition was forgotten, or misspelt elsewhere."""
        used = self._scope.used | {f"calendar.{service.hours}" for service in catalogue.services.values()}
        for path in self._lines.keys() - used:
            if path.partition(".")[0] in {"list", "calendar", "group"}:
                self._report(self._lines[path], path)("", "nothing in the file uses it", "take it out, or name it")

    def _strangers(self, rules: tuple[Rule, ...], default: Rule, catalogue: Catalogue) -> None:
        """Services that the file's own catalogue does not have; where it has none, the hub may know them."""
        for rule in (*rules, default) if catalogue.services else ():
            if "service" in rule.sets and rule.sets["service"] not in catalogue.services:
                what = f"there is no service {rule.sets['service']!r}"
                known = ", ".join(catalogue.services)
                self._report(rule.line, f"rule {rule.name}")("set.service", what, f"there are: {known}")

    def _rule(self, table: Any, number: int) -> Rule:
        line = self._places.line("rule", number)
        if not isinstance(table, dict):
            table = {}
        name = table.get("name")
        report = self._report(line, f"rule {name}" if isinstance(name, str) else f"rule {number + 1}", "rule", number)
        if not isinstance(name, str) or not 0 < len(name) <= 100 or not name.isprintable() or not name.strip():
            report("name", "every rule needs a name of 1 to 100 printable characters", 'e.g. name = "vpn-outage"')
        elif name in {DEFAULT, MATRIX}:
            report("name", f"{name!r} is taken: decisions name it where no rule set a field", "")
        for key in table.keys() - _OF_RULES:
            report(key, "unknown key", f"allowed: {', '.join(_RULE_KEYS)}")
        sets, tags = read_sets(table.get("set", {}), report)
        stop, note = table.get("stop", False), table.get("note", "")
        if not isinstance(stop, bool):
            report("stop", "expected true or false", "")
        if not isinstance(note, str):
            report("note", "expected a string", "")
        if not table.get("set") and stop is False:
            report("set", "the rule does nothing", f"set one of: {', '.join(SETS)}; or stop = true")
        when = self._when(table, report)
        return Rule(name=str(name), when=when, sets=sets, tags=tags, stop=stop is True, note=str(note),
                    group=str(table.get("group", "")), line=line)  # fmt: skip

    def _when(self, table: dict[str, Any], report: Report) -> All:
        """Our own outbound messages are seen only by rules that ask for the direction."""
        guard = self._guard(table, report)
        if "when" not in table and guard is None:
            report("when", "missing", "say when the rule matches; what holds for every message belongs in [default]")
            return All(())
        own = read_conditions(table["when"], "when", report, self._scope) if "when" in table else All(())
        when = All((*(guard.parts if guard else ()), *own.parts))
        if any(leaf.field == "direction" for leaf in leaves(when)):
            return when
        return All((*when.parts, INBOUND))

    def _guard(self, table: dict[str, Any], report: Report) -> All | None:
        if "group" not in table:
            return None
        name = table["group"]
        if not isinstance(name, str) or name not in self._document.get("group", {}):
            report("group", f"there is no group {name!r}", f"write [group.{name}], or leave it out")
            return All(())
        self._scope.used.add(f"group.{name}")
        return self._groups.get(name, All(()))

    def _default(self, table: Any) -> Rule:
        report = self._report(self._places.line("default"), "default", "default")
        if not isinstance(table, dict):
            report("", "missing", f"write [default] with set.{', set.'.join(NEEDED)}")
            return Rule(name=DEFAULT, when=All(()), sets={})
        for key in table.keys() - {"set", "note"}:
            report(key, "unknown key", "allowed: set, note")
        sets, tags = read_sets(table.get("set", {}), report)
        for field in NEEDED:
            if field not in sets:
                report(f"set.{field}", "is needed, so that every decision is whole", _allowed(field))
        if "priority" in sets:
            report("set.priority", "would make the matrix useless", "set impact and urgency, or change [matrix]")
        return Rule(name=DEFAULT, when=All(()), sets=sets, tags=tags, line=self._places.line("default"))

    def _matrix(self, document: dict[str, Any]) -> Matrix:
        if "matrix" not in document:
            return DEFAULT_MATRIX
        return read_matrix(document["matrix"], self._report(self._places.line("matrix"), "matrix", "matrix"))

    def _lint(self, rules: tuple[Rule, ...]) -> None:
        seen: dict[str, int] = {}
        for number, rule in enumerate(rules):
            report = self._report(rule.line, f"rule {rule.name}", "rule", number)
            if rule.name in seen:
                report("name", f"line {seen[rule.name]} has a rule of this name", "names are unique")
            seen.setdefault(rule.name, rule.line)
            why = why_never(rule.when) if rule.when.parts else None
            if why:
                report("when", f"can never match: {why}", "")
        for rule, above in shadows(rules):
            why = "stops before it" if above.stop else "sets the same fields before it"
            copied = rule.sets == above.sets and set(conjuncts(rule.when)) == set(conjuncts(above.when))
            same = f"differs from {above.name} (line {above.line}) in its name alone"
            what = same if copied else f"{above.name} (line {above.line}) asks for no more and {why}"
            never = "never runs" if above.stop else "never has an effect"
            self._report(rule.line, f"rule {rule.name}")("", f"{never}: {what}", "move it up, or take it out")

    def _rule_set(self, rules: tuple[Rule, ...], default: Rule, matrix: Matrix, catalogue: Catalogue) -> RuleSet:
        try:
            index = Index(rules, self._scope.compiled)
        except re2.error as error:
            raise _refused(self._places.file, f"all patterns together are too large for RE2: {error}", "") from None
        return RuleSet(
            file=self._places.file,
            source=self._data,
            hash=hashlib.sha256(b"trunkline rules, engine %d\n" % ENGINE + self._data).hexdigest(),
            rules=rules,
            default=default,
            matrix=matrix,
            index=index,
            named=tuple(self._mentions(rules, default)),
            calendars=catalogue.calendars,
            catalogue=catalogue,
        )

    def _mentions(self, rules: tuple[Rule, ...], default: Rule) -> Iterator[Mention]:
        for rule in (*rules, default):
            place = self._places.place(rule.line)
            prefix = rule.name if rule is default else f"rule {rule.name}"
            for field, kind in NAMED.items():
                if field in rule.sets:
                    yield Mention(kind=kind, name=str(rule.sets[field]), file=place, key=f"{prefix}: set.{field}")
            for leaf in leaves(rule.when):
                if leaf.field == "instance" and isinstance(leaf, Names):
                    for name in sorted(leaf.names):
                        yield Mention(kind="instance", name=name, file=place, key=f"{prefix}: when.instance")

    def _example(self, table: Any, number: int) -> tuple[Example | None, Report]:
        report = self._report(self._places.line("example", number), f"example {number + 1}", "example", number)
        return read_example(table, report), report
