# ruff: noqa: ARG005  # arguments are here to be counted
import asyncio
import logging
import sys
import textwrap
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from msgspec import Struct

from plugins import (
    Capabilities,
    Done,
    Envelope,
    Event,
    HubPort,
    Received,
    Reply,
    Request,
    Step,
    hookimpl,
)
from plugins.fit import faults, roles
from plugins.manager import discover

GOOD = """
from typing import ClassVar
from msgspec import Struct
from plugins import Capabilities, Envelope, Reply, Request, hookimpl

class Settings(Struct, frozen=True, kw_only=True):
    pass

class Hook:
    contract: ClassVar[int] = 1
    kind: ClassVar[str] = "KIND"
    settings_type: ClassVar[type] = Settings
    isolate: ClassVar[bool] = False
    channel = "chat"
    capabilities = Capabilities()
    accepted = Reply()
    def __init__(self, instance, settings):
        pass
    def verify(self, request):
        return Reply()
    def parse(self, envelope):
        return ()

@hookimpl
def register_connectors():
    return [Hook]
"""


@pytest.fixture
def folder(tmp_path):
    def write(**files):
        for name, text in files.items():
            (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
        return tmp_path

    before = set(sys.modules)
    yield write
    for name in [name for name in sys.modules if name.startswith("trunkline_local_") and name not in before]:
        del sys.modules[name]


def found(folder_path, **kwargs):
    return discover([], entry_points=False, folders=[folder_path], **kwargs)


def whats(plugins):
    return [problem.what for problem in plugins.problems]


def test_connector_in_a_local_folder_is_found(folder):
    plugins = found(folder(one=GOOD.replace("KIND", "one"), _private="1/0"))
    assert (list(plugins.connectors), plugins.problems, plugins.broken) == (["one"], [], {})
    assert plugins.origins == {"one": "trunkline_local_one"}
    assert roles(plugins.connectors["one"]) == {"webhook"}


def test_dotted_module_is_found_once_however_often_it_is_named(folder, monkeypatch):
    monkeypatch.syspath_prepend(folder(acme_dotted=GOOD.replace("KIND", "dotted")))
    plugins = discover(["acme_dotted"], entry_points=False, modules=["acme_dotted"])
    assert list(plugins.connectors) == ["dotted"]
    assert plugins.problems == []
    del sys.modules["acme_dotted"]


def test_entry_point_is_found_and_can_be_switched_off(folder, monkeypatch):
    path = folder(acme_point=GOOD.replace("KIND", "point"))
    info = path / "acme-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[trunkline]\nacme = acme_point\n")
    monkeypatch.syspath_prepend(path)
    assert "point" in discover([]).connectors
    assert "point" not in discover([], entry_points=False).connectors
    del sys.modules["acme_point"]


@pytest.mark.parametrize(
    "text", ["1/0", "raise SystemExit(3)", "import not_there_xyz", "def", "from plugins import Nope"]
)
def test_plugin_that_fails_to_import_takes_down_only_itself(folder, text):
    plugins = found(folder(bad=text, good=GOOD.replace("KIND", "good")))
    assert list(plugins.connectors) == ["good"]
    assert list(plugins.broken) == ["trunkline_local_bad"]
    assert "can't be imported" in plugins.broken["trunkline_local_bad"].what
    assert plugins.problems == []


def test_register_hook_that_raises_takes_down_only_its_plugin(folder):
    bad = "from plugins import hookimpl\n@hookimpl\ndef register_connectors():\n    raise RuntimeError('no')\n"
    plugins = found(folder(bad=bad, good=GOOD.replace("KIND", "good")))
    assert list(plugins.connectors) == ["good"]
    assert "RuntimeError: no" in plugins.broken["trunkline_local_bad"].what


def test_all_mistakes_of_all_plugins_are_named_at_once(folder):
    path = folder(
        a=GOOD.replace("KIND", "same"),
        b=GOOD.replace("KIND", "same"),
        c="from plugins import hookimpl\n@hookimpl\ndef register_conectors():\n    return []\n",
        d="def register_connectors():\n    return []\n",
        e="from plugins import hookimpl\n@hookimpl\ndef observe_event(evnt):\n    pass\n",
        e2="from plugins import hookimpl\n@hookimpl\nasync def observe_event(event):\n    pass\n",
        f=GOOD.replace("KIND", "f").replace("contract: ClassVar[int] = 1", "contract: ClassVar[int] = 7"),
        g=GOOD.replace("KIND", "g").replace("    contract: ClassVar[int] = 1\n", ""),
        h=GOOD.replace("KIND", "h").replace("return [Hook]", "return [Hook(1, 2), 5]"),
    )
    (path / "not-a-name.py").write_text("")
    plugins = discover(
        ["absent_xyz"], entry_points=False, modules=["also.absent_xyz"], folders=[path, path / "nowhere"]
    )
    text = "\n".join(map(str, plugins.problems))
    assert list(plugins.connectors) == ["same"]
    for words in (
        "there is no module absent_xyz",
        "there is no module also.absent_xyz",
        "there is no folder",
        "offers the kind same, which trunkline_local_a has",
        "implements the hook register_conectors, which there is not (register_connectors?)",
        "trunkline_local_d.register_connectors is never called (put @hookimpl above it)",
        "evnt",
        "trunkline_local_e2.observe_event must be a plain def, not async",
        "the class says 7",
        "the class says none",
        "must return classes, not Hook",
        "must return classes, not int",
        "not-a-name.py: its name is no Python name",
    ):
        assert words in text
    assert set(plugins.broken) == {"f", "g"}


