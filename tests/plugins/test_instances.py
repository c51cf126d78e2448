from pathlib import Path
from typing import Annotated

import pytest
from msgspec import Meta, Struct

from plugins.errors import Problem
from plugins.instances import load_instances
from plugins.manager import Plugins
from plugins.model import Secret


class Settings(Struct, frozen=True, kw_only=True):
    host: Annotated[str, Meta(description="Where.")]
    key: Annotated[Secret | None, Meta(description="Key.")] = None


class Kind:
    settings_type = Settings

    def __init__(self, instance, settings):
        self.instance, self.settings = instance, settings


@pytest.fixture
def plugins():
    found = Plugins()
    found.connectors["mail"] = Kind
    found.targets["desk"] = Kind
    return found


def load(tables, plugins, environ=None, **kwargs):
    return load_instances(tables, plugins, file="plugins.toml", environ=environ or {}, base=Path(), **kwargs)


def test_instance_is_built_with_its_id_and_settings(plugins):
    tables = {"support-mail": {"kind": "mail", "name": "Support", "silence": 60, "host": "h"}}
    [one], problems = load(tables, plugins)
    assert problems == []
    assert (one.id, one.instance.name, one.instance.silence, one.target) == ("support-mail", "Support", 60.0, False)
    assert (one.build().instance, one.build().settings.host) == ("support-mail", "h")


def test_name_defaults_to_the_id_and_targets_are_told_apart(plugins):
    [one], _ = load({"tickets": {"kind": "desk", "host": "h"}}, plugins)
    assert (one.instance.name, one.instance.enabled, one.target) == ("tickets", True, True)


def test_problems_of_all_instances_are_named_at_once(plugins):
    configured, problems = load(
        {
            "Bad_Id": {"kind": "mail", "host": "h"},
            "a": {"host": "h"},
            "b": {"kind": "mial", "host": "h"},
            "c": {"kind": "mail", "hots": "h", "silence": -1},
            "d": {"kind": "mail", "host": 5},
            "e": "mail",
            "f": {"kind": "mail", "host": "h", "name": "Same"},
            "g": {"kind": "mail", "host": "h", "name": "same"},
        },
        plugins,
    )
    assert {problem.key for problem in problems} == {
        "instance.Bad_Id", "instance.a.kind", "instance.b.kind", "instance.c.silence", "instance.c.hots",
        "instance.c.host", "instance.d.host", "instance.e", "instance.g.name",
    }  # fmt: skip
    assert "did you mean mail? kinds: mail, desk" in "\n".join(map(str, problems))
    assert [one.id for one in configured] == ["f", "g"]


def test_disabled_instance_is_checked_but_its_secrets_are_not_read(plugins):
    table = {"kind": "mail", "host": "h", "key": "env:ABSENT", "enabled": False}
    [one], problems = load({"a": table}, plugins)
    assert (problems, one.settings.key.reveal()) == ([], "")
    assert [problem.key for problem in load({"a": {**table, "enabled": True}}, plugins)[1]] == ["instance.a.key"]


def test_instance_of_a_broken_plugin_is_kept_with_the_reason_and_the_others_run(plugins):
    plugins.broken["acme.chat"] = Problem(file="plugins.toml", key="plugins.modules", what="can't be imported")
    tables = {"chat": {"kind": "acme_chat", "x": 1}, "mail": {"kind": "mail", "host": "h"}}
    [chat, mail], problems = load(tables, plugins)
    assert (problems, chat.cls, mail.broken) == ([], None, None)
    assert "acme.chat" in str(chat.broken)
    plugins.broken["acme_chat"] = Problem(file="plugins.toml", key="x", what="this kind itself")
    [chat, _], _ = load(tables, plugins)
    assert chat.broken.what == "this kind itself"
