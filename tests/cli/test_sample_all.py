"""Every channel once: what vendors' stand-ins saw of the answers, and what is left behind."""

import json
import tempfile
from pathlib import Path

from plugins.testing.standins import kinds
from tests.cli.conftest import Desk


def test_every_channel_brings_a_query_and_takes_an_answer(desk: Desk):
    room = Path(tempfile.mkdtemp(prefix="all-"))  # short: a socket's path has 107 bytes
    desk.environ["TMPDIR"] = str(room)
    done = desk.run("sample", "--all", "--json")
    assert done.returncode == 0, done.stderr
    said = {each["instance"]: each for each in json.loads(done.stdout)}
    vendors = {kind.replace("_", "-") for kind in kinds()}
    assert set(said) == vendors | {"chat", "portal", "hook", "desk", "mail"}
    for name in vendors:
        assert said[name]["reference"].startswith("TL-")
        assert said[name]["outcome"] == "done"
        assert said[name]["seen"].startswith("seen by ")
    assert said["chat"]["seen"] == "seen in the window"
    assert list(room.iterdir()) == []
    room.rmdir()