def test_observer_that_raises_is_logged_and_harms_no_other(folder, caplog):
    watch = "from plugins import hookimpl\nseen = []\n@hookimpl\ndef observe_event(event):\n    {}\n"
    path = folder(a=watch.format("raise RuntimeError"), b=watch.format("seen.append(event.seq)"))
    plugins = found(path)
    with caplog.at_level(logging.ERROR):
        plugins.observe(Event(seq=7, kind="query.opened", at=datetime.now(UTC), subject="1"))
    assert sys.modules["trunkline_local_b"].seen == [7]
    assert [record.plugin for record in caplog.records] == ["trunkline_local_a"]


def test_observer_may_leave_its_argument_out(folder):
    text = "from plugins import hookimpl\nseen = []\n@hookimpl\ndef observe_event():\n    seen.append(1)\n"
    plugins = found(folder(a=text))
    plugins.observe(Event(seq=7, kind="x", at=datetime.now(UTC), subject="1"))
    assert (plugins.problems, sys.modules["trunkline_local_a"].seen) == ([], [1])


# ---- does a class fit ---------------------------------------------------------------------------------


class Empty(Struct, frozen=True, kw_only=True):
    pass


class Whole:
    contract = 1
    kind = "whole"
    settings_type = Empty
    isolate = False
    once = True
    channel = "chat"
    capabilities = Capabilities()

    def __init__(self, instance: str, settings: Empty) -> None:
        self.instance = instance

    @property
    def accepted(self) -> Reply:
        return Reply()

    def verify(self, request: Request) -> Envelope | Reply:
        return Reply()

    async def respond(self, envelope: Envelope, received: Received, desk: object) -> Reply:
        return Reply()

    async def run(self, hub: HubPort) -> None:
        await asyncio.sleep(0)

    def parse(self, envelope):
        yield from ()

    def plan(self, work) -> Sequence[Step]:
        return ()

    async def perform(self, step, attempt) -> Done:
        return Done(ref="")

    async def find(self, step, attempt) -> Sequence[Done]:
        return ()


def changed(**members):
    return type("Changed", (Whole,), members)


def without(*names, base=Whole):
    return type("Less", (), {key: value for key, value in vars(base).items() if key not in names})


def test_class_with_several_roles_fits():
    assert faults(Whole) == []
    assert roles(Whole) == {"webhook", "answering", "runner", "sender"}
    assert "ticketing" in roles(Whole, target=True)
    assert "sender" not in roles(Whole, target=True)


def test_method_may_be_static_or_of_the_class():
    assert faults(changed(verify=staticmethod(lambda request: Reply()))) == []
    assert faults(changed(parse=classmethod(lambda cls, envelope: ()))) == []


async def _async(self, one):
    return None


@pytest.mark.parametrize(
    ("members", "fault"),
    [
        ({"verify": _async}, "verify must be a plain def, not async"),
        ({"parse": _async}, "parse must be a plain def, not async"),
        ({"plan": _async}, "plan must be a plain def, not async"),
        ({"verify": lambda self: None}, "verify must take (self, request)"),
        ({"verify": lambda self, request, clock: None}, "verify must take (self, request)"),
        ({"verify": "text"}, "verify must be a method"),
        ({"run": lambda self, hub: None}, "run must be async def"),
        ({"perform": _async}, "perform must take (self, step, attempt)"),
        ({"find": lambda self, step, attempt: ()}, "find must be async def"),
        ({"respond": lambda self, a, b, c: None}, "respond must be async def"),
        ({"capabilities": lambda self: Capabilities()}, "capabilities must be a property or an attribute"),
        ({"channel": "telex"}, "channel must be one of email, chat, phone, social, portal, walk-in"),
        ({"isolate": None}, "isolate must be True or False: where parse runs"),
        ({"once": 1}, "once must be True or False: on one node, or on every node"),
        ({"kind": "Not A Kind"}, "kind must match [a-z][a-z0-9_]{0,31}"),
        ({"settings_type": dict}, "settings_type must be a msgspec.Struct class"),
        ({"__init__": lambda self: None}, "__init__ must take (instance, settings)"),
    ],
)
def test_wrong_member_is_named(members, fault):
    assert faults(changed(**members)) == [fault]


def test_generator_is_refused_where_the_hub_needs_a_value():
    def verify(self, request):
        yield Reply()

    assert faults(changed(verify=verify)) == ["verify must not be a generator"]


@pytest.mark.parametrize("name", ["verify", "accepted", "parse", "perform", "find", "plan", "capabilities", "channel"])
def test_part_of_a_role_needs_the_whole(name):
    assert f"{name} is missing" in faults(without(name))


def test_class_without_any_role_is_refused():
    idle = without("verify", "accepted", "respond", "run", "plan", "perform", "find")
    assert "it does nothing: none of verify, run, serve, contact or plan" in faults(idle)
    assert "a target needs plan, perform and find" in faults(idle, target=True)


def test_target_that_can_be_read_needs_parse_but_no_channel():
    async def read(self, ticket, egress):
        return Envelope(key="1", raw=b"", at=datetime.now(UTC))

    tool = without("verify", "accepted", "respond", "run", "channel")
    assert faults(tool, target=True) == []
    mute = without("parse", base=tool)
    mute.read = read
    assert faults(mute, target=True) == ["parse is missing"]


def test_setting_named_like_a_key_of_every_instance_is_refused():
    class Clash(Struct, frozen=True, kw_only=True):
        name: str

    assert faults(changed(settings_type=Clash)) == ["settings_type uses names that every instance has: name"]


@hookimpl
def register_connectors():
    return [Whole]


def test_hookimpl_of_the_facade_is_the_marker_that_is_looked_for():
    assert register_connectors.trunkline_impl
