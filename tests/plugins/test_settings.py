import copy
import json
import pickle
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Meta, Struct

from plugins.model import Secret
from plugins.settings import describe_settings, load_settings


class Server(Struct, frozen=True, kw_only=True):
    host: Annotated[str, Meta(description="Name of the mail server.", min_length=1)]
    port: Annotated[int, Meta(ge=1, le=65535, description="TCP port.")] = 993


class Folder(Struct, frozen=True, kw_only=True):
    name: Annotated[str, Meta(description="Folder name.")]


class Mailbox(Struct, frozen=True, kw_only=True):
    server: Annotated[Server, Meta(description="Where it is.")]
    password: Annotated[Secret, Meta(description="Of the account.")]
    keys: Annotated[tuple[Secret, ...], Meta(description="Signing keys.", max_length=2)] = ()
    folders: Annotated[tuple[Folder, ...], Meta(description="What to read.")] = ()
    mode: Annotated[Literal["idle", "poll"], Meta(description="How.")] = "idle"
    wait: Annotated[float | None, Meta(description="Seconds.")] = None
    labels: Annotated[tuple[str, ...], Meta(description="Words.")] = ()

    def __post_init__(self) -> None:
        if self.mode == "poll" and self.wait is None:
            raise ValueError('mode "poll" needs wait')


GOOD = {"server": {"host": "mail.acme.test"}, "password": "env:PASSWORD"}


def load(table, *, environ=None, base=Path("/nonexistent"), reveal=True):
    environ = {"PASSWORD": "canary-1"} if environ is None else environ
    return load_settings(
        table, Mailbox, file="plugins.toml", key="instance.mail", environ=environ, base=base, reveal=reveal
    )


def only(table, **kwargs):
    settings, problems = load(table, **kwargs)
    assert settings is None
    assert len(problems) == 1, problems
    return problems[0]


def test_good_table_becomes_typed_settings():
    settings, problems = load({**GOOD, "wait": 3, "folders": [{"name": "INBOX"}], "labels": ["a"]})
    assert problems == []
    assert settings.server == Server(host="mail.acme.test", port=993)
    assert (settings.wait, settings.folders, settings.labels) == (3.0, (Folder(name="INBOX"),), ("a",))
    assert settings.password.reveal() == "canary-1"


def test_all_problems_of_a_table_are_named_at_once_with_their_path():
    settings, problems = load({
        "server": {"port": 70000, "hots": "x"},
        "pasword": "env:PASSWORD",
        "folders": [{"name": "INBOX"}, {"name": 5}, "x"],
        "mode": "pol",
        "wait": "soon",
        "labels": ["a", 5],
        "keys": ["env:ABSENT", "env:PASSWORD", "env:ABSENT"],
    })
    assert settings is None
    assert [problem.key for problem in problems] == [
        "instance.mail.pasword",
        "instance.mail.server.hots",
        "instance.mail.server.host",
        "instance.mail.server.port",
        "instance.mail.password",
        "instance.mail.keys",
        "instance.mail.folders[1].name",
        "instance.mail.folders[2]",
        "instance.mail.mode",
        "instance.mail.wait",
        "instance.mail.labels[1]",
    ]
    assert {problem.file for problem in problems} == {"plugins.toml"}


def test_unknown_key_names_the_nearest_and_all_allowed_ones():
    problem = only({**GOOD, "moode": "idle"})
    assert problem.what == "unknown key"
    assert problem.fix == ("did you mean mode? allowed: server, password, keys, folders, mode, wait, labels")


def test_out_of_range_number_says_what_is_allowed():
    problem = only({**GOOD, "server": {"host": "h", "port": 70000}})
    assert problem.what == "expected a whole number from 1 to 65535, got 70000"


@pytest.mark.parametrize("number", [float("inf"), float("-inf"), float("nan"), 1e300, 1 << 63, -(1 << 63)])
@pytest.mark.parametrize(
    ("name", "held"), [("wait", lambda n: n), ("pauses", lambda n: [1.5, n]), ("pace", lambda n: {"a": n})]
)
def test_number_that_no_clock_or_database_takes_is_refused_wherever_it_stands(number, name, held):
    class Timed(Struct, frozen=True, kw_only=True):
        wait: float | int | None = None
        pauses: tuple[float, ...] = ()
        pace: dict[str, float] = {}

    _, (problem,) = load_settings({name: held(number)}, Timed, file="x.toml", key="x", environ={}, base=Path("/none"))
    assert problem.key == {"wait": "x.wait", "pauses": "x.pauses[1]", "pace": "x.pace.a"}[name]
    assert "number" in problem.what
    assert "2^63" in problem.fix


def test_wrong_word_of_a_choice_names_the_nearest():
    problem = only({**GOOD, "mode": "pol"})
    assert problem.what == 'expected one of "idle", "poll", got text'
    assert problem.fix == "did you mean poll?"


