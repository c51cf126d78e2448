"""`trunkline sample --all`: every channel at once, in a hub of its own that is thrown away.

A real `trunkline serve` runs beside this process, on free ports, with the files of `trunkline init` and an instance of
each vendor's kind. The vendors are strict stand-ins in this process: what they would refuse is refused, and nothing
leaves the machine. An agent answers each query; what its person saw is read from the stand-in, not from the hub.
"""

import asyncio
import json
import re
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import aiohttp
import structlog

from context_store import reader, views
from context_store.shapes import QueryFilter
from hub.cli.access import answers, perform
from hub.cli.common import UNWELL, WELL, CommandError, Common
from hub.cli.init import complete
from hub.cli.output import as_json, err, table
from hub.cli.traffic import LOOK, PATIENCE, SETTLED, Became, chatted, look, send, url_of
from hub.config import Config, load_config
from plugins.manager import roles
from plugins.testing.standins import StandIn, kinds, serve
from plugins.testing.window import Window

MORE: Mapping[str, str] = {"mastodon": "poll = 1.0"}
"""Settings of a kind that would only make us wait."""
CHAT = "chat"


class Answered(Became, kw_only=True):
    """With what became of the agent's answer."""

    outcome: str = ""
    seen: str = ""
    """Where its person saw it."""
    well: ClassVar[frozenset[str]] = frozenset({"done", "caught"})


def sample_all(*, as_json_: bool) -> int:
    """All channels; exit code 1 unless every message became a query whose answer went out."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    with TemporaryDirectory(prefix="trunkline-sample-") as folder, err.status("Every channel, once") as status:
        said = asyncio.run(_all(Path(folder), status.update))
    if as_json_:
        as_json(said)
    else:
        table(
            ("sent", "said at the door", "query", "acknowledgement", "an agent's answer"),
            (
                (
                    (f"{e.instance}, by {e.over}", e.subject),
                    (e.answer, e.receipt),
                    (e.reference or "not recorded", e.triage),
                    e.acknowledgement,
                    (e.outcome, e.seen),
                )
                for e in said
            ),
            wide="query",
        )
    return WELL if all(e.reference and _well(e) for e in said) else UNWELL


def _well(one: Answered) -> bool:
    return one.outcome in Answered.well or "automatic" in one.acknowledgement


async def _all(folder: Path, tell: Any) -> list[Answered]:
    """Begin everything, send, answer, and end everything."""
    async with AsyncExitStack() as stack:
        fars = {kind: await stack.enter_async_context(serve(kind)) for kind in sorted(kinds())}
        config = _configured(folder, fars)
        tell("Starting a hub of its own")
        await stack.enter_async_context(_served(config))
        tell("Sending one message over every channel")
        session = await stack.enter_async_context(aiohttp.ClientSession())
        address = url_of(config, f"/ws/{CHAT}")
        window = Window(session, lambda: address, origin=url_of(config, ""))
        await stack.enter_async_context(window)
        sent = [await chatted(CHAT, window), *await send(config, secrets.token_hex(3), "webchat")]
        for kind, far in fars.items():
            sent.append(await _vendor(kind, far))
        said = [Answered(**{name: getattr(one, name) for name in Became.__struct_fields__}) for one in sent]
        tell("Waiting for what becomes of them")
        await _until(said, lambda one: _look(config, one))
        tell("Answering each of them")
        common = Common(config=config.file)
        for one in said:
            if one.reference and "automatic" not in one.acknowledgement:
                await _answer(common, one)
        await _until([one for one in said if one.outcome], lambda one: _arrived(config, one, fars, window))
        return said


async def _until(said: Sequence[Answered], done: Any) -> None:
    """Until it is so of all, or patience ends."""
    ends, left = time.monotonic() + PATIENCE, list(said)
    while left and time.monotonic() < ends:
        left = [one for one in left if not await asyncio.to_thread(done, one)]
        await asyncio.sleep(LOOK if left else 0)


# ---- the hub -----------------------------------------------------------------------------------------


def _configured(folder: Path, fars: Mapping[str, StandIn]) -> Config:
    """What `init` writes, on free ports, and the vendors' instances."""
    complete(folder)
    file = folder / "plugins.toml"
    port = _free_port()
    text = file.read_text().replace("127.0.0.1:8080", f"127.0.0.1:{port}").replace("2525", str(_free_port()))
    text += '\n[hub.egress]\nallow = ["127.0.0.0/8"]\n'
    connectors = load_config(file).plugins.connectors
    for kind, far in fars.items():
        name = kind.replace("_", "-")
        far.hook = f"http://127.0.0.1:{port}/in/{name}/" if "webhook" in roles(connectors[kind]) else ""
        for secret, value in far.environ.items():
            path = folder / f"{name}.{secret}"
            path.write_text(value)
            path.chmod(0o600)
        settings = "\n".join(f"{key} = {_toml(value)}" for key, value in far.table.items())
        settings = re.sub(r'"env:(\w+)"', rf'"file:{name}.\1"', settings)
        text += f'\n[instance.{name}]\nkind = "{kind}"\n{settings}\n{MORE.get(kind, "")}\n'
    file.write_text(text)
    return load_config(file)


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(name)} = {_toml(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)


def _free_port() -> int:
    """Free a moment ago; whoever takes it now makes the hub say so."""
    with socket.socket() as own:
        own.bind(("127.0.0.1", 0))
        return int(own.getsockname()[1])


def _started(file: Path, log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "hub", "serve", "--config", str(file), "--json"]
    with log.open("wb") as out:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)  # noqa: S603  # ourselves


