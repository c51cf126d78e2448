"""`--help` teaches, and is fast because it loads nothing."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hub.cli import COMMANDS, main
from tests.cli.conftest import ENVIRON, ROOT

HEAVY = {"sqlalchemy", "aiohttp", "hub.app", "hub.config", "context_store", "uvloop", "cryptography"}


def test_help_loads_neither_store_nor_hub():
    program = "import sys; from hub.cli import main; main(['--help']); print('LOADED', *sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], env=ENVIRON, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not HEAVY & set(done.stdout.partition("LOADED")[2].split())


def test_commands_run_in_interpreters_of_their_own(tmp_path: Path):
    """As people start them; all other tests fork theirs."""
    for words in (("init", "."), ("check", "--offline")):
        command = [sys.executable, "-m", "hub", *words]
        done = subprocess.run(command, env=ENVIRON, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("group", "name"), [row[:2] for row in COMMANDS])
def test_every_command_is_there_and_shows_an_example(group: str, name: str, capsys: pytest.CaptureFixture[str]):
    command = " ".join(part for part in ("trunkline", group, name) if part)
    main([part for part in (group, name, "--help") if part])
    shown = capsys.readouterr().out
    assert len(re.findall(rf"^{command}\b", shown, re.MULTILINE)) >= 1
    assert f"Usage: {command}" in shown


def test_the_table_says_what_the_docstrings_say():
    for _, _, where, text in COMMANDS:
        module, _, function = where.partition(":")
        documented = getattr(importlib.import_module(module), function).__doc__
        assert documented.startswith(text.rstrip(".")), where
