"""A backup is whole wherever things lie, and what is restored from it never works on the original."""

import json
import os
import tomllib
from pathlib import Path
from typing import Any

import pytest

from hub.cli.backup_plan import Plan, rewritten
from hub.config import load_place
from tests.cli.conftest import Desk

LARGE = os.urandom(300_000)  # more than a row holds (`INLINE`)
PLUGIN = """
from msgspec import Struct
from plugins import hookimpl

@hookimpl
def observe_event(event):
    pass
"""


def configure(desk: Desk, hub: str, more: str = "") -> None:
    file = desk.folder / "plugins.toml"
    file.write_text(file.read_text().replace("[hub]", f"[hub]\n{hub}", 1) + more)


def away(desk: Desk, elsewhere: Path, hub: str = "") -> None:
    """Everything that can lie elsewhere does, as an administrator moves it."""
    (desk.folder / "var").rename(elsewhere / "data")
    file = desk.folder / "plugins.toml"
    file.write_text(file.read_text().replace("file:var/", f"file:{elsewhere}/data/"))
    configure(desk, f'data = "{elsewhere}/data"\n{hub}')


def with_a_large_file(desk: Desk) -> str:
    """The reference of a query that has one; the desk is served."""
    desk.serve()
    reference = next(str(each["reference"]) for each in desk.json("sample") if each["instance"] == "mail")
    (desk.folder / "large.bin").write_bytes(LARGE)
    sent = desk.run("query", "reply", reference, "Attached.", "--yes", "--attach", "large.bin")
    assert sent.returncode == 0, sent.stderr
    return reference


def restored(desk: Desk, copy: Path, *originals: Path) -> None:
    """The hub is stopped, the originals are gone, and the desk is the copy."""
    assert desk.stop() == 0
    for original in originals:
        original.rename(original.with_name(original.name + ".gone"))
    desk.folder = copy


def ailing(desk: Desk) -> list[str]:
    """What doctor finds wrong, but for the disk of the test."""
    examined = json.loads(desk.run("doctor", "--json").stdout)
    return [one["what"] for one in examined if not one["ok"] and "lies on" not in one["what"]]


def planned(tmp_path: Path, hub: str, *, more: str = "") -> Plan:
    file = tmp_path / "desk" / "plugins.toml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"[hub]\n{hub}\n{more}")
    return Plan(file, load_place(file, {}), tmp_path / "backup")


def laid(*files: Path) -> None:
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(str(file))


@pytest.fixture
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("elsewhere")


@pytest.fixture
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("copies") / "copy"


def test_large_files_that_lie_elsewhere_are_restored(desk: Desk, elsewhere: Path, copy: Path):
    configure(desk, f'blobs = "{elsewhere}/large"')
    with_a_large_file(desk)
    assert desk.run("backup", str(copy)).returncode == 0
    restored(desk, copy, elsewhere / "large", desk.folder)
    assert LARGE in [file.read_bytes() for file in (copy / "var" / "blobs").rglob("*") if file.is_file()]
    assert ailing(desk) == []


def test_a_desk_whose_data_store_and_large_files_lie_elsewhere_is_served_from_its_backup(
    desk: Desk, elsewhere: Path, copy: Path
):
    for name in ("store", "large"):
        (elsewhere / name).mkdir()
    away(desk, elsewhere, f'store = "sqlite:///{elsewhere}/store/desk.db"\nblobs = "{elsewhere}/large"')
    reference = with_a_large_file(desk)
    before = desk.json("query", "show", reference)["messages"]
    assert desk.json("backup", str(copy))["outside"] == {}
    restored(desk, copy, elsewhere, desk.folder)
    assert str(elsewhere) not in (copy / "plugins.toml").read_text()
    assert (copy / "var" / "trunkline.db").exists()
    assert ailing(desk) == []
    desk.serve()
    assert desk.json("query", "show", reference)["messages"] == before
    assert not elsewhere.exists()