@asynccontextmanager
async def _served(config: Config) -> AsyncIterator[None]:
    """`trunkline serve` in a process of its own, stopped at the end."""
    log = config.file.with_name("serve.log")
    process = _started(config.file, log)
    try:
        ends = time.monotonic() + PATIENCE
        while not answers(config.socket):
            if process.poll() is not None or time.monotonic() > ends:
                raise CommandError(f"the hub did not start:\n{log.read_text()[-2000:]}")
            await asyncio.sleep(LOOK)
        yield
    finally:
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, 30)
        finally:
            process.kill()


# ---- what is sent, and what becomes of it ------------------------------------------------------------------


async def _vendor(kind: str, far: StandIn) -> Became:
    """One message as the vendor's people write it."""
    text = "The VPN is down."
    answer = await far.bring(text)
    return Became(instance=kind.replace("_", "-"), over="a stand-in", sender="", subject=text,
                  answer=answer)  # fmt: skip


def _look(config: Config, one: Answered) -> bool:
    """A vendor's message is found by its instance, which has no other."""
    if not one.sender:
        with reader.reading(config.store) as conn:
            rows = views.list_queries(conn, QueryFilter(), limit=100)
        one.reference = next((row.reference for row in rows if row.instance == one.instance), "")
        return bool(one.reference) and look(config, one)
    return look(config, one)


async def _answer(common: Common, one: Answered) -> None:
    try:
        await asyncio.to_thread(perform, common, "reply", query=one.reference, text=_words(one))
    except CommandError as error:
        one.seen = str(error)
    else:
        one.outcome = "on its way"


def _words(one: Answered) -> str:
    return f"We look into {one.reference}."


def _arrived(config: Config, one: Answered, fars: Mapping[str, StandIn], window: Window) -> bool:
    """The delivery's state in the hub, and who saw it."""
    with reader.reading(config.store) as conn:
        root = views.find_query(conn, one.reference)
        view = views.show_query(conn, root) if root is not None else None
    work = [each for each in view.outbox if each.kind == "delivery"][-1] if view else None
    if work is None or work.state not in SETTLED:
        return False
    one.outcome = f"{work.state}: {work.cause}" if work.cause else work.state
    places = [f"seen by {each.to} at {kind}" for kind, far in fars.items() for each in far.heard
              if _words(one) in each.text]  # fmt: skip
    places += ["seen in the window"] if any(_words(one) == line["text"] for line in window.lines) else []
    if not places and work.destination == "mail":
        one.outcome, places = "caught", ["a mail that stays in the house"]
    one.seen = ", ".join(places)
    return bool(places) or work.state != "done"
