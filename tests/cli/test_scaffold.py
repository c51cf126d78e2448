"""`trunkline plugins new`: what it writes passes at once, and the hub takes it."""

import subprocess
import sys
from pathlib import Path

import pytest

from hub.cli import main
from hub.config import load_config
from tests.cli.conftest import ENVIRON


@pytest.fixture
def written(tmp_path: Path) -> Path:
    assert main(["plugins", "new", "acme_chat", "--folder", str(tmp_path)]) == 0
    return tmp_path / "acme_chat"


def test_new_connector_passes_the_kit_at_once(written: Path):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    run = subprocess.run(command, cwd=written, env=ENVIRON, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    card = [line for line in run.stdout.splitlines() if line.startswith(("acme_chat: ", "  declared "))]
    page = (Path(__file__).parents[2] / "docs" / "write-a-connector.md").read_text()
    assert "\n".join(["```", *card, "```"]) in page, "the page shows the card as it comes"


def test_new_connector_is_clean_by_the_house_rules(written: Path):
    root = Path(__file__).parents[2]
    for words in (["ruff", "check", "--ignore", "I001"], ["ruff", "format", "--check"]):
        command = [sys.executable, "-m", *words, "--config", str(root / "pyproject.toml"), "__init__.py"]
        run = subprocess.run(command, cwd=written, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout


def test_hub_takes_what_the_new_page_shows(written: Path):
    page = (written / "README.md").read_text()
    snippet = page.partition("```toml\n")[2].partition("```")[0]
    file = written.parent / "plugins.toml"
    file.write_text(snippet + '[instance.querylog]\nkind = "querylog"\n')
    config = load_config(file, {}, reveal=False)
    assert {one.id: one.broken for one in config.instances}["acme-chat"] is None


@pytest.mark.parametrize("name", ["Acme", "acme-chat", "1acme", "a" * 33, "../acme", "acme__chat"])
def test_name_that_is_no_kind_is_refused(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["plugins", "new", name, "--folder", str(tmp_path)]) == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["email", "querylog"])
def test_kind_that_comes_with_the_hub_is_refused(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["plugins", "new", name, "--folder", str(tmp_path)]) == 2
    assert f"{name} is a kind that comes with the hub" in " ".join(capsys.readouterr().err.split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["class", "in", "none", "json", "abc", "pytest", "plugins", "stand_in", "message"])
def test_name_that_means_something_else_to_python_is_refused(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["plugins", "new", name, "--folder", str(tmp_path)]) == 2
    assert f"{name} can't be imported as a module of yours" in " ".join(capsys.readouterr().err.split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["tests", "stand_in"])
def test_name_of_what_a_connector_has_of_its_own_is_refused(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["plugins", "new", name, "--folder", str(tmp_path)]) == 2
    assert "what it is made of has something that is called so" in " ".join(capsys.readouterr().err.split())
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_not_touched(written: Path, capsys: pytest.CaptureFixture[str]):
    (written / "__init__.py").write_text("mine")
    assert main(["plugins", "new", "acme_chat", "--folder", str(written.parent)]) == 1
    assert (written / "__init__.py").read_text() == "mine"
