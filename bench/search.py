"""`python -m bench search`: how long a search and a journey take in a store that is full.

Nine words of document frequencies from 100 to all messages, evenly spread over time on a logarithmic scale; every
search asks for the newest 50 and for the page after them. The journey is of a user with a hundredth of all
messages, its first page and one from the middle. Milliseconds are medians over all; `search_worst_ms` is the slowest
word's median. `index_us` is the indexer's processor time for each message.
"""

import argparse
import asyncio
import json
import random
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import Connection, insert, text

from context_store import Store, bulk, search, views
from context_store import tables as t
from context_store.text import hash_key
from hub.clock import SystemClock
from tests.servers import PostgreSQL, room

WORDS = 9
USERS = 100
VOCABULARY = 20_000
LENGTH = 60
"""Words of a message beside those that are counted."""
CHUNK = 5_000


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--store", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--json", action="store_true")
    parser.set_defaults(run=lambda arguments: asyncio.run(_main(arguments)))


@contextmanager
def _url(kind: str, folder: str) -> Iterator[str]:
    if kind == "sqlite":
        yield f"sqlite:///{folder}/store.db"
        return
    with room("search") as place:
        server = PostgreSQL(place)
        try:
            yield server.database()
        finally:
            server.stop()


async def _main(arguments: argparse.Namespace) -> int:
    with TemporaryDirectory() as folder, _url(arguments.store, folder) as url:
        store = await Store.open(url, Path(folder) / "blobs", SystemClock())
        try:
            report = await measure(store, arguments.messages, arguments.rounds)
        finally:
            await store.close()
    print(json.dumps(report, indent=None if arguments.json else 2))
    return 0


def _frequencies(messages: int) -> list[int]:
    """Of `WORDS` words, from 100 to all."""
    return [round(100 * (messages / 100) ** (n / (WORDS - 1))) for n in range(WORDS)]


class Filler:
    """Messages as the pipeline leaves them, with numbered events; straight into the tables."""

    def __init__(self, store: Store, messages: int) -> None:
        self.store = store
        self.every = [max(1, messages // n) for n in _frequencies(messages)]
        self.random = random.Random(7)
        self.users: list[tuple[int, int, int, int]] = []

    def people(self, conn: Connection) -> None:
        new, at = self.store.ids.next, self.store.now()
        for n in range(USERS):
            user, identity, query, thread = new(), new(), new(), new()
            self.users.append((user, identity, query, thread))
            conn.execute(insert(t.users).values(id=user, name=f"User {n}", created_at=at))
            conn.execute(
                insert(t.identities).values(
                    id=identity, scheme="email", value=f"user{n}@acme.test", value_hash=hash_key("i", str(n)),
                    user_id=user, created_at=at,
                )
            )  # fmt: skip
            conn.execute(
                insert(t.queries).values(
                    id=query, reference=f"TL-{n}", root_id=query, identity_id=identity, instance="mail",
                    channel="email", state="open", opened_at=at, updated_at=at,
                )
            )  # fmt: skip
            conn.execute(
                insert(t.threads).values(
                    id=thread, instance="mail", key_hash=hash_key("t", str(n)), key="", query_id=query,
                    identity_id=identity, last_seq=0, last_at=at,
                )
            )  # fmt: skip

    def messages(self, conn: Connection, first: int, count: int) -> None:
        columns = (
            "id", "query_id", "thread_id", "thread_seq", "identity_id", "instance", "channel", "kind", "direction",
            "private", "key_hash", "key", "at", "recorded_at", "subject", "text", "reply_via",
        )  # fmt: skip
        rows, events = [], []
        for n in range(first, first + count):
            number, at = self.store.ids.next(), self.store.now()
            _, identity, query, thread = self.users[n % USERS]
            key = hash_key("m", str(n))
            rows.append((
                number, query, thread, n, identity, "mail", "email", "mail", "in", True, key, "", at, at,
                f"Subject {n}", self._words(n), b"",
            ))  # fmt: skip
            events.append((self.store.ids.next(), n + 1, "message.received", query, number, "hub", at, key))
        bulk.insert(conn, t.messages, columns, rows)
        columns = ("id", "seq", "kind", "subject_id", "message_id", "actor", "at", "commitment")
        bulk.insert(conn, t.events, columns, events)

    def _words(self, n: int) -> str:
        common = (f"w{int(VOCABULARY * self.random.random() ** 3)}" for _ in range(LENGTH))  # few are frequent
        return " ".join([*common, *(f"counted{k}" for k, every in enumerate(self.every) if n % every == 0)])


async def measure(store: Store, messages: int, rounds: int) -> dict[str, Any]:
    filler = Filler(store, messages)
    await store.write(filler.people)
    for first in range(0, messages, CHUNK):
        await store.write(filler.messages, first, min(CHUNK, messages - first))
    begun = time.process_time()
    while await store.write(search.index_batch) is not None:
        pass
    indexed = time.process_time() - begun
    if store.dialect == "postgresql":  # as autovacuum does by itself, some minutes after such an inrush
        await store.write(lambda conn: conn.execute(text("ANALYZE")) and None)
    asked = {f"counted{n}": await _search_ms(store, f"counted{n}", rounds) for n in range(WORDS)}
    both = await _search_ms(store, "counted4 counted7", rounds)
    user = filler.users[0][0]
    middle = (await store.read(views.show_user, user, None, max(1, messages // USERS // 2))).messages[-1].id
    journey = [await _ms(store, views.show_user, user, at) for at in (None, middle) for _ in range(rounds)]
    return {
        "store": store.dialect,
        "messages": messages,
        "search_ms": _median([ms for each in asked.values() for ms in each]),
        "search_worst_ms": max(_median(each) for each in asked.values()),
        "search_two_words_ms": _median(both),
        "journey_ms": _median(journey),
        "by_frequency_ms": dict(zip(_frequencies(messages), map(_median, asked.values()), strict=True)),
        "index_us": round(indexed / messages * 1e6),
    }


async def _search_ms(store: Store, words: str, rounds: int) -> list[float]:
    newest = await store.read(search.search, words)
    assert newest, words
    return [
        await _ms(store, search.search, words, before)
        for before in (None, newest[-1].message_id)
        for _ in range(rounds)
    ]


async def _ms(store: Store, read: Callable[..., Any], *args: Any) -> float:
    begun = time.perf_counter()
    await store.read(read, *args)
    return (time.perf_counter() - begun) * 1000


def _median(values: list[float]) -> float:
    return round(statistics.median(values), 2)
