"""What was typed wrongly is said with what is allowed, and as JSON where that was asked for."""

import io
import json

import pytest
from rich.console import Console

from hub.cli import output
from tests.cli.conftest import Desk


@pytest.mark.parametrize("command", [("query", "list"), ("user", "list"), ("parked", "list"), ("search", "x")])
@pytest.mark.parametrize("limit", ["0", "-1"])
def test_a_limit_below_one_is_wrong_usage(desk: Desk, command: tuple[str, ...], limit: str):
    done = desk.run(*command, f"--limit={limit}")
    assert done.returncode == 2
    assert "--limit" in done.stderr


def test_a_wrong_state_is_answered_with_all_that_there_are(desk: Desk):
    done = desk.run("query", "list", "--state", "foo")
    assert done.returncode == 2
    for state in ("active", "any", "new", "open", "pending", "on_hold", "resolved", "closed"):
        assert f'"{state}"' in done.stderr


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("query", "list", "--limit", "x"), 2),
        (("query", "list"), 5),
        (("plugins", "list", "emial"), 4),
        (("parked", "release"), 2),
        (("serve", "--config", "nowhere.toml"), 3),
    ],
)
def test_an_error_is_json_where_that_was_asked_for(desk: Desk, words: tuple[str, ...], code: int):
    done = desk.run(*words, "--json")
    assert done.returncode == code
    error = json.loads(done.stdout)["error"]
    assert error["code"] == code
    assert error["what"]


def test_a_misspelt_kind_gets_the_nearest_one(desk: Desk):
    assert "did you mean email?" in desk.run("plugins", "list", "emial").stderr


def test_every_kind_says_what_it_does(desk: Desk):
    for name, kind in desk.json("plugins", "list").items():
        assert len(kind["does"]) > 20, name
    assert "IMAP" in desk.json("plugins", "list", "email")["email"]["does"]


def test_a_long_subject_takes_one_line_of_a_table(monkeypatch: pytest.MonkeyPatch):
    shown = io.StringIO()
    monkeypatch.setattr(output, "out", Console(file=shown, width=80))
    output.table(("reference", "subject", "touched"), [("TL-4F7K2Q", "x" * 500, "2026-11-21 08:00")], wide="subject")
    lines = [line for line in shown.getvalue().splitlines() if "x" in line]
    assert len(lines) == 1
    assert "…" in lines[0]
    assert "TL-4F7K2Q" in lines[0]
    assert "2026-11-21 08:00" in lines[0]


TOO_LARGE = str(1 << 63)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """With a store that has nothing but one contact, and no hub."""
    made = Desk(tmp_path_factory.mktemp("desk"))
    assert made.run("record", "Ann <ann@acme.test>", "Badge").returncode == 0
    return made


@pytest.mark.parametrize(
    "words",
    [
        *((*command, "--limit") for command in (("query", "list"), ("user", "list"), ("parked", "list"))),
        ("user", "show", "ann@acme.test", "--limit"),
        ("search", "x", "--limit"),
        ("search", "x", "--before"),
        ("announce", "end"),
        ("query", "reply", "TL-4F7K2Q", "hello", "--to-message"),
    ],
)
@pytest.mark.parametrize("number", [TOO_LARGE, "9" * 23])
def test_a_number_that_no_store_holds_is_wrong_usage(desk: Desk, words: tuple[str, ...], number: str):
    done = desk.run(*words, number)
    assert done.returncode == 2, done.stderr
    assert "Must be <= " in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("parked", "show"), "is neither an id nor a receipt number"),
        (("parked", "release"), "is neither an id nor a receipt number"),
        (("reprocess",), "is neither an id nor a receipt number"),
        (("user", "show"), "nobody has the address"),
        (("explain",), "there is no message"),
    ],
)
def test_what_no_id_can_be_is_not_there(empty: Desk, words: tuple[str, ...], said: str):
    done = empty.run(*words, TOO_LARGE)
    assert (done.returncode, "Traceback" in done.stderr) == (4, False)
    assert said in done.stderr


def test_a_date_before_all_time_zones_is_wrong_usage(empty: Desk):
    done = empty.run("reprocess", "--since", "0001-01-01")
    assert done.returncode == 2
    assert done.stderr.startswith("--since 0001-01-01: expected a date")
