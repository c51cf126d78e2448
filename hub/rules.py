"""The rule set in force: read, compiled and tested off the loop, then swapped at once (R14).

An edit of the file is seen within a second, published to the store by its hash, and adopted by every node; a message is
judged by one version. A file that is refused changes nothing: the running rules stay, and an alarm shows all that is
wrong with it.
"""

import asyncio
import socket
from collections.abc import Sequence
from pathlib import Path

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from context_store import CommitUnknown, Store, StoreAway, alarms
from context_store.rulesets import Activation, activate, active, keep_rule_set, rule_set
from context_store.times import to_millis
from hub.config import Config, HubSettings, Unusable, load_config
from hub.fabric import Fabric
from hub.offers import Offers
from hub.plain import read_plain
from hub.texts import Texts
from hub.triage import Judging, asked_by
from plugins import BadConfig, Clock, Problem
from routing import Mention, RuleSet, load_rules
from routing.source import MAX_BYTES

log = structlog.get_logger("trunkline.rules")

ALARM, SHADOW_ALARM = "rules", "rules.shadow"
ALARM_MOST = 20_000
"""Characters of an alarm: what is wrong with a file, all of it."""
TOPIC = "rules"
LOOK = 0.25
"""Seconds between two looks at the files, and at what other nodes published."""
STILL = 0.1
"""Seconds in which a file must not have changed: editors write in several steps."""
TRIES = 5
"""Times that a file is read at most, because it changed meanwhile or is gone; then it is taken as it is."""

Stamp = tuple[int, int, int, int]


def read_rules(path: Path, config: Config | None = None, before: RuleSet | None = None) -> RuleSet:
    """The file as a rule set that fits the configuration. Raises BadConfig with everything that is wrong."""
    return checked(_read(path), path.name, config, before)


def _read(path: Path) -> bytes:
    try:
        return read_plain(path, MAX_BYTES)
    except OSError as error:
        raise BadConfig([Problem(file=path.name, key="", what=f"can't be read: {error.strerror}")]) from error


def checked(data: bytes, name: str, config: Config | None, before: RuleSet | None = None) -> RuleSet:
    """The same of what stands in a file of that name. `before` saves time: what stands in it too is not read again."""
    return load_rules(data, name, known_to(config) if config else {}, before=before)


def load_with_rules(path: Path, *, reveal: bool = True) -> Config:
    """The configuration. Raises BadConfig; if it is bad, with what is wrong with its rules as well."""
    try:
        return load_config(path, reveal=reveal)
    except Unusable as error:
        lost = any(problem.key == "hub.rules" for problem in error.problems)
        raise BadConfig([*error.problems, *(() if lost else _wrong(error.config.rules, error.config))]) from error
    except BadConfig as error:  # no TOML: it can't say where its rules are
        usual = path.parent / HubSettings().rules
        raise BadConfig([*error.problems, *(_wrong(usual, None) if usual.exists() else ())]) from error


def _wrong(path: Path, config: Config | None) -> Sequence[Problem]:
    try:
        read_rules(path, config)
    except BadConfig as error:
        return error.problems
    return ()


def known_to(config: Config) -> dict[str, frozenset[str]]:
    """What rules may name, by kind: targets, teams, instances, templates, help articles."""
    texts = texts_of(config)
    return {
        "target": frozenset(one.id for one in config.instances if one.target),
        "team": frozenset(config.teams),
        "instance": frozenset(one.id for one in config.instances if not one.target),
        "template": texts.template_names(),
        "article": texts.article_names(),
    }


def unheld(rules: RuleSet) -> list[Mention]:
    """What the rules name and nothing lists: these can't be checked. A file with a catalogue lists its services."""
    loose = {"value_stream"} | (set() if rules.catalogue.services else {"service"})
    return [mention for mention in rules.mentions() if mention.kind in loose]


def texts_of(config: Config) -> Texts:
    """The folders of templates and articles."""
    return Texts(config.templates, config.articles, config.language)


