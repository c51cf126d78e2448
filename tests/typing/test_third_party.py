import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from plugins import Envelope, Event
from plugins.fit import roles
from plugins.manager import discover
from plugins.testing.conformance import ConnectorConformance
from plugins.testing.stubs import START

HERE = Path(__file__).parent / "acme"
ROOT = HERE.parents[2]
PLUGINS = discover([], entry_points=False, folders=[HERE])


class TestBoard(ConnectorConformance):
    cls = PLUGINS.connectors["acme_board"]
    table = {"url": "https://board.acme.test", "token": "env:BOARD_TOKEN"}

    def envelopes(self):
        raw = b'{"id": "7", "by": "ann", "text": "caf\xc3\xa9", "at": "2026-11-21T12:00:00Z"}'
        return [Envelope(key="7", raw=raw, at=START, lane="ann")]


def test_third_party_connector_is_found_in_a_folder():
    assert {"acme_board"} == set(PLUGINS.connectors)
    assert roles(PLUGINS.connectors["acme_board"]) == {"runner", "sender", "checkable"}


def test_third_party_observer_sees_sealed_events():
    PLUGINS.observe(Event(seq=3, kind="x", at=datetime.now(UTC), subject="1"))
    assert sys.modules["trunkline_local_acme_board"].SEALED == [3]


def mypy(file, cwd):
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--config-file=", str(file)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_contract_is_typed_for_third_parties():
    run = mypy(HERE / "acme_board.py", ROOT)
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("def parse(self, envelope: Envelope)", "def parse(self, envelope: str)"),
        ("async def run(self, hub: HubPort) -> None", "async def run(self) -> None"),
        ("once: ClassVar[bool] = True", "often: ClassVar[bool] = True"),
        ('channel: ClassVar[Channel] = "social"', 'channel: ClassVar[str] = "social"'),
    ],
)
def test_mypy_finds_a_class_that_does_not_fit(tmp_path, right, wrong):
    text = (HERE / "acme_board.py").read_text()
    assert right in text
    (tmp_path / "acme_wrong.py").write_text(text.replace(right, wrong))
    run = mypy(tmp_path / "acme_wrong.py", ROOT)
    assert run.returncode == 1, run.stdout
