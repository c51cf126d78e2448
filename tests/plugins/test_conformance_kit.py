"""Each check of the kit has a positive control: a connector with exactly one mistake that it must catch."""

# ruff: noqa: ARG005  # the contract's arguments
import hashlib
import hmac
import itertools
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import pytest
from msgspec import Meta, Struct

from plugins import (
    Call,
    Capabilities,
    Claim,
    Done,
    Envelope,
    Identity,
    Message,
    NotAuthentic,
    Reply,
    Request,
    Secret,
    Skipped,
    Step,
    hmac_verify,
)
from plugins.testing.conformance import ConnectorConformance, TargetConformance, no_io
from plugins.testing.stubs import START, StubAttempt, StubHub

COUNT = itertools.count()


class Settings(Struct, frozen=True, kw_only=True):
    secret: Annotated[Secret, Meta(description="Signs.")]
    room: Annotated[str, Meta(description="Where.")]


class Sound:
    """A connector without mistakes."""

    contract = 1
    kind = "sound"
    settings_type = Settings
    isolate = False
    channel = "chat"
    capabilities = Capabilities()
    accepted = Reply()

    def __init__(self, instance, settings):
        self.settings = settings

    def verify(self, request):
        hmac_verify(request.header("x-signature"), request.body, [self.settings.secret])
        key = hashlib.sha256(request.body).hexdigest()
        return Envelope(key=key, raw=request.body, at=request.at, facts={"room": self.settings.room})

    async def respond(self, envelope, received, desk):
        return Reply(body=received.receipt.encode())

    def parse(self, envelope):
        if envelope.raw != b'{"text": 1}':
            return [Skipped(reason="odd", park=True)]
        sender = Claim(identity=Identity(scheme="x", value="ann"))
        return [Message(key=envelope.key, sender=sender, at=envelope.at, text="1")]

    def plan(self, work):
        return [Step(kind="post", body=work.text.encode())]

    async def perform(self, step, attempt):
        secret = self.settings.secret.wrap("Bearer {}")
        await attempt.call(Call(method="POST", url="https://x.test", headers={"a": secret}, body=step.body))
        return Done(ref="1")

    async def find(self, step, attempt):
        return ()


def signed(body):
    digest = hmac.new(b"canary-KEY", body, hashlib.sha256).hexdigest()
    headers = {"x-signature": "sha256=" + digest}
    return Request(method="POST", url="https://h/in/x/", headers=headers, body=body, at=START)


class TestSound(ConnectorConformance):
    cls = Sound
    table = {"secret": "env:KEY", "room": "help"}
    signature_header = "x-signature"
    signed_time = False

    def requests(self):
        return [signed(b'{"text": 1}')]


class Untold(Struct, frozen=True, kw_only=True):
    secret: Annotated[Secret, Meta(description="Signs.")]
    room: str


class Shown:
    def __init__(self, instance, settings):
        self.settings = settings
        open(__file__).close()

    def __repr__(self):
        return self.settings.secret.reveal()


def shows_secret(self, request):
    raise NotAuthentic(f"not signed with {self.settings.secret.reveal()}")


def accepts_all(self, request):
    return Envelope(key="1", raw=request.body, at=request.at)


def changing_key(self, request):
    return Envelope(key=str(next(COUNT)), raw=request.body, at=request.at)


def breaks(self, request):
    Sound.verify(self, request)
    raise ValueError("not a contract error")


def breaks_on_odd_headers(self, request):
    request.header("x-signature").encode("ascii")
    return Sound.verify(self, request)


def breaks_on_odd_places(self, request):
    request.tail.encode("ascii")
    return Sound.verify(self, request)


def keeps_token(self, request):
    return Envelope(key="1", raw=b"", at=request.at, facts={"token": self.settings.secret.reveal()})


def random_parse(self, envelope):
    return [Skipped(reason=str(next(COUNT)))]


def double_parse(self, envelope):
    return Sound.parse(self, envelope) * 2


def parked_parse(self, envelope):
    return [Skipped(reason="odd", park=True)]


def broken_parse(self, envelope):
    return [Skipped(reason=envelope.raw.decode())]


def wrong_items(self, envelope):
    return [Message(key="1", sender=None, at=envelope.at)]


def reading_parse(self, envelope):
    Path(__file__).read_text()
    return Sound.parse(self, envelope)


def secret_step(self, work):
    return [Step(kind="post", body=self.settings.secret.reveal().encode())]


def random_plan(self, work):
    return [Step(kind="post", body=str(next(COUNT)).encode())]


async def two_effects(self, step, attempt):
    await Sound.perform(self, step, attempt)
    attempt.effect()
    return Done(ref="1")


async def plain_header(self, step, attempt):
    await attempt.call(Call(method="POST", url="https://x.test/?k=" + self.settings.secret.reveal()))
    return Done(ref="1")


async def other_answer(self, envelope, received, desk):
    return Reply(body=str(received.fresh).encode())