class Rules:
    """Holds what is in force; `judging` is read once for each batch."""

    def __init__(self, store: Store, config: Config, clock: Clock, fabric: Fabric) -> None:
        self._store = store
        self._config = config
        self._clock = clock
        self._fabric = fabric
        self._texts = texts_of(config)
        self._stamps: dict[Path, Stamp | None] = {}
        self._differs = False
        self._old_copy = False
        self._offers: Offers | None = None
        self._turn = asyncio.Lock()
        """What was read first is put in force first."""
        self.judging: Judging
        self.stopping = False

    @property
    def current(self) -> RuleSet:
        """The rules in force."""
        return self.judging.rules

    # ---- life ------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Load for the first time. Raises BadConfig: a hub without valid rules does not start.

        Among several nodes, a file that the store has seen before and that is not in force is an old copy.
        """
        rules = await self._first()
        said = await self._store.read(active)
        seen = await self._store.read(rule_set, rules.hash) is not None
        several = self._store.dialect != "sqlite"
        self._old_copy = several and said is not None and said.hash != rules.hash and seen
        over = (ALARM,) if self._old_copy else (ALARM, _own_alarm())  # else the file is in force, or will be
        await self._store.write(_keep, rules, over, to_millis(self._clock.now()))
        if self._old_copy:
            await self.follow()

    async def _first(self) -> RuleSet:
        path = self._config.rules
        self._stamps[path] = _stamp(path)
        rules = await asyncio.to_thread(read_rules, path, self._config)
        self._judge(rules, await self._read_shadow(rules))
        return rules

    async def run(self) -> None:
        """Put the file in force, then take what changes, within a second, until told to stop."""
        begun = False
        while not self.stopping:
            try:
                if not begun:
                    await self._begin()
                    begun = True
                await self._fabric.wait(TOPIC, LOOK)
                await self._look()
            except (StoreAway, CommitUnknown, OperationalError) as error:
                log.warning("rules.store_away", why=str(error))
                await self._clock.sleep(1)

    async def _begin(self) -> None:
        """A file that is new to the store is an edit; an old copy says nothing to anybody."""
        if self._old_copy:
            return
        async with self._turn:
            now = to_millis(self._clock.now())
            await self._store.write(activate, self.current.hash, self.current.source, _here(), now)

    async def _look(self) -> None:
        if await self._changed(self._config.rules):
            await self.reload()
        if self._config.shadow and await self._changed(self._config.shadow):
            shadow = await self._read_shadow(self.current)
            self._judge(self.current, shadow)  # which may be another by now
        if self._store.dialect != "sqlite":  # a SQLite store has one node
            await self.follow()

    async def _changed(self, path: Path) -> bool:
        return await asyncio.to_thread(_stamp, path) != self._stamps.get(path)

    async def _settled(self, path: Path, before: RuleSet) -> RuleSet:
        """What the file says once it stands still, which is read meanwhile. Raises BadConfig."""
        tries = 0
        while True:
            tries += 1
            stamp = await asyncio.to_thread(_stamp, path)
            still = asyncio.create_task(asyncio.sleep(STILL))
            found = await asyncio.to_thread(_tried, path, self._config, before)
            await still
            self._stamps[path] = stamp
            if tries < TRIES and (stamp is None or await self._changed(path)):
                continue
            if isinstance(found, BadConfig):
                raise found
            return found

    # ---- what is in force --------------------------------------------------------------------------------

    async def reload(self) -> bool:
        """Take the file as it is now; False if it was refused."""
        async with self._turn:
            return await self._reload()

    async def _reload(self) -> bool:
        try:
            rules = await self._settled(self._config.rules, self.current)
        except BadConfig as error:
            log.warning("rules.refused", problems=[str(problem) for problem in error.problems])
            await self._alarm(ALARM, f"the rules were not reloaded: {error}")
            return False
        await self._publish(rules, _here())
        log.info("rules.reloaded", rule_set=rules.hash, rules=len(rules.rules))
        return True

    async def publish(self, text: bytes | str, by: str) -> RuleSet:
        """Put this text in force on all nodes. Raises BadConfig; the file is the caller's to write."""
        data = text.encode() if isinstance(text, str) else text
        async with self._turn:
            rules = await asyncio.to_thread(checked, data, self._config.rules.name, self._config, self.current)
            await self._publish(rules, by)
        return rules

    async def _publish(self, rules: RuleSet, by: str) -> None:
        """Kept before it judges anything, so that every decision can be explained."""
        await self._store.write(_activate, rules, by, to_millis(self._clock.now()))
        self._judge(rules, self.judging.shadow)
        self._fabric.wake(TOPIC)
        if self._differs:
            await self._agree()

    async def follow(self) -> bool:
        """Adopt what another node put in force; True if it was another set."""
        async with self._turn:
            return await self._follow()

    async def _follow(self) -> bool:
        said = await self._store.read(active)
        if said is None or said.hash == self.current.hash:
            return False
        source = await self._store.read(rule_set, said.hash)
        if source is None:
            return False
        return await self._adopt(source, said)

    async def _adopt(self, source: bytes, said: Activation) -> bool:
        try:
            rules = await asyncio.to_thread(checked, source, self._config.rules.name, self._config, self.current)
        except BadConfig as error:  # its configuration is another than the publisher's
            await self._alarm(_own_alarm(), f"rules by {said.by} were not taken here: {error}")
            return False
        self._judge(rules, self.judging.shadow)
        log.info("rules.adopted", rule_set=rules.hash, by=said.by)
        await self._agree()
        return True

    async def _agree(self) -> None:
        """A file that says something else than what is in force would mislead whoever reads it here."""
        own = await asyncio.to_thread(source_of, self._config.rules)
        now = to_millis(self._clock.now())
        if own != self.current.source:
            file = f"{self._config.rules.name} on {socket.gethostname()}"
            what = f"{file} is not what is in force: take it from another node"
            await self._store.write(alarms.raise_, _own_alarm(), what, now)
        elif self._differs:
            await self._store.write(alarms.clear, _own_alarm(), now)
        self._differs = own != self.current.source

    def _judge(self, rules: RuleSet, shadow: RuleSet | None) -> None:
        """One assignment: a batch sees the old or the new version, never a part of each."""
        self.judging = Judging(rules, shadow, asked_by(rules, shadow), self._texts, self._offers)

    def suggest(self, offers: Offers | None) -> None:
        """What history suggests from now on."""
        self._offers = offers
        self._judge(self.judging.rules, self.judging.shadow)

    async def _read_shadow(self, beside: RuleSet) -> RuleSet | None:
        path = self._config.shadow
        if path is None:
            return None
        try:
            shadow = await self._settled(path, beside)
        except BadConfig as error:
            await self._alarm(SHADOW_ALARM, f"nothing is judged in the shadow: {error}")
            return None
        await self._store.write(alarms.clear, SHADOW_ALARM, to_millis(self._clock.now()))
        return shadow

    async def _alarm(self, key: str, text: str) -> None:
        await self._store.write(alarms.raise_, key, text[:ALARM_MOST], to_millis(self._clock.now()))


def _tried(path: Path, config: Config, before: RuleSet) -> RuleSet | BadConfig:
    """In words where it is refused: whoever writes it may not be done."""
    try:
        return read_rules(path, config, before)
    except BadConfig as error:
        return error


def _stamp(path: Path) -> Stamp | None:
    """Changes whenever the file does, though a tool sets its time back; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


def source_of(path: Path) -> bytes:
    """What stands in the file; nothing where it can't be read."""
    try:
        return _read(path)
    except BadConfig:
        return b""


def _here() -> str:
    return f"file:{socket.gethostname()}"


def _own_alarm() -> str:
    """Of this node's file alone, since each has its own."""
    return f"{ALARM}.{socket.gethostname()}"


def _keep(conn: Connection, rules: RuleSet, over: Sequence[str], now: int) -> None:
    """Before it judges anything, so that every decision can be explained. `over`: alarms that a start ends."""
    keep_rule_set(conn, rules.hash, rules.source, now)
    for key in over:
        alarms.clear(conn, key, now)


def _activate(conn: Connection, rules: RuleSet, by: str, now: int) -> None:
    activate(conn, rules.hash, rules.source, by, now)
    alarms.clear(conn, ALARM, now)
