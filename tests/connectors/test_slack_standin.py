"""Slack's own library takes the stand-in for Slack."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.web.async_client import AsyncWebClient

from plugins.testing.standins.slack import CHANNEL, Slack


@pytest.fixture
async def far() -> AsyncIterator[Slack]:
    async with Slack() as far:
        yield far


async def test_slacks_own_client_posts_reads_and_is_refused(far: Slack):
    async with aiohttp.ClientSession() as session:
        client = AsyncWebClient("xoxb-stand-in", base_url=f"{far.url}/api/", session=session)
        metadata = {"event_type": "x", "event_payload": {"key": "k"}}
        posted = await client.chat_postMessage(channel=CHANNEL, text="Hello", metadata=metadata)
        found = await client.conversations_history(channel=CHANNEL, include_all_metadata="true")
        assert found["messages"][0]["ts"] == posted["ts"]
        assert found["messages"][0]["metadata"] == metadata
        user = await client.users_info(user="U0ANN")
        assert user["user"]["profile"]["email"] == "ann@acme.test"
        assert far.refused == []
        with pytest.raises(SlackApiError) as caught:
            await client.chat_postMessage(channel="C0NONE", text="Hello")
        assert caught.value.response["error"] == "channel_not_found"


async def test_slacks_own_client_gets_events_over_the_socket(far: Slack):
    got: list[Any] = []

    async def heard(client: SocketModeClient, request: Any) -> None:
        got.append(request.payload["event"]["text"])
        await client.send_socket_mode_response(SocketModeResponse(envelope_id=request.envelope_id))

    client = SocketModeClient("xapp-stand-in", web_client=AsyncWebClient(base_url=f"{far.url}/api/"))
    client.socket_mode_request_listeners.append(heard)
    await far.push(far.says("one"), far.says("two"))
    async with asyncio.timeout(10):
        await client.connect()
        while far.waiting:  # noqa: ASYNC110  # a plain value
            await asyncio.sleep(0.01)
    await client.disconnect()
    await client.close()
    assert got == ["one", "two"]
    assert far.refused == []
