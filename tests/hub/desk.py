"""A real hub under test: its files in a room of its own, real HTTP in, a scripted far side out."""

import asyncio
import io
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import msgspec
from sqlalchemy import text

from context_store.audit import published_heads, verify_chain
from context_store.pending import recount, tallies_by_instance, unaccounted
from hub import operations
from hub.app import Hub, build
from hub.config import load_config
from plugins import Claim, Edited, Fact, Identity, Message, Receipt
from tests.prepared import put_sqlite

PLUGINS = """
[hub]
name = "Desk"
listen = "127.0.0.1:0"
{store}
[hub.limits]
{limits}
[hub.parse]
seconds = {parse}
[hub.delivery]
schedule = [0.01]
horizon = {horizon}
lease = {lease}
poll = 0.05
{delivery}
[plugins]
entry_points = false
folders = ["{folder}"]

[instance.chat]
kind = "line"
[instance.mail]
kind = "line"
channel = "email"
sends_to = ["email"]
address = "desk@here.test"
[instance.form]
kind = "line"
channel = "portal"
sends_to = []
[instance.tool]
kind = "tool"
steps = "{steps}"
[organisation.acme]
name = "Acme"
domains = ["acme.test"]
issuers = ["idp.acme.test"]
[team.desk]
name = "First line"
{more}
"""

RULES = """
[[rule]]
name = "vpn"
when.text.any = ["vpn"]
set.type = "incident"
set.team = "desk"
set.urgency = "high"
set.impact = "department"
[[rule]]
name = "loud"
when.channel = "phone"
set.target = "tool"
[default]
set.type = "unknown"
set.impact = "person"
set.urgency = "medium"
set.target = "tool"
[matrix]
person = { low = "P5", medium = "P4", high = "P3", critical = "P2" }
team = { low = "P4", medium = "P3", high = "P3", critical = "P2" }
department = { low = "P4", medium = "P3", high = "P2", critical = "P1" }
organisation = { low = "P3", medium = "P2", high = "P1", critical = "P1" }
"""

NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)
_numbers = itertools.count(1)


class Answered(NamedTuple):
    """What a source hears."""

    status: int
    headers: dict[str, str]
    said: bytes


class Ahead:
    """The system's time plus what a test adds; sleeping is real."""

    def __init__(self) -> None:
        self.by = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.by

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def who(value: str, scheme: str = "chat") -> Identity:
    return Identity(scheme="email" if "@" in value else scheme, value=value)


def message(key: str = "", sender: str = "ann", assurance: int = 1, **more: Any) -> Message:
    """A chat line of a proved sender, unless told otherwise."""
    claim = Claim(identity=who(sender), assurance=assurance, name=more.pop("name", ""), issuer=more.pop("issuer", ""))
    values = {"text": "hello", **more}
    return Message(key=key or f"m{next(_numbers)}", sender=claim, at=NOW, **values)


def mail(key: str = "", sender: str = "ann@acme.test", assurance: int = 0, **more: Any) -> Message:
    return message(key, sender, assurance, kind="mail", **more)


def edit(of: str, text_: str | None, key: str = "", **more: Any) -> Edited:
    return Edited(**{"key": key or f"e{next(_numbers)}", "of": of, "at": NOW, "text": text_, **more})


def receipt(of: str, state: Any, key: str = "", **more: Any) -> Receipt:
    return Receipt(key=key or f"r{next(_numbers)}", of=of, state=state, at=NOW, **more)


def fact(sender: str, what: Any) -> Fact:
    return Fact(key=f"f{next(_numbers)}", at=NOW, who=who(sender), what=what)


