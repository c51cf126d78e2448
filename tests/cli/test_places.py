"""What stands in the way of a start is named by `check` and `doctor` before, and by `serve`, without a trace."""

import json
import os
import sqlite3
import subprocess
import sys
from base64 import b64encode
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from hub.cli.common import AWAY, UNWELL
from tests.cli.conftest import Desk

ROOT = Path(__file__).resolve().parents[2]


def wrong(desk: Desk, about: Path, *words: str) -> list[Any]:
    """What this command finds wrong that names this path."""
    done = desk.run(*words, "--json")
    assert done.returncode == UNWELL, done.stderr
    return [one for one in json.loads(done.stdout) if not one["ok"] and str(about) in one["what"]]


@pytest.mark.parametrize("name", ["signing.key", "vault.key"])
@pytest.mark.parametrize("text", ["", "garbage!\n", b64encode(b"short").decode()])
def test_key_file_without_keys_is_named_and_nothing_starts_with_it(desk: Desk, name: str, text: str):
    path = desk.folder / "var" / name
    path.touch(0o600)
    path.write_text(text)
    (checked,), (examined,) = wrong(desk, path, "check", "--offline"), wrong(desk, path, "doctor")
    assert checked["where"] == "hub.data"
    for one in (checked, examined):
        assert one["what"].startswith(f"{path}: not a key file (")
        assert one["fix"] == "restore it from a backup"
    done = desk.run("serve")
    assert done.returncode == AWAY
    assert f"{path}: not a key file (" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("setting", "key", "words"),
    [
        ('data = "rules.toml"', "hub.data", "{}/rules.toml is not a folder"),
        ('data = "rules.toml/deeper"', "hub.data", "{}/rules.toml is not a folder"),
        ('data = "nowhere"', "hub.data", "{}/nowhere is not a folder"),
        ('data = "/proc/x"', "hub.data", "no file can be made in /proc: "),
        ('blobs = "rules.toml"', "hub.blobs", "{}/rules.toml is not a folder"),
        ('store = "sqlite:///rules.toml/x.db"', "hub.store", "{}/rules.toml is not a folder"),
        ('store = "sqlite:///var"', "hub.store", "{}/var is a folder, not a database"),
    ],
)
def test_place_where_nothing_can_be_written_is_named_by_its_setting(desk: Desk, setting: str, key: str, words: str):
    file = desk.folder / "plugins.toml"
    file.write_text(file.read_text().replace("[hub]", f"[hub]\n{setting}", 1))
    (desk.folder / "nowhere").symlink_to("gone")
    words = words.format(desk.folder)
    checked = desk.run("check", "--offline", "--json")
    (one,) = [one for one in json.loads(checked.stdout) if not one["ok"]]
    assert (checked.returncode, one["where"]) == (UNWELL, key)
    assert one["what"].startswith(words)
    assert key in one["fix"]
    (examined,) = [one for one in json.loads(desk.run("doctor", "--json").stdout) if not one["ok"]]
    assert examined["what"].startswith(words)
    done = desk.run("serve")
    assert done.returncode == AWAY
    assert f"{key}: {words}" in done.stderr
    assert "Traceback" not in done.stderr


def test_check_makes_no_folder_that_is_not_there_yet(desk: Desk):
    file = desk.folder / "plugins.toml"
    file.write_text(file.read_text().replace("[hub]", '[hub]\ndata = "new/deep"', 1))
    before = sorted(desk.folder.rglob("*"))
    desk.run("check", "--offline")
    assert sorted(desk.folder.rglob("*")) == before


def bound_by_modes(desk: Desk, *words: str) -> subprocess.CompletedProcess[str]:
    """As `Desk.run`, but root, too, may write only what its mode allows."""
    bound = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    command = [*bound, sys.executable, "-m", "hub", *words]
    environ = desk.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=desk.folder, env=environ, capture_output=True, text=True, check=False)


def test_database_that_can_only_be_read_is_named(desk: Desk):
    desk.serve()
    assert desk.stop() == 0
    database = desk.folder / "var" / "trunkline.db"
    database.chmod(0o400)
    for words in (["check", "--offline"], ["doctor"]):
        found = json.loads(bound_by_modes(desk, *words, "--json").stdout)
        assert f"{database} can't be read and written" in [one["what"] for one in found if not one["ok"]]
    assert f"hub.store: {database} can't be read and written" in bound_by_modes(desk, "serve").stderr


def test_check_looks_at_the_database_that_is_set(desk: Desk):
    file = desk.folder / "plugins.toml"
    file.write_text(file.read_text().replace("[hub]", '[hub]\nstore = "sqlite:///own/x.db"', 1))
    assert "not there yet" in desk.run("check", "--offline").stdout
    own = desk.folder / "own" / "x.db"
    own.parent.mkdir()
    own.write_text("this is text, and no database at all" * 40)
    own.chmod(0o600)
    (one,) = wrong(desk, own, "check", "--offline")
    assert one["what"] == f"the store at {own} can't be read: file is not a database"
    assert one["fix"] == "correct hub.store, or restore a backup"


@pytest.mark.parametrize(("oldest", "usable"), [("1", True), ("9999", False)])
def test_schema_of_a_newer_release_is_judged_as_serve_judges_it(desk: Desk, oldest: str, usable: bool):
    desk.serve()
    assert desk.stop() == 0
    with closing(sqlite3.connect(desk.folder / "var" / "trunkline.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.execute("UPDATE meta SET value = ? WHERE key = 'min_reader'", (oldest,))
    for words in (["check", "--offline", "--json"], ["doctor", "--json"]):
        (one,) = [one for one in json.loads(desk.run(*words).stdout) if "schema 9999" in one["what"]]
        assert one["ok"] is usable
        assert one["fix"] == ("" if usable else "install that release, or restore a backup made before the upgrade")
    if usable:
        desk.serve()
    else:
        assert "written by a newer release (schema 9999" in desk.run("serve").stderr
