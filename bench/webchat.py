"""Ten thousand idle widgets on one process: memory of each, latency of an ack among them, and a kill -9 in between.

A real `trunkline serve` in a process of its own. The windows come from several addresses (127.0.0.x): one has some
28,000 ports. Memory is the growth of the server's Pss (smaps_rollup) over what it had with no window, divided by them.
Latency is from `send` to the ack, which means that the line is on disk; the windows that speak are chosen anew each
time. At the end the hub is killed while lines are on their way, and what was acknowledged is looked for.
"""

import argparse
import asyncio
import json
import os
import random
import resource
import signal
import socket
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp

from bench.faults.served import Served
from plugins.testing.window import SITE, Window

ADDRESSES = [f"127.0.0.{n}" for n in range(2, 10)]
CONFIG = """
[hub]
listen = "127.0.0.1:{port}"
data = "data"
[hub.limits]
peer_per_minute = 10000000
[instance.help]
kind = "webchat"
secrets = ["file:chat.secret"]
origins = ["{site}"]
[instance.querylog]
kind = "querylog"
[team.desk]
name = "First line"
[team.network]
name = "Network"
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sockets", type=int, default=10_000)
    parser.add_argument("--lines", type=int, default=2000, help="acks that are measured, while all sockets are open")
    parser.add_argument("--rate", type=float, default=100.0, help="lines a second")
    parser.add_argument("--json", action="store_true")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    need = arguments.sockets * 4 // 3 + 1000  # sockets take three quarters
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = max(need, hard) if os.geteuid() == 0 else hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(need, most), most))
    with TemporaryDirectory() as folder:
        figures = asyncio.run(_measure(arguments, Path(folder)))
    print(json.dumps(figures, indent=2) if arguments.json else _table(figures))
    return 0 if not figures["lost"] and not figures["doubled"] else 1


def _table(figures: dict[str, Any]) -> str:
    return "\n".join(f"{name:28} {value}" for name, value in figures.items())


async def _measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    port = _free_port()
    config = _furnish(folder, port)
    served = Served(config, port)
    served.start(fresh=True)
    await served.ready()
    await asyncio.sleep(2)
    before = _pss(served.pid)
    https = [aiohttp.ClientSession(connector=_from(address)) for address in ADDRESSES]
    windows = [
        Window(https[n % len(https)], lambda: f"http://127.0.0.1:{port}/ws/help", pause=0.5)
        for n in range(arguments.sockets)
    ]
    try:
        began = time.monotonic()
        for at in range(0, len(windows), 200):
            await asyncio.gather(*(window.__aenter__() for window in windows[at : at + 200]))
        opened = time.monotonic() - began
        await asyncio.sleep(5)
        idle = _pss(served.pid)
        waited = await _latencies(windows, arguments.lines, arguments.rate)
        busy = _pss(served.pid)
        lost, doubled, back = await _killed(served, windows)
        stopped = await _stopped(served)
    finally:
        for window in windows:
            await window.__aexit__()
        for http in https:
            await http.close()
        await served.kill()
    return {
        "sockets": len(windows),
        "open_seconds": round(opened, 1),
        "server_mib_before": round(before / 2**20, 1),
        "server_mib_idle": round(idle / 2**20, 1),
        "kib_per_socket": round((idle - before) / 1024 / len(windows), 1),
        "server_mib_after_lines": round(busy / 2**20, 1),
        "acks": len(waited),
        "ack_ms_p50": _ms(waited, 0.5),
        "ack_ms_p95": _ms(waited, 0.95),
        "ack_ms_p99": _ms(waited, 0.99),
        "ack_ms_max": _ms(waited, 1),
        "all_back_seconds_after_kill": round(back, 1),
        "stop_seconds_with_all_open": None if stopped is None else round(stopped, 1),
        "lost": lost,
        "doubled": doubled,
    }


async def _latencies(windows: list[Window], n: int, rate: float) -> list[float]:
    """From send to ack, at an even rate, each line by another window."""
    waited: list[float] = []

    async def one(window: Window, number: int) -> None:
        began = time.perf_counter()
        cid = await window.say(f"line {number}")
        while cid not in window.acks:  # noqa: ASYNC110  # frames come from outside
            await asyncio.sleep(0.001)
        waited.append(time.perf_counter() - began)

    async with asyncio.TaskGroup() as group:
        for number, window in enumerate(random.choices(windows, k=n)):
            group.create_task(one(window, number))
            await asyncio.sleep(1 / rate)
    return waited


async def _killed(served: Served, windows: list[Window]) -> tuple[int, int, float]:
    """Lines are on their way at kill -9: each must stand in its conversation once, acknowledged before or not."""
    speakers = random.sample(windows, min(200, len(windows)))
    for n, window in enumerate(speakers):
        await window.say(f"before the end {n}")
    await served.kill()
    began = time.monotonic()
    served.start(fresh=True)
    await served.ready()
    for window in windows:
        await asyncio.wait_for(window.ready.wait(), 300)
    back = time.monotonic() - began
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and any(w.pending or not _copies(w) for w in speakers):  # noqa: ASYNC110
        await asyncio.sleep(0.2)
    copies = [_copies(window) for window in speakers]
    return copies.count(0), sum(found > 1 for found in copies), back


async def _stopped(served: Served) -> float | None:
    """Seconds from SIGTERM to the end, with all windows open; None if it had to be killed."""
    began = time.monotonic()
    served.signal(signal.SIGTERM)
    return None if await served.ended(60) is None else time.monotonic() - began


def _copies(window: Window) -> int:
    return sum(line["text"].startswith("before the end") for line in window.lines)


def _furnish(folder: Path, port: int) -> Path:
    secret = folder / "chat.secret"
    secret.write_text("s" * 40)
    secret.chmod(0o600)
    (folder / "rules.toml").write_bytes((Path(__file__).parents[1] / "rules.toml").read_bytes())
    config = folder / "plugins.toml"
    config.write_text(CONFIG.format(port=port, site=SITE))
    return config


def _from(address: str) -> aiohttp.TCPConnector:
    return aiohttp.TCPConnector(local_addr=(address, 0), limit=0)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _pss(pid: int) -> int:
    """Bytes, of the server and its children: what they share is counted once."""
    total = 0
    for each in (pid, *_children(pid)):
        for line in Path(f"/proc/{each}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


def _children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(each) for each in (task / "children").read_text().split()]
    return found


def _ms(waited: list[float], part: float) -> float:
    ordered = sorted(waited)
    return round(1000 * ordered[min(len(ordered) - 1, int(part * len(ordered)))], 1)
