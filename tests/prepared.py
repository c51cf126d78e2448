"""Empty stores with their schema, made once in a test process: to migrate one anew would be a third of a short test."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from context_store import Store
from tests.servers import PostgreSQL, room


class _Now:
    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def _made(url: str, folder: Path) -> None:
    store = await Store.open(url, folder, _Now())
    await store.close()


def _make(url: str, folder: Path) -> None:
    """Where a loop runs already, too."""
    with ThreadPoolExecutor(1) as apart:
        apart.submit(asyncio.run, _made(url, folder)).result()


@cache
def _file() -> bytes:
    with room("store") as folder:
        _make(f"sqlite:///{folder}/made.db", folder)
        return (folder / "made.db").read_bytes()


def put_sqlite(file: Path) -> None:
    """A prepared store in its place, unless there is one."""
    if not file.exists():
        file.parent.mkdir(mode=0o700, exist_ok=True)
        file.touch(mode=0o600)
        file.write_bytes(_file())


def template(server: PostgreSQL) -> str:
    """The name of a prepared database, for `PostgreSQL.database`."""
    url = server.database()
    with room("store") as folder:
        _make(url, folder)
    return url.partition("@/")[2].partition("?")[0]