@pytest.mark.parametrize(
    ("check", "members"),
    [
        ("test_class_fits_the_contract", {"contract": 0}),
        ("test_every_setting_is_described", {"settings_type": Untold}),
        ("test_constructor_does_no_io", {"__init__": Shown.__init__}),
        ("test_it_can_be_built_without_secrets", {"capabilities": None}),
        ("test_capabilities_cross_the_contract", {"capabilities": Capabilities(max_body=0)}),
        ("test_channel_is_a_word_of_the_contract", {"channel": property(lambda self: "telex")}),
        ("test_settings_and_instance_show_no_secret", {"__repr__": Shown.__repr__}),
        ("test_plan_is_pure_and_its_steps_cross_the_contract", {"plan": random_plan}),
        ("test_plan_is_pure_and_its_steps_cross_the_contract", {"plan": secret_step}),
        ("test_plan_needs_no_secret", {"plan": secret_step}),
        ("test_step_has_one_effect_at_most", {"perform": two_effects}),
        ("test_step_has_one_effect_at_most", {"perform": plain_header}),
        ("test_genuine_request_becomes_the_same_envelope_again", {"verify": changing_key}),
        ("test_genuine_request_becomes_the_same_envelope_again", {"verify": keeps_token}),
        ("test_forged_request_is_not_authentic", {"verify": accepts_all}),
        ("test_forged_request_is_not_authentic", {"verify": shows_secret}),
        ("test_request_is_refused_by_a_connector_without_secrets", {"verify": accepts_all}),
        ("test_hostile_request_raises_contract_errors_only", {"verify": breaks}),
        ("test_hostile_request_raises_contract_errors_only", {"verify": breaks_on_odd_headers}),
        ("test_hostile_request_raises_contract_errors_only", {"verify": breaks_on_odd_places}),
        ("test_hostile_request_raises_contract_errors_only", {"verify": shows_secret}),
        ("test_parse_is_deterministic_and_pure", {"parse": random_parse}),
        ("test_parse_is_deterministic_and_pure", {"parse": reading_parse}),
        ("test_samples_yield_items_with_keys_of_their_own", {"parse": double_parse}),
        ("test_samples_yield_items_with_keys_of_their_own", {"parse": parked_parse}),
        ("test_hostile_envelope_raises_contract_errors_only", {"parse": broken_parse}),
        ("test_hostile_envelope_raises_contract_errors_only", {"parse": wrong_items}),
        ("test_answer_is_the_same_for_a_redelivery", {"respond": other_answer}),
    ],
)
async def test_kit_catches(check, members):
    kit = type("Kit", (TestSound,), {"cls": type("Flawed", (Sound,), members)})()
    with pytest.raises(AssertionError):  # noqa: PT012  # a check may be sync or async
        result = getattr(kit, check)()
        if result is not None:
            await result


def test_webhook_must_say_whether_it_is_signed():
    class Kit(ConnectorConformance):
        cls = Sound
        table = TestSound.table
        requests = TestSound.requests

    with pytest.raises(AssertionError, match="name the header"):
        Kit().test_there_are_samples()


def test_events_with_one_key_are_caught():
    kit = type("Kit", (TestSound,), {"requests": lambda self: [signed(b'{"text": 1}')] * 2})()
    with pytest.raises(AssertionError):
        kit.test_different_events_have_different_keys()


def test_files_are_free_again_after_no_io():
    with pytest.raises(AssertionError, match="it does I/O"), no_io():
        Path(__file__).read_text()
    assert Path(__file__).read_text()


def test_failing_check_shows_its_values_to_a_third_party(tmp_path):
    (tmp_path / "test_acme.py").write_text(
        "from plugins.testing.conformance import ConnectorConformance\n"
        "from msgspec import Struct\n"
        "class S(Struct, frozen=True, kw_only=True):\n    room: str = ''\n"
        "class Acme:\n    settings_type = S\n"
        "class TestAcme(ConnectorConformance):\n    cls = Acme\n"
    )
    command = [sys.executable, "-m", "pytest", "-k", "described", "-q", "."]
    root = str(Path(__file__).parents[2])
    env = {"PYTHONPATH": root, "PATH": ""}
    run = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert "assert ['room'] == []" in run.stdout, run.stdout + run.stderr


class Tool:
    """A target of class B, small."""

    contract = 1
    kind = "tool"
    settings_type = Settings
    capabilities = Capabilities(verbs=frozenset({"open", "say"}))

    def __init__(self, instance, settings):
        self.settings = settings

    def plan(self, work):
        return [Step(kind="any", body=msgspec.json.encode(work), find_lag=2.0)]

    async def perform(self, step, attempt):
        answer = await attempt.call(Call(method="POST", url="https://tool.test", body=step.body))
        return Done(ref=answer.body.decode())

    async def find(self, step, attempt):
        await attempt.call(Call(method="GET", url="https://tool.test"))
        return ()


class TestTool(TargetConformance):
    cls = Tool
    table = {"secret": "env:KEY", "room": "help"}


class TestToolWithHooks(TargetConformance, ConnectorConformance):
    """A target whose changes come back by a signed webhook: both suites hold it."""

    cls = type("Hooked", (Tool,), {name: vars(Sound)[name] for name in ("isolate", "accepted", "verify", "parse")})
    table = TestSound.table
    signature_header = "x-signature"
    signed_time = False

    def requests(self):
        return [signed(b'{"text": 1}')]


async def test_target_with_two_effects_in_a_step_is_caught():
    kit = type("Kit", (TestTool,), {"cls": type("Flawed", (Tool,), {"perform": two_effects})})()
    with pytest.raises(AssertionError, match="2 effects"):
        await kit.test_step_has_one_effect_at_most()


async def test_stub_hub_journals_once_and_keeps_cursors():
    hub = StubHub()
    envelope = Envelope(key="1", raw=b"", at=START)
    [first] = await hub.receive(envelope, cursor=b"7", name="inbox")
    [again] = await hub.receive(envelope)
    assert (first.fresh, again.fresh, first.id == again.id) == (True, False, True)
    assert (await hub.cursor("inbox"), await hub.cursor()) == (b"7", None)


async def test_stub_attempt_counts_what_a_person_would_notice_twice():
    attempt = StubAttempt()
    await attempt.call(Call(method="GET", url="https://x.test"))
    await attempt.call(Call(method="POST", url="https://x.test/search", effect=False))
    assert attempt.effects == 0
    await attempt.call(Call(method="PUT", url="https://x.test"))
    attempt.effect()
    assert attempt.effects == 2
