"""Messages, password hashes and keys are their owner's alone, whatever umask and folders were there before."""

import json
import stat
from pathlib import Path

import pytest

from tests.cli.conftest import Desk


def open_to_others(folder: Path) -> list[str]:
    return [str(path) for path in [folder, *folder.rglob("*")] if stat.S_IMODE(path.stat().st_mode) & 0o077]


def test_init_makes_the_data_folder_its_owners_alone(desk: Desk):
    assert open_to_others(desk.folder / "var") == []


def test_serve_makes_nothing_that_others_can_read(desk: Desk):
    desk.serve()
    assert desk.stop() == 0
    assert (desk.folder / "var" / "trunkline.db").exists()
    assert open_to_others(desk.folder / "var") == []


@pytest.mark.parametrize("there", [False, True])
def test_a_backup_is_readable_by_its_owner_alone(desk: Desk, there: bool):
    desk.serve()
    assert desk.stop() == 0
    (desk.folder / "var" / "signing.key").chmod(0o644)
    copy = desk.folder / "copy"
    if there:
        copy.mkdir(mode=0o755)
    assert desk.run("backup", "copy").returncode == 0
    assert (copy / "var" / "trunkline.db").exists()
    assert open_to_others(copy) == ([str(copy)] if there else [])


def test_check_and_doctor_name_what_others_can_read_and_the_mend(desk: Desk):
    data = desk.folder / "var"
    data.chmod(0o755)
    (data / "made" / "hook").parent.chmod(0o755)
    for command in ("check", "doctor"):
        found = json.loads(desk.run(command, "--json").stdout)
        (wrong,) = [one for one in found if "others can read" in one["what"]]
        assert not wrong["ok"]
        assert wrong["fix"] == f"`chmod -R go= {data}`"


def test_a_password_in_a_readable_configuration_is_named(desk: Desk):
    file = desk.folder / "plugins.toml"
    file.write_text(file.read_text().replace("[hub]", '[hub]\nstore = "postgresql+psycopg://a:b@127.0.0.1:1/x"', 1))
    (wrong,) = [one for one in json.loads(desk.run("check", "--json").stdout) if "others can read" in one["what"]]
    assert "plugins.toml" in wrong["what"]
