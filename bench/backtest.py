"""`python -m bench backtest`: `trunkline rules backtest` over 100,000 stored messages and 1,000 rules, on one core.

The store is SQLite, filled with decisions as triage leaves them (`bench.rule_sets`); the candidate has other rules than
those that decided. `wall_s` and `cpu_s` are the command's own, from its start to its end, pinned to one core;
`load` is the machine's load average beside it: above the number of cores `wall_s` says more about the others.
"""

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from sqlalchemy import Connection, insert

from bench import rule_sets
from context_store import Store
from context_store import tables as t
from context_store.text import hash_key
from hub.clock import SystemClock
from hub.decided import stored
from routing import Decision, decide, load_rules

CHUNK = 2_000
DISTINCT = 5_000
"""Messages that are made; each is stored several times."""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--rules", type=int, default=1_000)
    parser.add_argument("--json", action="store_true", help="one line")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    drawn = list(rule_sets.rules(arguments.rules))
    with TemporaryDirectory() as folder:
        root = Path(folder)
        _command(root, "init", ".")
        asyncio.run(_fill(root, load_rules(rule_sets.file_of(drawn)), arguments.messages))
        changed = [msgspec.structs.replace(rule, sets={**rule.sets, "team": "night"}) for rule in drawn[::10]]
        kept = [rule for number, rule in enumerate(drawn) if number % 10]
        (root / "candidate.toml").write_text(rule_sets.file_of([*changed, *kept]), encoding="utf-8")
        report = _measured(root)
    print(json.dumps(report, indent=None if arguments.json else 2))
    return 0


def _measured(root: Path) -> dict[str, Any]:
    used, begun = _cpu(), time.perf_counter()
    done = _command(root, "rules", "backtest", "candidate.toml", "--json", pinned=True)
    wall, cpu = time.perf_counter() - begun, _cpu() - used
    said = json.loads(done)
    kept = {name: said[name] for name in ("messages", "changed", "newly_unmatched", "newly_matched", "unknown")}
    return {
        **kept, "rules": len(said["hits"]), "wall_s": round(wall, 1), "cpu_s": round(cpu, 1),
        "us_judging": round(said["microseconds"]), "load": [round(each, 1) for each in os.getloadavg()],
    }  # fmt: skip


def _cpu() -> float:
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def _command(root: Path, *arguments: str, pinned: bool = False) -> bytes:
    core = min(os.sched_getaffinity(0))
    return subprocess.run(
        [sys.executable, "-m", "hub", *arguments], check=True, stdout=subprocess.PIPE, cwd=root,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        preexec_fn=(lambda: os.sched_setaffinity(0, {core})) if pinned else None,
    ).stdout  # fmt: skip


async def _fill(root: Path, rules: Any, count: int) -> None:
    decisions = [decide(rules, facts) for facts in rule_sets.messages(min(count, DISTINCT))]
    store = await Store.open(f"sqlite:///{root}/var/trunkline.db", root / "var" / "blobs", SystemClock())
    try:
        identity = store.ids.next()
        await store.write(_sender, identity, store)
        for first in range(0, count, CHUNK):
            part = [decisions[n % len(decisions)] for n in range(first, min(count, first + CHUNK))]
            await store.write(_rows, part, first, identity, store)
    finally:
        await store.close()


def _sender(conn: Connection, identity: int, store: Store) -> None:
    user, at = store.ids.next(), store.now()
    conn.execute(insert(t.users).values(id=user, name="Ann", created_at=at))
    conn.execute(
        insert(t.identities).values(
            id=identity, scheme="email", value="ann@acme.test", value_hash=hash_key("i", "ann"), user_id=user,
            created_at=at,
        )
    )  # fmt: skip


def _rows(conn: Connection, decisions: Sequence[Decision], first: int, identity: int, store: Store) -> None:
    at = store.now()
    queries, rows = [], []
    for number, decision in enumerate(decisions, first):
        query = store.ids.next()
        queries.append({
            "id": query, "reference": f"TL-{number}", "root_id": query, "identity_id": identity, "instance": "mail",
            "channel": "email", "state": "open", "opened_at": at, "updated_at": at,
        })  # fmt: skip
        rows.append({
            "id": store.ids.next(), "query_id": query, "rule_set": decision.rule_set, "author": "rules", "at": at,
            "facts": msgspec.json.encode(decision.facts).decode(),
            "outcome": msgspec.json.encode(stored(decision)).decode(),
        })  # fmt: skip
    conn.execute(insert(t.queries), queries)
    conn.execute(insert(t.decisions), rows)
