"""Kind `slack`: the kit, and answers."""

import json
from typing import Any

import msgspec
import pytest

from connectors.channels.slack import MAX_TEXT, SlackConnector
from connectors.channels.slack.api import CODES, HELD, LATER, UNKNOWN
from plugins import (
    CAUSES,
    Answer,
    MediaRef,
    Outgoing,
    Pause,
    Refuse,
    Retry,
    Uncertain,
)
from plugins.testing.lines import LiveAttempt, LiveHub
from plugins.testing.standins import Fault
from plugins.testing.standins.slack import CHANNEL, Slack
from plugins.testing.stubs import StubAttempt
from tests.connectors.slack_kit import SlackKit, live, read


class TestSlack(SlackKit):
    """All of the kit."""


@pytest.fixture
def far() -> Slack:
    return SlackKit().far()


@pytest.fixture
def app() -> SlackConnector:
    return SlackKit().make()


# ---- out -------------------------------------------------------------------------------------------------


def out(far: Slack, **more: Any) -> Outgoing:
    return Outgoing(**{"key": "k", "to": far.person, "text": "Hello", "thread": "", **more})


def way(channel: str, thread: str = "", *, private: bool = True) -> bytes:
    return msgspec.json.encode({"channel": channel, "thread": thread, "private": private})


async def perform(far: Slack, work: Outgoing, **blobs: bytes) -> list[Any]:
    app, attempt = live(far), LiveAttempt(blobs=blobs)
    return [await app.perform(step, attempt) for step in app.plan(work)]


async def test_answer_goes_into_the_thread_and_private_words_to_the_person(app, far):
    async with far:
        said = read(app, far, far.says("Hello", private=False))
        await perform(far, out(far, reply_via=said.reply_via, private=False))
        await perform(far, out(far, reply_via=said.reply_via, private=True))
        assert [each.to for each in far.heard] == [CHANNEL, "U0ANN"]
        assert far.messages[CHANNEL][-1]["thread_ts"] == said.key.partition("/")[2]
        assert far.refused == []


async def test_nothing_in_an_answer_is_markup(far):
    async with far:
        await perform(far, out(far, text="<!channel> *R&D*"))
        [said] = far.messages["D0ANN"]
        assert said["text"] == "&lt;!channel&gt; *R&amp;D*"
        assert far.heard[0].text == "<!channel> *R&D*"


