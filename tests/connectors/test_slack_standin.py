"""The stand-in says nothing that Slack's specification does not say, and Slack's own library takes it for Slack."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.web.async_client import AsyncWebClient

from connectors.channels.slack.api import CODES, HELD, LATER, UNKNOWN
from plugins.testing.standins.slack import CHANNEL, METHODS, TROUBLES, Slack
from tests.shared import shared

SPEC = shared("specs/apis_guru/slack_web.openapi.json")
YOUNGER = {
    "chat.postMessage": {"metadata"},
    "conversations.history": {"include_all_metadata"},
    "conversations.replies": {"include_all_metadata"},
}
"""Arguments that are younger than the specification."""
OURS = frozenset([
    "invalid_arg_name", "invalid_array_arg", "invalid_charset", "invalid_form_data", "invalid_post_type",
    "invalid_json", "missing_post_type", "json_not_object", "too_many_attachments", "invalid_ts_latest",
    "invalid_ts_oldest", "too_many_users", "method_not_supported_for_channel_type", "users_list_not_supplied",
    "not_enough_users", "timezone_count_failed",
])  # fmt: skip
"""Mistakes in the call itself: `content_refused`, with Slack's word beside it."""


def documented(method: str) -> tuple[str, dict[str, bool], set[str]]:
    """(verb, argument → needed, errors)"""
    [(verb, found)] = SPEC["paths"][f"/{method}"].items()
    arguments = {each["name"]: bool(each.get("required")) for each in found.get("parameters", [])}
    for content in found.get("requestBody", {}).get("content", {}).values():
        needed = content["schema"].get("required", [])
        arguments |= {name: name in needed for name in content["schema"]["properties"]}
    arguments.pop("token", None)
    schema = found["responses"]["default"]["content"]["application/json"]["schema"]
    return verb.upper(), arguments, set(schema["properties"]["error"]["enum"])


KNOWN = [method for method in METHODS if SPEC is not None and f"/{method}" in SPEC["paths"]]


@pytest.mark.skipif(SPEC is None, reason="shared data is absent")
@pytest.mark.parametrize("method", KNOWN)
def test_methods_are_called_as_documented(method: str):
    verb, arguments, _ = documented(method)
    ours_verb, ours = METHODS[method]
    assert ours_verb == verb
    assert ours.keys() <= arguments.keys() | YOUNGER.get(method, set())
    assert {name for name, needed in arguments.items() if needed} <= ours.keys()


@pytest.mark.skipif(SPEC is None, reason="shared data is absent")
@pytest.mark.parametrize("method", KNOWN)
def test_every_documented_error_of_a_method_has_a_name(method: str):
    _, _, errors = documented(method)
    assert errors - OURS <= CODES.keys() | HELD | LATER | UNKNOWN


@pytest.mark.skipif(SPEC is None, reason="shared data is absent")
def test_refusals_are_words_of_the_specification():
    errors = documented("chat.postMessage")[2] | documented("auth.test")[2]
    assert set(TROUBLES.values()) - {"cannot_reply_to_message"} <= errors  # younger than the specification


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
