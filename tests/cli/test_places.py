"""What stands in the way of a start is named by `check` and `doctor` before, and by `serve`, without a trace."""

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from hub.cli.common import AWAY, UNWELL
from tests.cli.conftest import Desk


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