def test_what_the_configuration_names_is_in_the_backup(desk: Desk, elsewhere: Path, copy: Path):
    laid(desk.folder / "texts" / "ack.en.md", desk.folder / "help" / "vpn" / "reset.en.md", elsewhere / "secret")
    laid(desk.folder / "secrets" / "hook", desk.folder / "own" / "words" / "list.txt")
    for secret in (desk.folder / "secrets" / "hook", elsewhere / "secret"):
        secret.write_bytes((desk.folder / "var" / "made" / "hook").read_bytes())
        secret.chmod(0o600)
    (desk.folder / "own" / "watcher.py").write_text(PLUGIN)
    (desk.folder / "candidate.toml").write_bytes((desk.folder / "rules.toml").read_bytes())
    triage = '\n[hub.triage]\nshadow = "candidate.toml"\ntemplates = "texts"\narticles = "help"\n'
    hook = (
        f'[instance.more]\nkind = "webhook"\nsecrets = ["file:{desk.folder}/secrets/hook", "file:{elsewhere}/secret"]\n'
    )
    configure(desk, "", f'{triage}\n[plugins]\nfolders = ["own"]\n\n{hook}')
    desk.serve()
    told = desk.json("backup", str(copy))
    assert told["outside"] == {"instance.more.secrets[1]": f"{elsewhere}/secret"}
    restored(desk, copy, desk.folder)
    for name in ("texts/ack.en.md", "help/vpn/reset.en.md", "own/words/list.txt", "candidate.toml", "secrets/hook"):
        assert (copy / name).is_file(), name
    checked = desk.run("check", "--json")
    assert [one["what"] for one in json.loads(checked.stdout) if not one["ok"]] == []
    desk.serve()


def test_what_is_not_copied_is_named_and_no_failure(desk: Desk, elsewhere: Path, copy: Path):
    laid(elsewhere / "texts" / "ack.en.md")
    configure(desk, f'triage.templates = "{elsewhere}/texts"')
    desk.serve()
    done = desk.run("backup", str(copy))
    assert done.returncode == 0
    assert f"Not copied, it lies elsewhere: {elsewhere}/texts (hub.triage.templates)" in done.stdout


def test_large_files_that_are_not_there_make_the_backup_a_failure(desk: Desk, elsewhere: Path, copy: Path):
    configure(desk, f'blobs = "{elsewhere}/large"')
    with_a_large_file(desk)
    assert desk.stop() == 0
    (elsewhere / "large").rename(elsewhere / "unmounted")
    done = desk.run("backup", str(copy))
    assert done.returncode == 1
    assert "1 large files are missing" in done.stderr
    assert (copy / "var" / "trunkline.db").exists()


def test_a_store_of_the_environment_is_written_into_the_copy_and_its_variable_named(
    desk: Desk, elsewhere: Path, copy: Path
):
    desk.environ["TRUNKLINE_STORE"] = f"sqlite:///{elsewhere}/desk.db"
    desk.serve()
    told = desk.json("backup", str(copy))
    assert told["settings"] == {"hub.store": "sqlite:///var/trunkline.db"}
    assert told["before_serving"] == ["unset TRUNKLINE_STORE, which wins over the copied configuration"]
    del desk.environ["TRUNKLINE_STORE"]
    restored(desk, copy, elsewhere)
    assert ailing(desk) == []


@pytest.mark.parametrize("target", ["plugins.toml", "plugins.toml/copy"])
def test_a_file_is_no_place_for_a_backup(desk: Desk, target: str):
    done = desk.run("backup", target)
    assert done.returncode == 1
    assert "plugins.toml" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_desk_without_data_has_no_backup(desk: Desk, copy: Path):
    configure(desk, 'data = "none"')
    done = desk.run("backup", str(copy))
    assert done.returncode == 1
    assert "there is no data" in done.stderr


def test_files_of_one_name_from_two_places_both_keep_theirs(tmp_path: Path):
    own, other = tmp_path / "desk" / "var" / "made" / "hook", tmp_path / "data" / "made" / "hook"
    laid(own, other, tmp_path / "data" / "x" / "hook")
    plan = planned(tmp_path, 'data = "../data"', more='[instance.hook]\nsecrets = ["file:var/made/hook"]')
    files = plan.files()
    assert files[Path("var/made/hook")] == own
    assert files[Path("1-var/made/hook")].samefile(other)
    assert set(files) == {Path("var/made/hook"), Path("1-var/made/hook"), Path("1-var/x/hook")}
    assert plan.settings == {("hub", "data"): "1-var"}


