"""Reads go beside the owner and can't write; the same commands work on PostgreSQL."""

import json
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from context_store import Store, StoreAway, StoreRefused, examine, reader
from hub.clock import SystemClock
from tests.cli.conftest import Desk


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'x.db'}" if request.param == "sqlite" else request.getfixturevalue("postgresql_url")


async def test_a_reader_sees_the_store_of_a_running_owner_and_cannot_write(url: str, tmp_path: Path):
    store = await Store.open(url, tmp_path / "blobs", SystemClock())
    try:
        with reader.reading(url) as conn:
            assert examine.schema(conn) == (examine.schema(conn)[1],) * 2
        with pytest.raises((DBAPIError, StoreAway)), reader.reading(url) as conn:
            conn.execute(text("DELETE FROM meta"))
    finally:
        await store.close()


async def test_a_reader_leaves_the_log_of_a_killed_owner_to_the_next_owner(tmp_path: Path):
    file = tmp_path / "x.db"
    store = await Store.open(f"sqlite:///{file}", tmp_path / "blobs", SystemClock())
    copy = tmp_path / "copy.db"
    copy.write_bytes(file.read_bytes())
    log = copy.with_name("copy.db-wal")
    log.write_bytes(file.with_name("x.db-wal").read_bytes())
    before = log.read_bytes()
    try:
        with reader.reading(f"sqlite:///{copy}") as conn:
            assert examine.schema(conn)[0] > 0
        assert log.read_bytes() == before
    finally:
        await store.close()


def test_no_store_an_empty_store_and_a_wrong_address_are_told_apart(tmp_path: Path):
    with pytest.raises(StoreRefused, match="no store"), reader.reading(f"sqlite:///{tmp_path / 'none.db'}"):
        pass
    sqlite3.connect(tmp_path / "empty.db").execute("CREATE TABLE other (x)").connection.close()
    with pytest.raises(StoreRefused, match="is empty"), reader.reading(f"sqlite:///{tmp_path / 'empty.db'}"):
        pass
    (tmp_path / "text.db").write_bytes(b"not a database, but long enough to look like a file of some kind" * 40)
    with pytest.raises(StoreAway, match="can't be read"), reader.reading(f"sqlite:///{tmp_path / 'text.db'}"):
        pass


def test_an_empty_postgresql_says_what_sets_it_up(postgresql_url: str):
    with pytest.raises(StoreRefused, match="is empty"), reader.reading(postgresql_url):
        pass


def test_a_database_that_does_not_answer_is_away(unused_tcp_port: int):
    url = f"postgresql+psycopg://u@127.0.0.1:{unused_tcp_port}/x"
    with pytest.raises(StoreAway), reader.reading(url):
        pass


def test_a_desk_on_postgresql_serves_lists_changes_and_is_backed_up(desk: Desk, postgresql_url: str):
    desk.environ["TRUNKLINE_STORE"] = postgresql_url
    desk.serve()
    reference = next(each["reference"] for each in desk.json("sample") if each["instance"] == "hook")
    examined = json.loads(desk.run("doctor", "--json").stdout)
    wrong = [one["what"] for one in examined if not one["ok"] and "lies on" not in one["what"]]
    assert all("fsync = off" in what for what in wrong)  # so the fixture runs it
    (told,) = desk.json("backup", "copy")["before_serving"]
    assert "PostgreSQL that the dump was restored into" in told
    assert (desk.folder / "copy" / "trunkline.dump").stat().st_size > 0
    assert desk.stop() == 0
    assert desk.run("query", "set", reference, "--state", "closed").returncode == 0
    assert desk.json("query", "show", reference)["query"]["state"] == "closed"
