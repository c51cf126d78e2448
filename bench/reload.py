"""`python -m bench reload`: from saving a rules file until it is in force on two nodes, seconds.

Two real `trunkline serve` on one PostgreSQL and one Redis, each with a rules file of its own; the file of the first is
edited, the second hears of it through the store. A set is in force on a node when its log says so, which is after the
new set was put where messages are judged. Edits: a rule's words, a new rule in the middle, a rule taken out, two rules
changing places; saved by turns in place and by renaming. `all_new_s`: a file of which no rule was known.

`answer_ms`: the longest that either node took meanwhile to say 404, which takes nothing but its event loop.
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from bench import rule_sets
from bench.faults.served import Served
from context_store.secrets import Vault
from hub.keys import Keys
from tests.prepared import template
from tests.servers import PostgreSQL, Redis, free_port, room

CONFIG = """
[hub]
listen = "127.0.0.1:{port}"
store = "{store}"
fabric = "{fabric}"
[plugins]
entry_points = false
[instance.querylog]
kind = "querylog"
"""
LIMIT = 60.0
PAUSE = (0.3, 0.8)
"""Seconds between two edits, by chance: not in step with whoever looks at the file."""


class Node:
    """One hub with its file."""

    def __init__(self, folder: Path, store: str, fabric: str, rules: str) -> None:
        port = free_port()
        self.rules, self.url = folder / "rules.toml", f"http://127.0.0.1:{port}/nowhere"
        config = CONFIG.format(port=port, store=store, fabric=fabric)
        teams = "".join(f'[team.team-{number}]\nname = "{number}"\n' for number in range(40))
        (folder / "plugins.toml").write_text(config + teams)
        self.rules.write_text(rules)
        self.served = Served(folder / "plugins.toml", port)
        self._read = 0

    async def start(self) -> None:
        self.served.start(fresh=True)
        await self.served.ready()

    async def in_force(self) -> float:
        """When the log says that another set is; raises TimeoutError."""
        async with asyncio.timeout(LIMIT):
            while True:
                for line in self._news():
                    if line.get("event") in {"rules.reloaded", "rules.adopted"}:
                        return time.monotonic()
                    if line.get("event") == "rules.refused":
                        raise SystemExit(f"refused: {line}")
                await asyncio.sleep(0.002)

    def _news(self) -> list[dict[str, Any]]:
        with self.served.log.open("rb") as log:
            log.seek(self._read)
            said = log.read()
        whole = said[: said.rfind(b"\n") + 1]
        self._read += len(whole)
        return [msgspec.json.decode(line) for line in whole.splitlines() if line.startswith(b"{")]


async def saved(nodes: Sequence[Node], text: str, *, renamed: bool) -> tuple[float, float]:
    """Seconds until it is in force where it was saved, and everywhere."""
    for node in nodes:
        node._news()  # noqa: SLF001  what was said before
    path = nodes[0].rules
    beside = path.with_name("rules.toml~")
    (beside if renamed else path).write_text(text)
    if renamed:
        os.replace(beside, path)
    begun = time.monotonic()
    taken = [at - begun for at in await asyncio.gather(*(node.in_force() for node in nodes))]
    return taken[0], max(taken)


def edited(drawn: list[rule_sets.Rule], number: int) -> None:
    """The `number`-th edit."""
    rng, new = random.Random(number), msgspec.structs.replace
    at = rng.randrange(len(drawn) - 1)
    words = (f"edit{number}", "anyconnect")
    if number % 4 == 0:
        drawn[at] = new(drawn[at], words=words, pattern="")
    elif number % 4 == 1:
        drawn.insert(
            at, new(drawn[at], name=f"new-{number}", words=words, pattern="", sets={"tags": [f"new-{number}"]})
        )
    elif number % 4 == 2:
        del drawn[at]
    else:
        drawn[at], drawn[at + 1] = drawn[at + 1], drawn[at]


async def answers(nodes: Sequence[Node], waited: list[float]) -> None:
    """One after the other asks every node how it is, until cancelled."""
    async with aiohttp.ClientSession() as session:
        while True:
            for node in nodes:
                begun = time.monotonic()
                async with session.get(node.url) as response:
                    await response.read()
                waited.append(time.monotonic() - begun)
            await asyncio.sleep(0.02)


async def measure(nodes: Sequence[Node], rules: int, edits: int) -> dict[str, Any]:
    drawn, files = list(rule_sets.rules(rules)), list[str]()
    for number in range(edits):
        edited(drawn, number)
        files.append(rule_sets.file_of(drawn))  # beforehand: it would hold up what asks
    spent, waited = list[tuple[float, float]](), list[float]()
    asking = asyncio.create_task(answers(nodes, waited))
    for number, text in enumerate(files):
        spent.append(await saved(nodes, text, renamed=number % 2 == 1))
        await asyncio.sleep(random.uniform(*PAUSE))
    asking.cancel()
    other = [msgspec.structs.replace(rule, name=f"other-{rule.name}") for rule in drawn]
    _, all_new = await saved(nodes, rule_sets.file_of(other), renamed=True)
    return {
        "rules": rules,
        "edits": edits,
        "reload_s": round(statistics.median(everywhere for _, everywhere in spent), 2),
        "reload_s_most": round(max(everywhere for _, everywhere in spent), 2),
        "reload_s_first_node": round(statistics.median(here for here, _ in spent), 2),
        "all_new_s": round(all_new, 2),
        "answer_ms": round(max(waited) * 1000),
        "answer_ms_median": round(statistics.median(waited) * 1000, 1),
        "load_average": round(os.getloadavg()[0], 1),
        "cores": os.cpu_count(),
    }


async def main(rules: int, edits: int) -> dict[str, Any]:
    with ExitStack() as stack:
        server = PostgreSQL(stack.enter_context(room("pg")))
        stack.callback(server.stop)
        redis = Redis(stack.enter_context(room("redis")))
        stack.callback(redis.stop)
        store = server.database(await asyncio.to_thread(template, server))
        folders = [stack.enter_context(room("node")) for _ in range(2)]
        for folder in folders:
            (folder / "var").mkdir(mode=0o700)
        Keys.load(folders[0] / "var" / "signing.key")
        Vault(folders[0] / "var" / "vault.key")
        for name in ("signing.key", "vault.key"):
            shutil.copy(folders[0] / "var" / name, folders[1] / "var" / name)
        text = rule_sets.file_of(list(rule_sets.rules(rules)))
        nodes = [Node(folder, store, redis.url, text) for folder in folders]
        try:
            for node in nodes:
                await node.start()
            await asyncio.sleep(3)  # what a start leaves to do
            return await measure(nodes, rules, edits)
        finally:
            for node in nodes:
                await node.served.kill()


def run(arguments: argparse.Namespace) -> int:
    report = asyncio.run(main(arguments.rules, arguments.edits))
    print(json.dumps(report, indent=None if arguments.json else 2))
    return 0


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one line")
    parser.add_argument("--rules", type=int, default=10_000)
    parser.add_argument("--edits", type=int, default=20)
    parser.set_defaults(run=run)