def test_true_is_not_a_number():
    assert only({**GOOD, "server": {"host": "h", "port": True}}).what.endswith("got true or false")


def test_a_check_over_several_fields_is_a_problem_of_the_table():
    problem = only({**GOOD, "mode": "poll"})
    assert (problem.key, problem.what) == ("instance.mail", 'mode "poll" needs wait')


def test_missing_environment_variable_is_named():
    problem = only(GOOD, environ={})
    assert problem.what == "the environment variable PASSWORD is not set or empty"


@pytest.mark.parametrize("value", ["canary-literal", "", "env:", "http://canary-literal", 5, ["canary-literal"]])
def test_a_literal_secret_is_refused_and_not_repeated(value):
    problem = only({**GOOD, "password": value})
    assert 'env:NAME" or "file:path"' in problem.what
    assert "canary" not in str(problem)


def test_secret_from_a_file_loses_its_trailing_newline(tmp_path):
    (tmp_path / "pw").write_text("canary-2\n")
    (tmp_path / "pw").chmod(0o600)
    settings, _ = load({**GOOD, "password": "file:pw"}, base=tmp_path)
    assert settings.password.reveal() == "canary-2"


def test_secret_file_that_everybody_reads_is_refused(tmp_path):
    (tmp_path / "pw").write_text("canary-2\n")
    (tmp_path / "pw").chmod(0o644)
    problem = only({**GOOD, "password": "file:pw"}, base=tmp_path)
    assert "can be read by everybody" in problem.what
    assert "canary" not in str(problem)


@pytest.mark.parametrize(
    ("content", "words"), [(b"", "not set or empty"), (b"\xff", "not UTF-8"), (b"x" * 70000, "longer")]
)
def test_unusable_secret_file_is_a_problem(tmp_path, content, words):
    (tmp_path / "pw").write_bytes(content)
    (tmp_path / "pw").chmod(0o600)
    assert words in only({**GOOD, "password": "file:pw"}, base=tmp_path).what


@pytest.mark.parametrize(
    ("name", "words"),
    [("absent", "can't be read"), (".", "is not a plain file"), ("a\0b", r"a\x00b' is no name of a file")],
)
def test_secret_file_that_is_no_file_is_a_problem(tmp_path, name, words):
    assert words in only({**GOOD, "password": f"file:{name}"}, base=tmp_path).what


def test_without_reveal_secrets_are_blank_and_no_source_is_read():
    settings, problems = load({**GOOD, "keys": ["file:absent"]}, environ={}, reveal=False)
    assert problems == []
    assert settings.password.reveal() == ""
    assert [key.reveal() for key in settings.keys] == [""]


def test_secret_shows_itself_nowhere():
    settings, _ = load(GOOD)
    assert "canary" not in f"{settings} {settings!r} {settings.password} {settings.password!r} {[settings.password]}"
    with pytest.raises(TypeError):
        msgspec.json.encode(settings)
    with pytest.raises(TypeError):
        json.dumps(settings.password)


def test_pickled_settings_leave_their_secrets_behind():
    settings, _ = load(GOOD)
    assert b"canary" not in pickle.dumps(settings)
    assert pickle.loads(pickle.dumps(settings)).password.reveal() == ""


def test_copied_secret_keeps_its_value():
    secret = Secret("canary-3")
    assert copy.deepcopy([copy.copy(secret)])[0].reveal() == "canary-3"


def test_settings_are_described_in_words():
    rows = {row.name: row for row in describe_settings(Mailbox)}
    assert list(rows) == [
        "server", "server.host", "server.port", "password", "keys", "folders", "folders[].name", "mode", "wait",
        "labels",
    ]  # fmt: skip
    assert (rows["server.port"].type, rows["server.port"].default) == ("a whole number from 1 to 65535", "993")
    assert (rows["password"].default, rows["wait"].default, rows["mode"].default) == ("required", "unset", '"idle"')
    assert rows["server.host"].description == "Name of the mail server."


WORDS = st.text(max_size=8)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.datetimes() | st.just("env:PASSWORD")
SOME = LEAVES | st.lists(LEAVES, max_size=3) | st.dictionaries(WORDS, LEAVES, max_size=3)
VALUES = (
    SOME | st.lists(SOME, max_size=2) | st.dictionaries(st.sampled_from(["host", "port", "name"]), SOME, max_size=2)
)
NAMES = ["server", "password", "keys", "folders", "mode", "wait", "labels", "x"]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # both measure how busy the machine is
@given(st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=len(NAMES)))
def test_any_table_gives_settings_or_problems_and_never_raises(table):
    found, problems = load(table)
    assert (found is None) == bool(problems)
    assert "canary" not in "".join(map(str, problems))
