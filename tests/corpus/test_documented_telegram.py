"""The stand-in says nothing that the documented Bot API does not say."""

import pytest

from plugins.testing.standins.telegram import METHODS, TROUBLES
from tests.shared import shared

API = shared("specs/telegram_bot_api_spec/api.json")
ERRORS = shared("webhooks/telegram_teloxide/objects.json")


@pytest.mark.parametrize("method", METHODS)
def test_parameters_are_those_of_the_documentation(method: str):
    documented = {field["name"]: field["required"] for field in API["methods"][method].get("fields", [])}
    assert METHODS[method].items() <= documented.items()
    assert {name for name, needed in documented.items() if needed} <= METHODS[method].keys()


@pytest.mark.parametrize(("name", "fields"), [
    ("Update", {"update_id", "message", "edited_message", "my_chat_member"}),
    ("Message", {"message_id", "date", "from", "chat", "text", "reply_to_message", "message_thread_id", "edit_date"}),
    ("File", {"file_id", "file_unique_id", "file_path"}),
    ("ResponseParameters", {"retry_after", "migrate_to_chat_id"}),
    ("WebhookInfo", {"url", "has_custom_certificate", "pending_update_count", "last_error_message"}),
])  # fmt: skip
def test_fields_are_those_of_the_documentation(name: str, fields: set[str]):
    assert fields <= {field["name"] for field in API["types"][name]["fields"]}


def test_refusal_is_worded_as_recorded():
    recorded = {each["json"].get("description") for each in ERRORS if each["json"].get("ok") is False}
    assert TROUBLES["recipient_blocked"][1] in recorded