async def test_length_is_counted_as_it_goes_out(app, far):
    assert [len(app.plan(out(far, text="&" * size))) for size in (MAX_TEXT // 5, MAX_TEXT // 5 + 1)] == [1, 2]


async def test_file_is_uploaded_and_then_shared_in_the_thread(app, far):
    async with far:
        said = read(app, far, far.says("Hello", private=False))
        file = MediaRef(sha256="aa", name="a.log", type="text/plain", size=5)
        await perform(far, out(far, media=(file,), reply_via=said.reply_via, private=False), aa=b"bytes")
        await perform(far, out(far, text="", media=(file,)), aa=b"bytes")
        assert [(each.to, each.file) for each in far.heard] == [
            (CHANNEL, None), (CHANNEL, b"bytes"), ("U0ANN", b"bytes"),
        ]  # fmt: skip
        assert far.refused == []


@pytest.mark.parametrize(
    ("word", "raised", "code"),
    [
        ("channel_not_found", Refuse, "recipient_unknown"),
        ("is_archived", Refuse, "recipient_unknown"),
        ("user_not_found", Refuse, "recipient_unknown"),
        ("not_in_channel", Refuse, "not_allowed"),
        ("restricted_action_read_only_channel", Refuse, "not_allowed"),
        ("msg_too_long", Refuse, "too_long"),
        ("thread_not_found", Refuse, "original_gone"),
        ("something_new", Refuse, "content_refused"),
        ("account_inactive", Pause, "token_revoked"),
        ("token_expired", Pause, "token_revoked"),
        ("missing_scope", Pause, "missing_scope"),
        ("ratelimited", Retry, "ratelimited"),
        ("internal_error", Uncertain, "internal_error"),
        ("fatal_error", Uncertain, "fatal_error"),
    ],
)
async def test_every_word_of_slacks_has_its_name(app, far, word, raised, code):
    said = StubAttempt(lambda _: Answer(status=200, body=json.dumps({"ok": False, "error": word}).encode()))
    with pytest.raises(raised, match=code) as caught:
        await app.perform(app.plan(out(far))[0], said)
    assert word in str(caught.value)


async def test_page_of_a_proxy_is_no_answer_of_slacks(app, far):
    with pytest.raises(Pause, match="in between"):
        await app.perform(app.plan(out(far))[0], StubAttempt(lambda _: Answer(status=200, body=b"<html>")))


@pytest.mark.parametrize("private", [True, False])
async def test_post_whose_answer_was_lost_is_found_among_many(app, far, private):
    async with far:
        said = read(app, far, far.says("Hello", private=private))
        work = out(far, reply_via=said.reply_via, private=private)
        [step] = live(far).plan(work)
        far.fail(Fault(kind="lost"))
        with pytest.raises(Uncertain):
            await live(far).perform(step, LiveAttempt(key="mine"))
        for _ in range(250):
            far._post(said.key.partition("/")[0], "Hello", None if private else said.key.partition("/")[2], metadata={})
        [done] = await live(far).find(step, LiveAttempt(key="mine"))
        assert done.ref == far.heard[0].ref
        assert await live(far).find(step, LiveAttempt(key="another")) == []


async def test_empty_search_is_not_believed_where_slack_shows_no_metadata(far):
    async with far:
        [step] = live(far).plan(out(far))
        await live(far).perform(step, LiveAttempt(key="mine"))
        far.shows_metadata = False
        with pytest.raises(Uncertain, match=r"metadata\.message:read"):
            await live(far).find(step, LiveAttempt(key="mine"))


async def test_file_is_fetched_with_the_token_hidden(far):
    async with far:
        far.files["F1"] = b"bytes"
        hub = LiveHub()
        assert await live(far).fetch("F1", hub) == b"bytes"
        assert "canary" not in repr(hub.calls)
        with pytest.raises(Refuse) as caught:
            await live(far).fetch("F2", hub)
        assert caught.value.code == "original_gone"


@pytest.mark.parametrize(
    "url", ["https://files.slack.com.evil.test/x", "https://evil.test/", "http://files.slack.com/x", "https://[", ""]
)
async def test_token_goes_to_no_other_host(app, url):
    told = json.dumps({"ok": True, "file": {"url_private_download": url}}).encode()
    asked = StubAttempt(lambda _: Answer(status=200, body=told))
    with pytest.raises(Refuse):
        await app.fetch("F1", asked)
    assert len(asked.calls) == 1


async def test_sign_in_page_is_no_file(app):
    def answer(call: Any) -> Answer:
        if "files.info" in str(call.url):
            told = {"ok": True, "file": {"mimetype": "image/png", "url_private": "https://files.slack.com/x"}}
            return Answer(status=200, body=json.dumps(told).encode())
        return Answer(status=200, headers={"content-type": "text/html; charset=utf-8"}, body=b"<html>")

    with pytest.raises(Refuse, match="files:read"):
        await app.fetch("F1", StubAttempt(answer))


def test_place_is_the_conversation_whatever_thread_is_answered(app, far):
    (one,), (other,) = (
        app.plan(out(far, reply_via=way(CHANNEL, thread, private=False), private=False)) for thread in ("1.1", "2.2")
    )
    assert app.place(one) == app.place(other) == CHANNEL


def test_names_of_refusals_are_those_that_agents_know():
    assert set(CODES.values()) <= CAUSES.keys()
    assert not CODES.keys() & (HELD | LATER | UNKNOWN)


async def test_yes_without_the_place_of_the_post_is_looked_into(app, far):
    with pytest.raises(Uncertain):
        await app.perform(app.plan(out(far))[0], StubAttempt(lambda _: Answer(status=200, body=b'{"ok":true}')))


async def test_search_ends_where_everything_is_older_than_what_is_in_question(far):
    async with far:
        for _ in range(450):
            far._post("D0ANN", "old", None, ts="1700000000.000100")
        [step] = live(far).plan(out(far, reply_via=way("D0ANN")))
        attempt = LiveAttempt(key="mine")
        assert await live(far).find(step, attempt) == []
        assert far.asked == ["conversations.history"]
