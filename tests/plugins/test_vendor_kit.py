"""Each check against a stand-in has a positive control: a connector with exactly one mistake that it must catch."""

# ruff: noqa: ARG005  # the contract's arguments
import asyncio
import base64
import importlib.util
import os
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connectors.channels.telegram import TelegramConnector
from hub.cli.scaffold import new
from plugins import Call, Done, Edited, Message, Pause, Refuse, Retry, Skipped, Step, TrunklineError
from plugins.testing.vendor import VendorConformance
from tests.connectors.test_telegram import TestTelegram as Telegram


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What `trunkline plugins new` writes: the sound connector."""
    folder = tmp_path_factory.mktemp("kit")
    new("sound_chat", folder=folder)
    return load(folder / "sound_chat" / "__init__.py"), load(folder / "sound_chat" / "tests" / "stand_in.py")


def load(file: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"kit_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def kit(written: Any, **members: Any) -> VendorConformance:
    connector, stand_in = written
    cls = type("Flawed", (connector.SoundChat,), {name: make(connector.SoundChat) for name, make in members.items()})
    values = {"cls": cls, "table": {"secret": "env:SECRET", "token": "env:TOKEN"}, "signature_header": "x-signature"}
    values["far"] = lambda made: stand_in.SoundChatStandIn(made.secret("SECRET"), made.secret("TOKEN"))
    return type("Kit", (VendorConformance,), values)()


def other_items(change: Any) -> Any:
    return lambda sound: lambda self, envelope: [change(item, envelope) for item in sound.parse(self, envelope)]


def _replaced(kind: type, **changes: Any) -> Any:
    def change(item: Any, envelope: Any) -> Any:
        if not isinstance(item, kind):
            return item
        return msgspec.structs.replace(item, **{name: value(item, envelope) for name, value in changes.items()})

    return other_items(change)


def only_what_it_knows(sound: Any) -> Any:
    """An edit of what it has not seen is nothing to it."""

    def parse(self: Any, envelope: Any) -> list[Any]:
        self.__dict__.setdefault("seen", set())
        items = list(sound.parse(self, envelope))
        known = [item for item in items if not isinstance(item, Edited) or item.of in self.seen]
        self.seen |= {item.key for item in items if isinstance(item, Message)}
        return known or [Skipped(reason="nothing known")]

    return parse


def only_good_numbers(sound: Any) -> Any:
    """Parks what has digits of other scripts."""

    def parse(self: Any, envelope: Any) -> list[Any]:
        return [
            Skipped(reason="odd", park=True) if isinstance(item, Message) and not item.text.isascii() else item
            for item in sound.parse(self, envelope)
        ]

    return parse


def one_part(sound: Any) -> Any:
    return lambda self, work: [Step(kind="post", body=msgspec.json.encode({"room": work.to.value, "text": work.text}))]


def without_key_life(sound: Any) -> Any:
    return lambda self, work: [msgspec.structs.replace(step, key_life=0.0) for step in sound.plan(self, work)]


def turning(error: Any) -> Any:
    def make(sound: Any) -> Any:
        async def perform(self: Any, step: Any, attempt: Any) -> Done:
            try:
                return await sound.perform(self, step, attempt)
            except TrunklineError as found:
                raise error(found) from found

        return perform

    return make


def unnamed(error: TrunklineError) -> TrunklineError:
    return error if isinstance(error, Retry) else Retry()


def believing(sound: Any) -> Any:
    async def perform(self: Any, step: Any, attempt: Any) -> Done:
        try:
            return await sound.perform(self, step, attempt)
        except TrunklineError:
            return Done(ref="hopefully")

    return perform


def sending_twice(sound: Any) -> Any:
    async def perform(self: Any, step: Any, attempt: Any) -> Done:
        await attempt.call(Call(method="POST", url=f"{self._settings.api_url}/typing"), expect=(404,))
        return await sound.perform(self, step, attempt)

    return perform


@pytest.mark.parametrize(
    ("check", "members"),
    [
        ("test_event_of_the_stand_in_becomes_a_message", {"parse": other_items(lambda item, _: Skipped(reason="no"))}),
        ("test_event_of_the_stand_in_becomes_a_message", {"parse": _replaced(Message, private=lambda *_: False)}),
        ("test_whatever_people_write_is_read", {"parse": only_good_numbers}),
        ("test_edit_names_its_original", {"parse": _replaced(Edited, of=lambda item, _: item.of + "x")}),
        ("test_edit_before_its_original_is_the_same_edit", {"parse": only_what_it_knows}),
        ("test_late_event_is_the_same_event", {"parse": _replaced(Message, at=lambda _, envelope: envelope.at)}),
        ("test_events_keep_their_keys_in_any_order_and_number", {"parse": _replaced(Message, key=lambda *_: "same")}),
        ("test_long_text_arrives_whole_and_in_order", {"plan": one_part}),
        ("test_longest_text_is_one_part_by_the_platforms_counting", {"plan": one_part}),
        ("test_too_many_requests_wait_as_the_platform_says", {"perform": turning(lambda _: Retry("later"))}),
        ("test_lost_answer_is_settled_as_the_step_declares", {"perform": believing}),
        ("test_every_refusal_has_its_name", {"perform": turning(unnamed)}),
        ("test_step_has_one_effect_at_most", {"perform": sending_twice}),
    ],
)  # fmt: skip
async def test_kit_catches(written: Any, check: str, members: Any):
    with pytest.raises((AssertionError, Refuse)):
        await getattr(kit(written, **members), check)()
    await getattr(kit(written), check)()


@pytest.mark.parametrize("kind", ["lost", "half_open", "status"])
async def test_kit_catches_an_unknown_outcome_that_is_called_certain(written: Any, kind: str):
    flawed = kit(written, plan=without_key_life, perform=turning(lambda _: Retry("surely not")))
    with pytest.raises(AssertionError):
        await flawed.test_unknown_outcome_is_never_called_certain(kind)
    await kit(written, plan=without_key_life).test_unknown_outcome_is_never_called_certain(kind)


async def held(cls: Any, check: str) -> None:
    """Against one check of the kit, which may be async."""
    found = getattr(type("Kit", (Telegram,), {"cls": cls})(), check)()
    if found is not None:
        await found


class Other:
    """A hub that a connector sees through its mistake."""

    def __init__(self, hub: Any) -> None:
        self.hub = hub

    def __getattr__(self, name: str) -> Any:
        return getattr(self.hub, name)


class Forgetful(Other):
    """Goes on when the hub died, as if all were on disk."""

    async def receive(self, *envelopes: Any, **more: Any) -> None:
        try:
            await self.hub.receive(*envelopes, **more)
        except Exception:  # noqa: BLE001  # that is its mistake
            self.hub.cursors[""] = more["cursor"]


class Early(Other):
    """Has the cursor on disk before what it stands for."""

    async def receive(self, *envelopes: Any, **more: Any) -> None:
        await self.hub.receive(**more)
        await self.hub.receive(*envelopes)


class Far(Other):
    """Goes on behind the next event."""

    async def receive(self, *envelopes: Any, **more: Any) -> None:
        cursor = msgspec.json.decode(more["cursor"])
        await self.hub.receive(*envelopes, cursor=msgspec.json.encode({**cursor, "offset": cursor["offset"] + 1}))


class Restless(Other):
    """Asks again and again, whatever stops it."""

    async def call(self, *given: Any, **more: Any) -> Any:
        try:
            return await self.hub.call(*given, **more)
        except asyncio.CancelledError:
            return await self.hub.call(*given, **more)


class Sleepless(Other):
    """Does not hear that it shall end while it sleeps, and finds nothing to do while it does not."""

    async def call(self, *given: Any, **more: Any) -> Any:
        if self.hub.envelopes:
            with suppress(asyncio.CancelledError):
                await self.hub.clock.sleep(5)
        return await self.hub.call(*given, **more)


@pytest.mark.parametrize(
    ("check", "mistaken"),
    [
        ("test_runner_whose_hub_crashed_loses_and_doubles_nothing", Forgetful),
        ("test_runner_whose_hub_crashed_loses_and_doubles_nothing", Early),
        ("test_runner_brings_every_event_and_goes_on_where_it_stopped", Far),
        ("test_runner_ends_within_a_second_when_cancelled", Restless),
        ("test_runner_that_has_nothing_to_do_ends_within_a_second_when_cancelled", Sleepless),
    ],
)
async def test_kit_catches_a_runner_that_loses_events_or_goes_on(check: str, mistaken: Any):
    class Flawed(TelegramConnector):
        async def run(self, hub: Any) -> None:
            await super().run(mistaken(hub))

    with pytest.raises((AssertionError, TimeoutError)):
        await getattr(type("Kit", (Telegram,), {"cls": Flawed, "patience": 1.0})(), check)()
    await getattr(Telegram(), check)()


class Hasty(TelegramConnector):
    """Believes that a chat takes more than Telegram says."""

    capabilities = msgspec.structs.replace(TelegramConnector.capabilities, rates=(("lane", 2, 1.0),))


class Proud(TelegramConnector):
    """Takes "too fast" for "never"."""

    async def perform(self, step: Step, attempt: Any) -> Done:
        try:
            return await super().perform(step, attempt)
        except Retry as error:
            raise Refuse("content_refused", "they said no") from error


@pytest.mark.parametrize(
    ("check", "mistaken"),
    [
        ("test_declared_rates_are_no_higher_than_the_platforms", Hasty),
        ("test_one_too_many_is_refused_by_the_platform_and_comes_again", Proud),
    ],
)
async def test_kit_catches_rates_that_are_not_the_platforms(check: str, mistaken: Any):
    with pytest.raises(AssertionError):
        await held(mistaken, check)
    await held(TelegramConnector, check)


def token_of(connector: Any) -> str:
    token: str = connector._settings.token.reveal()
    return token


class TellingBody(TelegramConnector):
    """Keeps the token where the outbox keeps what is to be done."""

    def plan(self, work: Any) -> Any:
        return [msgspec.structs.replace(each, body=each.body + token_of(self).encode()) for each in super().plan(work)]


class TellingError(TelegramConnector):
    """Says which token was refused."""

    shown = staticmethod(lambda token: token)

    async def perform(self, step: Step, attempt: Any) -> Done:
        try:
            return await super().perform(step, attempt)
        except Pause as error:
            raise Pause(f"{error}: {self.shown(token_of(self))}") from None


class TellingBasic(TellingError):
    """Says it as it stood in the header of a vendor with Basic credentials."""

    shown = staticmethod(lambda token: base64.b64encode(f"AC1:{token}".encode()).decode())


class TellingCause(TelegramConnector):
    """Raises a good error from one that tells."""

    async def perform(self, step: Step, attempt: Any) -> Done:
        try:
            return await super().perform(step, attempt)
        except Pause as error:
            raise error from ValueError(f"https://api.telegram.org/bot{token_of(self)}/getMe")


class TellingCheck(TelegramConnector):
    """Shows the administrator what everybody in the room sees then."""

    async def check(self, egress: Any) -> Any:
        found = await super().check(egress)
        return [msgspec.structs.replace(each, what=f"{each.what} ({token_of(self)})") for each in found]


class TellingCursor(TelegramConnector):
    """Remembers for whom it was at its place."""

    async def run(self, hub: Any) -> None:
        class Marked(Other):
            async def receive(self, *envelopes: Any, cursor: bytes, token: str = token_of(self)) -> None:
                kept = {**msgspec.json.decode(cursor), "token": token}
                await self.hub.receive(*envelopes, cursor=msgspec.json.encode(kept))

        await super().run(Marked(hub))


class TellingRunner(TelegramConnector):
    """Says where it went."""

    async def run(self, hub: Any) -> None:
        try:
            await super().run(hub)
        except Pause as error:
            raise Pause(f"{error} at /bot{token_of(self)}/getUpdates") from None


@pytest.mark.parametrize(
    ("check", "mistaken"),
    [
        ("test_plan_is_pure_and_its_steps_cross_the_contract", TellingBody),
        ("test_wrong_secret_pauses_all_work_and_is_never_shown", TellingError),
        ("test_wrong_secret_pauses_all_work_and_is_never_shown", TellingBasic),
        ("test_wrong_secret_pauses_all_work_and_is_never_shown", TellingCause),
        ("test_every_refusal_has_its_name", TellingError),
        ("test_check_says_what_is_wrong_and_shows_no_secret", TellingCheck),
        ("test_runner_brings_every_event_and_goes_on_where_it_stopped", TellingCursor),
        ("test_runner_with_a_wrong_secret_says_so_and_never_shows_it", TellingRunner),
    ],
)
async def test_kit_catches_a_secret_that_shows(check: str, mistaken: Any):
    with pytest.raises(AssertionError, match="a secret shows itself"):
        await held(mistaken, check)
    await held(TelegramConnector, check)


TELLING = """
import logging, structlog
from tests.connectors.test_telegram import TestTelegram as Sound

class Telling(Sound.cls):
    def parse(self, envelope):
        self.tell(f"by /bot{self._settings.token.reveal()}/getUpdates")
        return super().parse(envelope)

class TestLogging(Sound):
    cls = type("Logging", (Telling,), {"tell": lambda self, what: logging.getLogger().debug(what)})

class TestStructured(Sound):
    cls = type("Structured", (Telling,), {"tell": lambda self, what: structlog.get_logger().info(what)})

class TestPrinting(Sound):
    cls = type("Printing", (Telling,), {"tell": lambda self, what: print(what)})

class TestSound(Sound):
    pass
"""


def test_kit_catches_a_secret_that_is_logged_or_printed(tmp_path: Path):
    """In a process of its own, because the kit looks when its check is over."""
    (tmp_path / "test_telling.py").write_text(TELLING)
    check = "test_samples_yield_items_with_keys_of_their_own"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", check, str(tmp_path)]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    run = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    told = re.findall(r"^ERROR \S+::Test(\w+)::", run.stdout, re.MULTILINE)
    assert sorted(told) == ["Logging", "Printing", "Structured"], run.stdout + run.stderr
    assert "AssertionError: a secret shows itself" in run.stdout
