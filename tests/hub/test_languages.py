"""A message's language: told in a worker, among those that are configured."""

import msgspec
import pytest

from tests.hub.desk import Desk, message

DE, EN = "Der Drucker im dritten Stock geht nicht mehr, bitte helfen", "The printer on the third floor is broken again"


@pytest.fixture
async def polyglot(hub_under_test: Desk):
    await hub_under_test.start(more='[hub.triage]\nlanguages = ["en", "de"]')
    return hub_under_test


async def test_language_is_told_and_the_user_s_own_wins_over_a_weak_guess(polyglot: Desk):
    await polyglot.say(message(text=DE), message(sender="bob", text=EN), message(sender="eve", text="ok"))
    await polyglot.say(message(sender="kim", text=DE, language="fr"))
    assert await polyglot.column("SELECT language FROM messages WHERE direction = 'in' ORDER BY id") == [
        "de", "en", "", "fr",
    ]  # fmt: skip
    (user,) = await polyglot.column("SELECT user_id FROM identities WHERE value = 'eve'")
    await polyglot.operate("set_user", "eve", user, {"language": "de-CH"})
    await polyglot.say(message(sender="eve", text="ok", kind="call"), message(sender="eve", text=DE, kind="call"))
    facts = await polyglot.column("SELECT facts FROM decisions ORDER BY id")
    assert [msgspec.json.decode(one).get("language") for one in facts] == ["de", "en", None, "fr", "de-CH", "de-CH"]


async def test_message_whose_language_can_t_be_told_is_recorded_without(polyglot: Desk):
    polyglot.hub.parsers._languages = (7, 8)  # what no worker can work with
    await polyglot.say(message(text=DE))
    assert await polyglot.column("SELECT language FROM messages WHERE direction = 'in'") == [""]


async def test_hub_of_one_language_has_no_model_and_no_worker_for_it(desk: Desk):
    await desk.say(message(text=DE))
    assert desk.hub.parsers._pool is None
    assert await desk.column("SELECT language FROM messages WHERE direction = 'in'") == [""]
