"""psycopg in a thread against asyncpg on the loop, for the journal's one statement: same SQL, same server, alternated.

Prints rows per second (median of the rounds) and each way's ratio to `psycopg`. The statement is the journal's own;
the envelopes are 450 bytes. With fsync on, the disk is most of it: `--no-fsync` shows the drivers alone.
"""

import argparse
import asyncio
import itertools
import json
import re
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg
import psycopg
from psycopg.types.numeric import Int8BinaryDumper

from context_store import Store
from context_store.journal import _POSTGRESQL_INSERT, NewEnvelope, _fold, journal
from context_store.text import hash_key
from hub.clock import SystemClock
from tests.servers import PostgreSQL, room

SIZES = (1, 32, 128, 512)
BODY = b"x" * 450
Way = Callable[[list[NewEnvelope]], Awaitable[None]]
_numbers = itertools.count(1 << 62)


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--rows", type=int, default=2000, help="rows per way, size and round")
    parser.add_argument("--no-fsync", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.set_defaults(run=lambda arguments: asyncio.run(_main(arguments)))


def _batch(size: int) -> list[NewEnvelope]:
    made = []
    for number in itertools.islice(_numbers, size):
        key = hash_key("bench", str(number))
        made.append(NewEnvelope(number, "bench", key, key, number, "{}", BODY, None, len(BODY), number))
    return made


async def _main(arguments: argparse.Namespace) -> int:
    with room("drivers") as folder, TemporaryDirectory() as blobs:
        server = PostgreSQL(folder)
        try:
            url = server.database()
            plain = url.replace("+psycopg", "")
            with psycopg.connect(plain, autocommit=True) as conn:
                conn.execute(f"ALTER SYSTEM SET fsync = {'off' if arguments.no_fsync else 'on'}".encode())
                conn.execute("SELECT pg_reload_conf()")
            store = await Store.open(url, Path(blobs), SystemClock())
            try:
                found = await _measure(arguments, store, plain)
            finally:
                await store.close()
        finally:
            server.stop()
    _show(found, as_json=arguments.json)
    return 0


async def _measure(arguments: argparse.Namespace, store: Store, plain: str) -> dict[str, dict[int, list[float]]]:
    with psycopg.connect(plain, autocommit=True) as thread_conn:
        loop_conn = await asyncpg.connect(plain)
        try:
            for setting in ("SET synchronous_commit = on", "SET plan_cache_mode = force_generic_plan"):
                await loop_conn.execute(setting)
                thread_conn.execute(setting.encode())
            thread_conn.adapters.register_dumper(int, Int8BinaryDumper)
            return await _rounds(arguments, _ways(store, thread_conn, loop_conn))
        finally:
            await loop_conn.close()


def _ways(store: Store, thread_conn: psycopg.Connection, loop_conn: asyncpg.Connection) -> dict[str, Way]:
    numbered = itertools.count(1)
    sql = re.sub("%b", lambda _: f"${next(numbered)}", _POSTGRESQL_INSERT)

    def in_thread(batch: list[NewEnvelope]) -> None:
        cursor = thread_conn.cursor(binary=True)
        cursor.execute(_POSTGRESQL_INSERT.encode(), [*_columns(batch), 1])
        cursor.fetchall()

    async def by_psycopg(batch: list[NewEnvelope]) -> None:
        await asyncio.to_thread(in_thread, batch)

    async def by_asyncpg(batch: list[NewEnvelope]) -> None:
        await loop_conn.fetch(sql, *_columns(batch), 1)

    async def by_asyncpg_in_transaction(batch: list[NewEnvelope]) -> None:
        async with loop_conn.transaction():
            await loop_conn.fetch(sql, *_columns(batch), 1)

    async def by_store(batch: list[NewEnvelope]) -> None:
        await store.write(journal, batch, [], store.node, 0, urgent=True)

    return {
        "psycopg": by_psycopg,
        "asyncpg": by_asyncpg,
        "asyncpg in BEGIN/COMMIT": by_asyncpg_in_transaction,
        "Store.write(journal)": by_store,
    }


async def _rounds(arguments: argparse.Namespace, ways: dict[str, Way]) -> dict[str, dict[int, list[float]]]:
    found: dict[str, dict[int, list[float]]] = {name: {size: [] for size in SIZES} for name in ways}
    for round_, size in itertools.product(range(arguments.rounds + 1), SIZES):
        for name, way in ways.items():
            batches = [_batch(size) for _ in range(max(1, arguments.rows // size))]
            begun = time.perf_counter()
            for batch in batches:
                await way(batch)
            if round_:  # the first one warms up
                found[name][size].append(size * len(batches) / (time.perf_counter() - begun))
    return found


def _columns(batch: list[NewEnvelope]) -> list[list[object]]:
    return [list(column) for column in zip(*_fold(batch), strict=True)]


def _show(found: dict[str, dict[int, list[float]]], *, as_json: bool) -> None:
    medians = {name: {size: statistics.median(rates) for size, rates in sizes.items()} for name, sizes in found.items()}
    if as_json:
        print(json.dumps(medians))
        return
    print(f"{'rows/s (ratio to psycopg)':28}" + "".join(f"{f'batch {size}':>20}" for size in SIZES))
    for name, sizes in medians.items():
        cells = (f"{rate:,.0f} ({rate / medians['psycopg'][size]:.2f})" for size, rate in sizes.items())
        print(f"{name:28}" + "".join(f"{cell:>20}" for cell in cells))
