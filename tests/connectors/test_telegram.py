"""Kind `telegram`: the kit, and what is Telegram's own."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from connectors.channels.telegram import TelegramConnector
from plugins import (
    Answer,
    Edited,
    Envelope,
    Fact,
    Identity,
    MediaRef,
    Message,
    Outgoing,
    Pause,
    Refuse,
    Skipped,
    utf16_units,
)
from plugins.testing.lines import LiveAttempt, LiveHub
from plugins.testing.standins.telegram import GROUP, Telegram
from plugins.testing.stubs import START, StubAttempt
from plugins.testing.vendor import VendorConformance
from tests.shared import shared

ANN = Identity(scheme="telegram", value="7000000001")


class TestTelegram(VendorConformance):
    cls = TelegramConnector
    table = {"token": "env:TOKEN", "secret": "env:HOOK"}
    signature_header = "x-telegram-bot-api-secret-token"
    signed_time = False
    signed_body = False

    def secret(self, name):
        return {"TOKEN": "110201543:canary-TOKEN", "HOOK": "canary-HOOK"}[name]

    def far(self):
        return Telegram(self.secret("TOKEN"), self.secret("HOOK"))

    def measure(self, text):
        return utf16_units(text)

    def polling(self):
        return {"token": "env:TOKEN"}

    def requests(self):
        far = self.far()
        said = far.says("My phone is broken \u00e9")
        return [far.request(each) for each in (said, far.edits(said, "My laptop"), far.says("Hi", private=False))]

    def payloads(self) -> Iterator[tuple[str, Envelope]]:
        for name, update in recorded():
            raw = json.dumps(update).encode()
            yield name, Envelope(key=name, raw=raw, at=START)


def recorded() -> Iterator[tuple[str, Any]]:
    """Updates as they are, and objects that are messages put into one; none where the shared data is absent."""
    for number, each in enumerate(shared("webhooks/telegram_teloxide/updates.json", [])):
        yield f"update {number}", each["json"]
    for number, each in enumerate(shared("webhooks/telegram_teloxide/objects.json", [])):
        if "message_id" in each["json"] and "chat" in each["json"]:
            yield f"message {number}", {"update_id": number, "message": each["json"]}


@pytest.fixture
def far() -> Telegram:
    return TestTelegram().far()


@pytest.fixture
def bot() -> TelegramConnector:
    return TestTelegram().make()


def read(bot: TelegramConnector, far: Telegram, event: Any) -> Any:
    envelope = bot.verify(far.request(event))
    assert isinstance(envelope, Envelope)
    [item] = bot.parse(envelope)
    return item


def test_private_message_has_its_sender_chat_and_way_back(bot, far):
    item = read(bot, far, far.says("Hello", reply_to_message={"message_id": 54}))
    assert isinstance(item, Message)
    assert (item.sender.identity, item.sender.assurance, item.sender.name) == (ANN, 1, "Ann")
    assert (item.thread, item.language, item.replies_to) == (ANN.value, "en", (f"{ANN.value}/54",))


def test_people_of_one_group_have_threads_of_their_own_and_a_topic_is_one_thread(bot, far):
    ann, bob = (read(bot, far, far.says("Hi", who=who, private=False)) for who in ("ann", "bob"))
    assert ann.thread != bob.thread
    topic = {"message_thread_id": 7, "is_topic_message": True}
    ann, bob = (read(bot, far, far.says("Hi", who=who, private=False, **topic)) for who in ("ann", "bob"))
    assert ann.thread == bob.thread == f"{GROUP}/topic/7"


def test_files_are_named_to_be_fetched_later(bot, far):
    photo = [{"file_id": "small"}, {"file_id": "large"}]
    item = read(bot, far, far.says("", photo=photo, caption="The screen"))
    assert (item.text, [media.ref for media in item.media]) == ("The screen", ["large"])
    document = {"file_id": "f", "file_name": "log.txt", "mime_type": "text/plain"}
    [media] = read(bot, far, far.says("", document=document)).media
    assert (media.ref, media.name, media.type) == ("f", "log.txt", "text/plain")


def test_address_behind_a_link_stays_readable(bot, far):
    entities = [{"type": "text_link", "offset": 0, "length": 4, "url": "https://x.test/"}]
    assert read(bot, far, far.says("here", entities=entities)).text == "here\nhttps://x.test/"


def test_place_and_contact_are_put_into_words(bot, far):
    said = read(bot, far, far.says("", location={"latitude": 1.5, "longitude": 2.5}))
    assert said.text == "geo:1.5,2.5"
    said = read(bot, far, far.says("", contact={"phone_number": "+1555", "first_name": "Ann"}))
    assert "+1555" in said.text


def test_deep_link_brings_a_token_that_is_not_in_the_text(bot, far):
    item = read(bot, far, far.says("/start Abc-1_2"))
    assert (item.tokens, item.text) == (("Abc-1_2",), "")


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({"text": "/start"}, "start"),
        ({"new_chat_title": "x"}, "service message"),
        ({"text": "x", "sender_chat": {"id": -1, "type": "channel"}}, "in the name of a chat"),
        ({"text": "x", "from": {"id": 5, "is_bot": True}}, "by a bot"),
        ({"text": "x", "chat": {"id": -5, "type": "channel"}}, "posted in a channel"),
    ],
)
def test_what_is_no_message_for_the_desk_has_its_reason(bot, far, event, reason):
    said = far.says("")
    item = read(bot, far, {**said, "message": {**said["message"], **event}})
    assert isinstance(item, Skipped)
    assert reason in item.reason


def test_unknown_kind_of_update_is_skipped_by_its_name(bot, far):
    item = read(bot, far, {"update_id": 1, "chat_boost": {"x": 1}})
    assert isinstance(item, Skipped)
    assert "chat_boost" in item.reason
    assert not item.park


def test_person_who_blocks_the_bot_is_a_fact(bot, far):
    for status, what in (("kicked", "blocked"), ("member", "opted_in")):
        said = {
            "chat": {"id": 7, "type": "private"},
            "from": {"id": 7},
            "date": 0,
            "new_chat_member": {"status": status},
        }
        item = read(bot, far, {"update_id": 2, "my_chat_member": said})
        assert isinstance(item, Fact)
        assert (item.what, item.who.value) == (what, "7")


def test_update_that_is_none_is_stored_and_parked(bot, far):
    item = read(bot, far, {"update_id": 3, "message": {"text": 1}})
    assert isinstance(item, Skipped)
    assert item.park


def test_edited_caption_is_an_edit(bot, far):
    said = far.says("", photo=[{"file_id": "p"}], caption="a")
    changed = far.edits(said, "")
    changed["edited_message"]["caption"] = "b"
    item = read(bot, far, changed)
    assert isinstance(item, Edited)
    assert (item.text, item.by) == ("b", ANN)


def out(far: Telegram, **more: Any) -> Outgoing:
    return Outgoing(**{"key": "k", "to": far.person, "text": "Hello", "thread": "", **more})


async def perform(far: Telegram, work: Outgoing, **blobs: bytes) -> list[Any]:
    settings, _ = TestTelegram()._load({**TestTelegram.table, "api_url": far.url})
    bot = TelegramConnector("sample", settings)
    attempt = LiveAttempt(blobs=blobs)
    return [await bot.perform(step, attempt) for step in bot.plan(work)]


def way(chat: int) -> bytes:
    return msgspec.json.encode({"chat": chat})


async def test_private_answer_never_goes_into_a_group(far):
    async with far:
        await perform(far, out(far, reply_via=way(GROUP), private=True))
        await perform(far, out(far, reply_via=way(GROUP), private=False))
        assert [each.to for each in far.heard] == [ANN.value, str(GROUP)]


async def test_answer_to_a_group_that_moved_follows_it_once(far):
    async with far:
        far.moved[GROUP] = -1009
        far.chats.add(-1009)
        [done] = await perform(far, out(far, reply_via=way(GROUP), private=False))
        assert [each.to for each in far.heard] == ["-1009"]
        assert done.ref.startswith("-1009/")
        assert json.loads(done.reply_via)["chat"] == -1009


async def test_file_is_sent_after_the_text(far):
    async with far:
        file = MediaRef(sha256="aa", name="log.txt", type="text/plain", size=5)
        await perform(far, out(far, media=(file,)), aa=b"bytes")
        assert [(each.text, each.file) for each in far.heard] == [("Hello", None), ("", b"bytes")]


async def test_file_over_the_limit_is_refused_before_anything_is_sent(bot, far):
    with pytest.raises(Refuse) as caught:
        bot.plan(out(far, media=(MediaRef(sha256="aa", size=(50 << 20) + 1),)))
    assert caught.value.code == "media_too_large"


async def test_page_of_a_proxy_is_no_answer_of_telegrams(bot):
    page = StubAttempt(lambda _: Answer(status=403, body=b"<html>"))
    with pytest.raises(Pause, match="in between"):
        await bot.perform(bot.plan(out(Telegram()))[0], page)


async def test_file_is_fetched_with_the_token_hidden(far):
    async with far:
        far.files["f1"] = b"bytes"
        settings, _ = TestTelegram()._load({**TestTelegram.table, "api_url": far.url})
        hub = LiveHub()
        assert await TelegramConnector("sample", settings).fetch("f1", hub) == b"bytes"
        assert "canary" not in repr(hub.calls)
        with pytest.raises(Refuse) as caught:
            await TelegramConnector("sample", settings).fetch("f2", hub)
        assert caught.value.code == "media_unsupported"


async def test_offset_older_than_a_week_is_not_asked_for(far):
    async with far:
        settings, _ = TestTelegram()._load({"token": "env:TOKEN", "api_url": far.url})
        hub = LiveHub()
        hub.cursors[""] = msgspec.json.encode({"offset": 99_999_999, "at": "2026-11-01T00:00:00Z"})
        await far.push(far.says("after the holidays"))
        await TestTelegram()._run_until(far, hub, lambda: hub.envelopes)
        assert len(hub.envelopes) == 1
        assert settings.secret is None


async def test_check_names_what_keeps_updates_away(far):
    async with far:
        settings, _ = TestTelegram()._load({**TestTelegram.table, "api_url": far.url})
        findings = await TelegramConnector("sample", settings).check(LiveHub())
        assert [(finding.ok, "webhook" in finding.what) for finding in findings] == [(True, False), (False, True)]
        far.trouble = "token_revoked"
        far._token = "another"
        [finding] = await TelegramConnector("sample", settings).check(LiveHub())
        assert not finding.ok


@pytest.mark.parametrize("token", ["x", "1:short", "bot110201543:abcdefghijklmnop"])
def test_token_of_another_form_is_refused_without_being_shown(token):
    kit = TestTelegram()
    kit.secret = {"TOKEN": token}.get
    _, problems = kit._load({"token": "env:TOKEN"})
    assert [("BotFather" in str(problem), token in str(problem)) for problem in problems] == [(True, False)]
