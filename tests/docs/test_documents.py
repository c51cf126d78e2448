"""Documents are held against the code: what they name is there, and what is there they name."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from hub import __version__
from hub.cli import COMMANDS
from hub.cli.plugins import reference
from hub.config import builtin_modules
from plugins.manager import discover

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
COMMAND_LINES = {" ".join(part for part in ("trunkline", group, name) if part) for group, name, *_ in COMMANDS}


def fenced(document: Path, kind: str) -> list[str]:
    """The lines of all fenced blocks of a kind."""
    return [
        line
        for block in re.findall(rf"^```{kind}\n(.*?)^```", document.read_text(), re.MULTILINE | re.DOTALL)
        for line in block.splitlines()
    ]


def test_the_configuration_reference_is_what_the_settings_say():
    written = (ROOT / "docs" / "configuration.md").read_text()
    assert written == reference(discover(builtin_modules(), entry_points=False)), (
        "run: python -m hub plugins list --markdown > docs/configuration.md"
    )


def test_operation_names_every_command():
    text = (ROOT / "docs" / "operation.md").read_text()
    assert {command for command in COMMAND_LINES if f"`{command}`" not in text} == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_in_a_document_exists(document: Path):
    used = {
        match.group(1)
        for line in fenced(document, "console")
        for match in re.finditer(
            r"(?:^|/| )trunkline ((?:query|user|parked|rules|plugins|agent|announce) [a-z-]+|[a-z]+)\b", line
        )
        if line.startswith("$") and f"--{match.group(1)}" not in line
    }
    assert {words for words in used if f"trunkline {words}" not in COMMAND_LINES} == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_make_target_in_a_document_exists(document: Path):
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    used = {m for line in fenced(document, "console") for m in re.findall(r"^\$ make ([a-z]+)", line)}
    assert used <= targets


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_inside_the_repository_leads_somewhere(document: Path):
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_the_readme_says_the_two_commands_on_its_first_screen():
    screen = "\n".join((ROOT / "README.md").read_text().splitlines()[:25])
    assert "make run" in screen
    assert "make test" in screen


def test_the_architecture_names_every_promise_and_every_table():
    text = (ROOT / "docs" / "architecture.md").read_text()
    assert [f"R{n}" for n in range(1, 17) if f"| R{n} |" not in text] == []
    tables = re.findall(r'= Table\(\n    "([a-z_]+)"', (ROOT / "context_store" / "tables.py").read_text())
    assert tables
    assert [name for name in tables if f"`{name}`" not in text] == []


def test_paths_in_the_architecture_exist():
    text = (ROOT / "docs" / "architecture.md").read_text()
    rooms = "hub|plugins|connectors|context_store|routing"
    paths = set(re.findall(rf"`((?:{rooms})/[a-z_/]*(?:\.py)?)`", text))
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("name", ["plugins.toml", "rules.toml"])
def test_init_writes_what_the_repository_runs_with(name: str):
    assert (ROOT / "hub" / "cli" / "templates" / name).read_bytes() == (ROOT / name).read_bytes()


def test_the_version_is_the_same_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == __version__


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock", "requirements-build.lock"])
def test_lock_files_pin_by_hash_and_name_no_host(name: str):
    text = (ROOT / name).read_text()
    assert "://" not in text
    pins = re.split(r"\n(?=[A-Za-z0-9])", text)
    assert [pin.split()[0] for pin in pins if "--hash=sha256:" not in pin] == []


def test_no_committed_file_names_a_path_of_this_machine():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    places = [str(place).encode() + b"/" for place in (ROOT, Path.home()) if len(place.parts) > 1]
    found = [
        name
        for name in filter(None, listed.decode().split("\0"))
        if (ROOT / name).is_file() and any(place in (ROOT / name).read_bytes() for place in places)
    ]
    assert found == []


def test_the_makefile_explains_every_target():
    lines = (ROOT / "Makefile").read_text().splitlines()
    assert [line for line in lines if re.match(r"^[a-z]+:", line) and "## " not in line] == []


def test_every_dependency_is_locked():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    names = {
        "requirements.lock": project["project"]["dependencies"],
        "requirements-dev.lock": project["dependency-groups"]["dev"],
    }
    for file, wanted in names.items():
        pinned = set(re.findall(r"^([a-z0-9-]+)(?:\[[a-z,]+\])?==", (ROOT / file).read_text(), re.MULTILINE))
        assert {re.split(r"[\[<>=;, ]", each.lower())[0] for each in wanted} - pinned == set(), "run: make lock"