class Desk:
    """One installation; `start` and `stop` as often as a test likes."""

    def __init__(self, folder: Path, store_url: str) -> None:
        self.folder = folder
        self.clock = Ahead()
        self._store = f'store = "{store_url}"' if store_url else ""
        self.values: dict[str, Any] = {
            "store": self._store, "folder": Path(__file__).parent / "scripted", "limits": "", "delivery": "",
            "horizon": 60.0, "lease": 60.0, "parse": 10.0, "steps": "A", "more": "",
        }  # fmt: skip
        self.rules = RULES
        self.hub: Hub
        self._web: aiohttp.ClientSession
        self.running = False

    async def start(self, **values: Any) -> Hub:
        """Write the files and start; `values` go into plugins.toml."""
        self.values |= values
        (self.folder / "plugins.toml").write_text(PLUGINS.format_map(self.values))
        (self.folder / "rules.toml").write_text(self.rules)
        if not self._store:
            put_sqlite(self.folder / "var" / "trunkline.db")
        self.hub = build(load_config(self.folder / "plugins.toml", {}), self.clock)
        await self.hub.start()
        self._web = aiohttp.ClientSession(f"http://127.0.0.1:{self.hub.port}")
        self.running = True
        return self.hub

    async def stop(self) -> None:
        self.running = False
        await self._web.close()
        await self.hub.drain()
        await self.hub.stop()

    # ---- in ----------------------------------------------------------------------------------------------

    async def call(self, instance: str, body: bytes, **headers: str) -> "Answered":
        """One request; header names without their x-."""
        given = {"x-sign": "right", **{f"x-{name}": value for name, value in headers.items()}}
        async with self._web.post(f"/in/{instance}/", data=io.BytesIO(body), headers=given) as response:
            return Answered(response.status, dict(response.headers), await response.read())

    async def post(self, *items: Any, to: str = "chat", key: str = "", lane: str = "", parse: str = "") -> int:
        """Items in one envelope; the answer's status."""
        key = key or f"k{next(_numbers)}"
        answer = await self.call(to, msgspec.json.encode(items), key=key, lane=lane, parse=parse)
        return answer.status

    async def say(self, *items: Any, to: str = "chat", **more: Any) -> None:
        """Post, again if told "later" as any source would, and wait until all that follows from it is done."""
        more = {"key": f"k{next(_numbers)}", **more}
        for _ in range(10):
            if (status := await self.post(*items, to=to, **more)) != 503:
                break
            await asyncio.sleep(0.1)
        assert status == 200
        await self.settle()

    async def operate(self, name: str, actor: str, *args: Any, **more: Any) -> Any:
        """One of `hub.operations`."""
        return await getattr(operations, name)(self.hub, actor, *args, **more)

    async def hold_pipeline(self) -> None:
        """What is posted from now on gathers on disk."""
        self.hub.pipeline.stopping = True
        (held,) = [task for task in self.hub._tasks if task.get_name() == "pipeline"]
        await held  # it looks again after `poll` at the latest
        self.hub._tasks.remove(held)

    async def resume_pipeline(self) -> None:
        """What has gathered is taken in one batch."""
        pipeline = self.hub.pipeline
        pipeline.stopping = False
        self.hub._tasks.append(asyncio.create_task(self.hub._keep("pipeline", pipeline.run), name="pipeline"))

    async def settle(self) -> None:
        """Until nothing is pending and no work is open that could run now."""
        await self.until(self._still)

    async def nothing_pending(self) -> bool:
        """Everything that came is done or parked."""
        return not await self.number("SELECT count(*) FROM envelopes WHERE state = 'pending'")

    async def _still(self) -> bool:
        for topic in ("intake", "intake.isolated", "outbox"):
            self.hub.fabric.wake(topic)
        return await self.nothing_pending() and not (
            await self.number(
                "SELECT count(*) FROM outbox WHERE state IN ('queued', 'leased', 'uncertain') AND destination NOT IN "
                f"({', '.join(repr(name) for name in ['', *self.held()])})"
            )
        )

    def held(self) -> list[str]:
        """Destinations that rest."""
        now = self.hub.store.now()
        return [name for name, health in self.hub.outbox._health.items() if health.held_until > now]

    @staticmethod
    async def until(true: Callable[[], Awaitable[Any]], seconds: float = 60.0) -> Any:
        """Look until it is so, ever more rarely; a test that waits in vain fails here."""
        pause = 0.01
        async with asyncio.timeout(seconds):
            while not (found := await true()):
                await asyncio.sleep(pause)
                pause = min(1.5 * pause, 0.1)
        return found

    # ---- what became of it ---------------------------------------------------------------------------------

    def far(self, instance: str) -> Any:
        return self.hub.instances[instance].connector.far

    async def rows(self, sql: str, **values: Any) -> list[Any]:
        return await self.hub.store.read(lambda conn: list(conn.execute(text(sql), values).all()))

    async def column(self, sql: str, **values: Any) -> list[Any]:
        return [row[0] for row in await self.rows(sql, **values)]

    async def number(self, sql: str, **values: Any) -> int:
        return int((await self.column(sql, **values))[0])

    async def events(self, *kinds: str) -> list[str]:
        found = await self.column("SELECT kind FROM events ORDER BY id")
        return [kind for kind in found if not kinds or kind in kinds]

    async def references(self) -> list[str]:
        """Of the roots, oldest first."""
        return await self.column("SELECT reference FROM queries WHERE id = root_id ORDER BY id")

    async def alarms(self) -> list[str]:
        return await self.column("SELECT key FROM alarms WHERE cleared_at IS NULL ORDER BY key")

    async def token(self, n: int = -1) -> str:
        """The reply token of the n-th delivery."""
        return (await self.sent())[n]["token"]

    async def sent(self) -> list[dict[str, Any]]:
        """The bodies of all deliveries, oldest first."""
        bodies: Sequence[str] = await self.column("SELECT body FROM outbox WHERE kind = 'delivery' ORDER BY id")
        return [msgspec.json.decode(body) for body in bodies]

    async def audited(self) -> None:
        """received = done + parked + pending + erased, by tally and by rows; and the audit chain holds."""
        await self.until(self._told_alike)  # two readings: the pipeline may work between them
        assert unaccounted(await self.hub.store.read(tallies_by_instance)) == {}
        self.hub.fabric.wake("events")
        await self.until(self._sealed)
        heads = published_heads(self.hub.config.heads)
        report = await self.hub.store.read(verify_chain, heads)
        assert report.problems == ()

    async def _told_alike(self) -> bool:
        counted, kept = await self.hub.store.read(recount), await self.hub.store.read(tallies_by_instance)
        return _plain(kept) == _plain(counted)

    async def _sealed(self) -> bool:
        return not await self.number("SELECT count(*) FROM events WHERE seq IS NULL")


def _plain(found: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
    return {i: {s: n for s, n in states.items() if n} for i, states in found.items()}


@asynccontextmanager
async def installed(folder: Path, store_url: str) -> AsyncIterator[Desk]:
    """A desk that has not started; stopped, counted and verified at the end if it runs then."""
    desk = Desk(folder, store_url)
    try:
        yield desk
        if desk.running:
            await desk.audited()
    finally:
        if desk.running:
            await desk.stop()
