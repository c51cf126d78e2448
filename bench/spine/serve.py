"""The servers that are measured, each a process of its own: `python -m bench.spine.serve KIND …`.

    echo            a bare aiohttp + uvloop JSON echo
    floor FILE      raw HMAC check, hashed key, one row, fsynced group commit; no logs, limits or metrics
    hub TOML PART…  a hub of that plugins.toml with its web server and intake, and the parts that are named

Each prints its port. A hub answers every line on its input with what is not processed yet. It ends with its input.
"""

import asyncio
import gc
import hmac
import json
import logging
import sqlite3
import sys
import threading
from base64 import b64encode
from collections import deque
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import structlog
import uvloop
from aiohttp import web

from bench.spine.load import SECRET
from hub import operations
from hub.app import build
from hub.cli.serve import collect_less, one_heap
from hub.config import load_config
from hub.web.server import make_app, runner
from plugins import standard_key

Ask = Callable[[str], Any]


async def _echo(request: web.Request) -> web.Response:
    return web.Response(body=await request.read(), content_type="application/json")


class _Floor:
    """What no durable webhook can do without: a thread that commits whatever waits, one row each."""

    def __init__(self, file: str) -> None:
        self._key = standard_key(SECRET)
        self._file = file
        self._waiting: deque[tuple[bytes, bytes, asyncio.Future[None]]] = deque()
        self._some = threading.Event()
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._commit, daemon=True).start()

    async def take(self, request: web.Request) -> web.Response:
        body, key = await request.read(), request.headers["webhook-id"]
        content = f"{key}.{request.headers['webhook-timestamp']}.".encode() + body
        expected = b"v1," + b64encode(hmac.digest(self._key, content, "sha256"))
        if not hmac.compare_digest(expected, request.headers["webhook-signature"].encode()):
            return web.Response(status=401)
        stored = self._loop.create_future()
        self._waiting.append((sha256(key.encode()).digest(), body, stored))
        self._some.set()
        await stored
        return web.Response(body=b"stored\n")

    def _commit(self) -> None:
        conn = sqlite3.connect(self._file, isolation_level=None)
        conn.execute("PRAGMA journal_mode=WAL")
        conn.execute("PRAGMA synchronous=FULL")
        conn.execute("CREATE TABLE IF NOT EXISTS floor (id INTEGER PRIMARY KEY, key BLOB UNIQUE, body BLOB)")
        while self._some.wait():
            self._some.clear()
            batch = [self._waiting.popleft() for _ in range(min(512, len(self._waiting)))]
            conn.execute("BEGIN IMMEDIATE")
            conn.executemany("INSERT INTO floor (key, body) VALUES (?, ?)", [row[:2] for row in batch])
            conn.execute("COMMIT")
            self._loop.call_soon_threadsafe(_answer, [stored for _, _, stored in batch])
            if self._waiting:
                self._some.set()


def _answer(futures: list["asyncio.Future[None]"]) -> None:
    for future in futures:
        future.set_result(None)


async def _bare(handler: Any) -> int:
    app = web.Application()
    app.router.add_post("/in/hook/", handler)
    return await _listen(web.AppRunner(app, access_log=None))


async def _listen(runner: web.AppRunner) -> int:
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return int(runner.addresses[0][1])


async def _hub(file: str, parts: list[str]) -> tuple[int, Ask, Any]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    one_heap()
    hub = build(load_config(Path(file)))
    await hub.open()
    hub.intake.start()
    if "isolated" in parts:
        hub.parsers.start()
    tasks = {asyncio.create_task(getattr(hub, part).run(), name=part) for part in parts}
    for task in tasks:
        task.add_done_callback(_ended)
    collect_less()
    return await _listen(runner(make_app(hub, operations))), lambda _: hub.intake.pending, (hub, tasks)


def _ended(part: "asyncio.Task[None]") -> None:
    """Without it all figures would be of something else."""
    if not part.cancelled():
        raise RuntimeError(f"a part of the hub ended: {part}")


async def _main(kind: str, *args: str) -> None:
    ask: Ask = str
    if kind == "hub":
        port, ask, _kept = await _hub(args[0], list(args[1:]))
    else:
        port = await _bare(_echo if kind == "echo" else _Floor(args[0]).take)
        gc.collect()
        gc.freeze()
    print(json.dumps(port), flush=True)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()

    def listen() -> None:
        for line in sys.stdin:
            answer = asyncio.run_coroutine_threadsafe(_said(ask, line.strip()), loop).result()
            print(json.dumps(answer), flush=True)
        loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=listen, daemon=True).start()
    await ended.wait()


async def _said(ask: Ask, line: str) -> Any:
    return ask(line)


if __name__ == "__main__":
    uvloop.run(_main(*sys.argv[1:]))
