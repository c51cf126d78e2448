"""What routing gives: a decision, and the rule set that it comes from.

`Decision` is stored for years, as `routing.facts` is. From a decision's facts every "why" and "why not" is computed
again, so nothing else of a run is kept.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from msgspec import Struct

from routing.calendars import Calendar
from routing.catalogue import Catalogue
from routing.conditions import Leaf
from routing.facts import Facts
from routing.index import Index
from routing.matrix import Impact, Priority, Urgency
from routing.places import Places
from routing.rule import Rule

ENGINE = 1
"""Rises when the same file and facts would give another decision: stored in each decision, part of the hash."""

QueryType = Literal["incident", "request", "consultation", "complaint", "compliment", "feedback", "unknown"]


class Outcome(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What triage says of a query; None where neither a rule nor the default sets it."""

    type: QueryType
    impact: Impact
    urgency: Urgency
    priority: Priority
    target: str
    service: str | None = None
    value_stream: str | None = None
    team: str | None = None
    tags: tuple[str, ...] = ()
    language: str | None = None
    hold: str | None = None
    """Why the query waits for a person to validate it."""
    acknowledgement: str | None = None
    """Name of the template that the sender is answered with."""
    article: str | None = None
    """Name of the help article that is offered to the agent and, where the channel can, to the user."""
    park: str | None = None
    """Why a person must look before anything else happens."""
    spam: bool = False


class Decision(Struct, frozen=True, kw_only=True):
    """A judged message, as it is stored."""

    facts: Facts
    rules: tuple[str, ...]
    """Names of the rules that matched, in their order, up to and with the one that stopped."""
    outcome: Outcome
    set_by: Mapping[str, str]
    """Outcome field → the rule that set it, or `default`, or `matrix`. Tags singly: `tags.vip`."""
    rule_set: str
    """`RuleSet.hash`."""
    engine: int


class Mention(Struct, frozen=True, kw_only=True, gc=False):
    """A name of something outside the file, which the hub checks: does this team, target, service, … exist?"""

    kind: str
    """`target`, `team`, `service`, `value_stream`, `instance`, `template`, `article`."""
    name: str
    """As the file has it; an instance folded (`routing.fold`), as conditions compare it."""
    file: str
    """With the line, as `Problem.file` has it: `rules.toml:12`."""
    key: str


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RuleSet:
    """A file that was accepted; immutable, so one message is judged by one version of it."""

    file: str
    source: bytes
    hash: str
    """SHA-256 over engine version and the file's bytes, in hex."""
    rules: tuple[Rule, ...]
    default: Rule
    matrix: Mapping[str, Mapping[str, str]]
    index: Index
    calendars: Mapping[str, Calendar]
    catalogue: Catalogue
    counted: frozenset[Leaf]
    """Conditions on what is counted only where a rule asks for it."""
    names: Sequence[Sequence[tuple[str, str, str]]]
    """(key, kind, name) of all that each rule, at last the default, sets or asks for by name."""
    read: Mapping[str, object]
    """Pieces of the file → what they were read as, for the next version of it; nothing in one that nobody checked."""
    surroundings: Mapping[str, object]
    """`list.partners`, `calendar.office`, `group.vips`: what these readings may depend on."""

    def named(self, kind: str) -> set[str]:
        """The names of this kind that its rules set."""
        return {name for names in self.names for key, each, name in names if each == kind and key.startswith("set.")}

    def mentions(self) -> Iterator[Mention]:
        """Every name that the hub should hold against its configuration, with its place, which is looked for here."""
        places = Places(self.file, self.source.decode())
        for number, (rule, names) in enumerate(zip((*self.rules, self.default), self.names, strict=True)):
            own = rule is not self.default
            place = places.place(places.line("rule", number) if own else places.line(rule.name))
            prefix = f"rule {rule.name}" if own else rule.name
            for key, kind, name in names:
                if kind != "service" or key == "set.service":
                    yield Mention(kind=kind, name=name, file=place, key=f"{prefix}: {key}")
