"""Kind `slack`: Socket Mode, checks and settings."""

import asyncio
from typing import Any

import pytest

from connectors.channels.slack import SlackConnector
from plugins import (
    Envelope,
    Pause,
    Retry,
)
from plugins.testing.lines import LiveHub
from plugins.testing.standins.slack import Slack
from tests.connectors.slack_kit import SlackKit, live, loaded


@pytest.fixture
def far() -> Slack:
    return SlackKit().far()


@pytest.fixture
def app() -> SlackConnector:
    return SlackKit().make()


# ---- Socket Mode, and checks -----------------------------------------------------------------------------


class _Deaf(LiveHub):
    """Never gets anything on disk."""

    async def receive(self, *envelopes: Envelope, **more: Any) -> Any:
        raise Retry("full")


async def test_envelope_is_acknowledged_only_when_it_is_on_disk(far):
    async with far:
        await far.push(far.says("one"))
        with pytest.raises(Retry):
            await live(far, socket=True).run(_Deaf())
        while far.links:  # noqa: ASYNC110  # until the stand-in has read all that came
            await asyncio.sleep(0.01)
        assert len(far.waiting) == 1
        hub = LiveHub()
        await SlackKit()._run_until(far, hub, lambda: not far.waiting)
        assert len(hub.envelopes) == 1
        assert far.refused == []


async def test_announced_disconnect_is_followed_by_a_new_connection_first(far):
    async with far:
        hub = LiveHub()

        async def renewed() -> None:
            while not far.links:  # noqa: ASYNC110  # a plain list
                await asyncio.sleep(0.01)
            await far.disconnect("refresh_requested")
            while far.asked.count("apps.connections.open") < 2 or len(far.links) != 1:  # noqa: ASYNC110  # as above
                await asyncio.sleep(0.01)
            await far.push(far.says("after"))

        asking = asyncio.ensure_future(renewed())
        await SlackKit()._run_until(far, hub, lambda: len(hub.envelopes) >= 1)
        await asking
        assert far.refused == []


async def test_socket_mode_that_was_switched_off_says_so(far):
    async with far:
        running = asyncio.ensure_future(live(far, socket=True).run(LiveHub()))
        while not far.links:  # noqa: ASYNC110  # a plain list
            await asyncio.sleep(0.01)
        await far.disconnect("link_disabled")
        with pytest.raises(Pause, match="switched off"):
            await running


async def test_check_names_missing_scopes_and_refused_tokens(far):
    async with far:
        assert [finding.ok for finding in await live(far, socket=True).check(LiveHub())] == [True, True]
        far.scopes = "chat:write"
        _, finding, _ = await live(far, socket=True).check(LiveHub())
        assert not finding.ok
        assert "users:read.email" in finding.what
        far._token = "another"
        [finding] = await live(far).check(LiveHub())
        assert not finding.ok


@pytest.mark.parametrize(
    "table",
    [
        {"token": "env:TOKEN"},
        {"token": "env:TOKEN", "signing_secret": "env:SIGN", "app_token": "env:APP"},
        {"token": "env:SIGN", "signing_secret": "env:SIGN"},
        {"token": "env:TOKEN", "signing_secret": "env:SIGN", "channels": ["#help"]},
    ],
)
def test_settings_that_can_not_be_meant_are_refused_without_showing_secrets(table):
    settings, problems = loaded(table)
    assert settings is None
    assert "canary" not in str(problems)