def test_a_store_elsewhere_goes_before_one_that_no_setting_names(tmp_path: Path):
    laid(tmp_path / "desk" / "var" / "trunkline.db", tmp_path / "fast" / "desk.db")
    plan = planned(tmp_path, f'store = "sqlite:///{tmp_path}/fast/desk.db"')
    assert plan.target == Path("var/trunkline.db")
    assert plan.files() == {}


def test_the_database_is_never_copied_as_a_file(tmp_path: Path):
    laid(tmp_path / "desk" / "var" / "desk.db", tmp_path / "desk" / "var" / "desk.db-wal")
    plan = planned(tmp_path, 'store = "sqlite:///var/../var/desk.db"')
    assert (plan.target, plan.files()) == (Path("var/desk.db"), {})


def test_large_files_behind_a_link_are_copied(tmp_path: Path):
    laid(tmp_path / "large" / "9f" / "16d6", tmp_path / "desk" / "var" / "signing.key")
    (tmp_path / "desk" / "var" / "blobs").symlink_to(tmp_path / "large")
    assert set(planned(tmp_path, "").files()) == {Path("var/blobs/9f/16d6"), Path("var/signing.key")}


def test_links_that_lead_back_are_followed_once(tmp_path: Path):
    data = tmp_path / "desk" / "var"
    laid(data / "signing.key", data / "deep" / "file")
    for link in (data / "a", data / "deep" / "b"):
        link.symlink_to(data)
    assert set(planned(tmp_path, "").files()) == {Path("var/signing.key"), Path("var/deep/file")}


def test_a_backup_holds_no_older_one(tmp_path: Path):
    data = tmp_path / "desk" / "var"
    laid(data / "signing.key", data / "old" / "plugins.toml", data / "old" / "var" / "signing.key")
    assert set(planned(tmp_path, "").files()) == {Path("var/signing.key")}


def test_rules_that_lie_elsewhere_are_copied(tmp_path: Path):
    laid(tmp_path / "rules" / "plugins.toml", tmp_path / "desk" / "var" / "signing.key")
    plan = planned(tmp_path, 'rules = "../rules/plugins.toml"')
    assert plan.files()[Path("1-plugins.toml")] == tmp_path / "rules" / "plugins.toml"
    assert plan.settings == {("hub", "rules"): "1-plugins.toml"}


def test_certificates_are_copied_and_what_lies_elsewhere_is_found_from_anywhere(tmp_path: Path):
    laid(tmp_path / "desk" / "tls" / "key.pem", tmp_path / "tls" / "chain.pem", tmp_path / "desk" / "var" / "x")
    listen = '[instance.mail.listen]\nkey_file = "tls/key.pem"\ncert_file = "../tls/chain.pem"'
    plan = planned(tmp_path, "", more=listen)
    assert set(plan.files()) == {Path("tls/key.pem"), Path("var/x")}
    assert plan.outside == {"instance.mail.listen.cert_file": tmp_path / "tls" / "chain.pem"}
    assert plan.settings == {("instance", "mail", "listen", "cert_file"): f"{tmp_path}/tls/chain.pem"}


@pytest.mark.parametrize(
    "source",
    [
        'hub.data = "/x"   # ours\n',
        '[hub] # ours\ndata = "/x"\n[instance.a]\nkind = "x"\n[hub.triage]\nclassifier = true\n',
        '[instance.a] # ours\r\nkind = "x"\r\n',
        'hub = { data = "/x" } # ours\n',
    ],
)
def test_a_configuration_is_rewritten_in_place(source: str):
    made = rewritten(source.encode(), {("hub", "data"): "var", ("hub", "store"): "sqlite:///var/a.db"}).decode()
    document: dict[str, Any] = tomllib.loads(made)
    assert document["hub"]["data"] == "var"
    assert document["hub"]["store"] == "sqlite:///var/a.db"
    assert "# ours" in made
    assert document.get("instance") == tomllib.loads(source).get("instance")
