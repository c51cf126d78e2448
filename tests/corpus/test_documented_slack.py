"""The stand-in says nothing that Slack's specification does not say."""

import pytest

from connectors.channels.slack.api import CODES, HELD, LATER, UNKNOWN
from plugins.testing.standins.slack import METHODS, TROUBLES
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


KNOWN = [method for method in METHODS if f"/{method}" in SPEC["paths"]]


@pytest.mark.parametrize("method", KNOWN)
def test_methods_are_called_as_documented(method: str):
    verb, arguments, _ = documented(method)
    ours_verb, ours = METHODS[method]
    assert ours_verb == verb
    assert ours.keys() <= arguments.keys() | YOUNGER.get(method, set())
    assert {name for name, needed in arguments.items() if needed} <= ours.keys()


@pytest.mark.parametrize("method", KNOWN)
def test_every_documented_error_of_a_method_has_a_name(method: str):
    _, _, errors = documented(method)
    assert errors - OURS <= CODES.keys() | HELD | LATER | UNKNOWN


def test_refusals_are_words_of_the_specification():
    errors = documented("chat.postMessage")[2] | documented("auth.test")[2]
    assert set(TROUBLES.values()) - {"cannot_reply_to_message"} <= errors  # younger than the specification
