"""The rule set in force: read, compiled and tested off the loop, then swapped at once (R14).

A file that is refused changes nothing: the running rules stay, and an alarm shows every problem of the file.
"""

import asyncio
from pathlib import Path

import structlog
from sqlalchemy import Connection

from context_store import Store, alarms
from context_store.rulesets import keep_rule_set
from context_store.times import to_millis
from hub.config import Config
from hub.triage import CAPTURED
from plugins import BadConfig, Clock, Problem
from routing import Mention, RuleSet, load_rules
from routing.conditions import leaves
from routing.fields import field_of

log = structlog.get_logger("trunkline.rules")

LARGEST = 64 << 20
"""Bytes of a rules file that are read."""
ALARM = "rules"
UNDONE = frozenset({"hold", "park", "spam", "acknowledgement", "article"})
"""Outcome fields that nothing in the hub acts on yet."""


def read_rules(path: Path, config: Config | None = None) -> RuleSet:
    """The file as a rule set that fits the configuration. Raises BadConfig with everything that is wrong."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise BadConfig([Problem(file=path.name, key="", what=f"can't be read: {error.strerror}")]) from error
    if len(data) > LARGEST:
        raise BadConfig([Problem(file=path.name, key="", what=f"is larger than {LARGEST >> 20} MiB")])
    rules = load_rules(data, path.name)
    if config is not None and (problems := [*strangers(rules, config), *undelivered(rules)]):
        raise BadConfig(problems)
    return rules


def undelivered(rules: RuleSet) -> list[Problem]:
    """What the engine knows and this hub does not deliver yet: refused, because it would silently do nothing."""
    found: list[Problem] = []
    for rule in (*rules.rules, rules.default):
        place = f"{rules.file}:{rule.line}" if rule.line else rules.file
        asked = {leaf.field for leaf in leaves(rule.when) if (known := field_of(leaf.field)) and known.since > CAPTURED}
        wrong = [(f"when.{name}", "this hub does not capture it yet") for name in sorted(asked)]
        wrong += [(f"set.{name}", "this hub does not act on it yet") for name in sorted(UNDONE & set(rule.sets))]
        found += [Problem(file=place, key=f"{rule.name}: {key}", what=what) for key, what in wrong]
    return found


def strangers(rules: RuleSet, config: Config) -> list[Problem]:
    """Targets, teams and instances that the rules name and the configuration has not."""
    known = {
        "target": {one.id for one in config.instances if one.target},
        "team": set(config.teams),
        "instance": {one.id for one in config.instances if not one.target},
    }
    return [
        Problem(
            file=mention.file, key=mention.key, what=f"there is no {mention.kind} {mention.name}",
            fix=f"there are: {', '.join(sorted(known[mention.kind])) or 'none'}",
        )
        for mention in rules.mentions()
        if mention.kind in known and mention.name not in known[mention.kind]
    ]  # fmt: skip


def unheld(rules: RuleSet) -> list[Mention]:
    """What the rules name and nothing lists: these can't be checked. A file with a catalogue lists its services."""
    loose = {"value_stream", "template", "article"} | (set() if rules.catalogue.services else {"service"})
    return [mention for mention in rules.mentions() if mention.kind in loose]


class Rules:
    """Holds what is in force; `current` is read once for each batch."""

    def __init__(self, store: Store, config: Config, clock: Clock) -> None:
        self._store = store
        self._config = config
        self._clock = clock
        self.current: RuleSet

    async def start(self) -> None:
        """Load for the first time. Raises BadConfig: a hub without valid rules does not start."""
        await self._take(await asyncio.to_thread(read_rules, self._config.rules, self._config))

    async def reload(self) -> bool:
        """Take the file as it is now; False if it was refused."""
        try:
            rules = await asyncio.to_thread(read_rules, self._config.rules, self._config)
        except BadConfig as error:
            log.warning("rules.refused", problems=[str(problem) for problem in error.problems])
            await self._store.write(_alarm, f"the rules were not reloaded: {error}", to_millis(self._clock.now()))
            return False
        await self._take(rules)
        log.info("rules.reloaded", rule_set=rules.hash, rules=len(rules.rules))
        return True

    async def _take(self, rules: RuleSet) -> None:
        """Kept before it judges anything, so that every decision can be explained."""
        now = to_millis(self._clock.now())
        await self._store.write(_keep, rules.hash, rules.source, now)
        self.current = rules


def _keep(conn: Connection, digest: str, source: bytes, now: int) -> None:
    keep_rule_set(conn, digest, source, now)
    alarms.clear(conn, ALARM, now)


def _alarm(conn: Connection, text: str, now: int) -> None:
    alarms.raise_(conn, ALARM, text[:4000], now)
