"""Kind `mastodon`: answers, files and what the server says to them."""

import json
from typing import Any

import msgspec
import pytest

from connectors.channels.mastodon import MastodonConnector, MastodonSettings
from plugins import Answer, Identity, MediaRef, Outgoing, Pause, Refuse, Retry, Secret, Uncertain
from plugins.testing.lines import LiveAttempt, LiveHub
from plugins.testing.standins.mastodon import Mastodon
from plugins.testing.stubs import FakeClock, StubAttempt

ANN = Identity(scheme="mastodon", value="ann@remote.test")


@pytest.fixture
def far() -> Mastodon:
    return Mastodon("canary-token")


def talking(url: str = "https://social.acme.test", **more: Any) -> MastodonConnector:
    return MastodonConnector("sample", MastodonSettings(api_url=url, token=Secret("canary-token"), **more))


def out(**more: Any) -> Outgoing:
    return Outgoing(**{"key": "k", "to": ANN, "text": "Hello", "thread": "", **more})


def way(far: Mastodon, visibility: str, **more: Any) -> bytes:
    """To a post that is there."""
    event = far.says("Help", visibility=visibility)
    far.queue([event])
    return msgspec.json.encode({"status": event["status"]["id"], "visibility": visibility, **more})


async def perform(far: Mastodon, work: Outgoing, **blobs: bytes) -> list[Any]:
    made, done = talking(far.url), list[Any]()
    for number, step in enumerate(made.plan(work)):
        done.append(await made.perform(step, LiveAttempt(key=f"key-{number}", made=done, blobs=blobs)))
    return done


def posted(far: Mastodon) -> list[dict[str, Any]]:
    return [far.statuses[each.ref] for each in far.heard]


@pytest.mark.parametrize(
    ("asked", "private", "answered"),
    [
        ("public", False, "public"),
        ("unlisted", False, "unlisted"),
        ("private", False, "direct"),
        ("direct", True, "direct"),
        ("direct", False, "direct"),
        ("public", True, "direct"),
    ],
)
async def test_visibility_is_kept_and_never_widened(far, asked, private, answered):
    async with far:
        await perform(far, out(reply_via=way(far, asked), private=private))
        assert [each["visibility"] for each in posted(far)] == [answered]
        assert [each.to for each in far.heard] == [ANN.value]


async def test_answer_without_a_way_back_is_direct(far):
    async with far:
        await perform(far, out(private=False))
        assert [each["visibility"] for each in posted(far)] == ["direct"]


@pytest.mark.parametrize(("visibility", "called"), [("direct", ["ann@remote.test"]), ("public", 2)])
async def test_direct_message_reaches_nobody_whom_its_text_names(far, visibility, called):
    async with far:
        await perform(far, out(text="Ask @bob", reply_via=way(far, visibility), private=visibility == "direct"))
        [post] = posted(far)
        names = [each["acct"] for each in post["mentions"]]
        assert names == called if isinstance(called, list) else len(names) == called


async def test_file_whose_name_calls_somebody_goes_to_the_person_alone(far):
    async with far:
        file = MediaRef(sha256="aa", name="@bob.png", type="image/png", size=5)
        await perform(far, out(text="", media=(file,)), aa=b"bytes")
        assert [each.to for each in far.heard] == ["ann@remote.test"]


async def test_parts_follow_each_other_under_the_same_warning(far):
    async with far:
        back = way(far, "public", warning="rant")
        done = await perform(far, out(text="word " * 250, reply_via=back, private=False))
        assert len(done) == 3
        above = [each["in_reply_to_id"] for each in posted(far)]
        assert above == [json.loads(back)["status"], done[0].ref, done[1].ref]
        assert far.refused == []


async def test_picture_is_a_post_of_its_own_when_the_server_is_done_with_it(far):
    async with far:
        far.busy = 2
        file = MediaRef(sha256="aa", name="x.png", type="image/png", size=5)
        await perform(far, out(reply_via=way(far, "direct"), media=(file,)), aa=b"bytes")
        assert [(each.text, each.file) for each in far.heard] == [("Hello", None), ("x.png", b"bytes")]


async def test_picture_that_is_never_done_is_tried_later(far):
    async with far:
        far.busy = 1000
        file = MediaRef(sha256="aa", name="x.png", type="image/png", size=5)
        with pytest.raises(Retry):
            await perform(far, out(text="", media=(file,)), aa=b"bytes")
        assert far.heard == []


@pytest.mark.parametrize(
    ("kind", "size", "code"),
    [("application/pdf", 5, "media_unsupported"), ("image/png", (16 << 20) + 1, "media_too_large")],
)
def test_file_that_mastodon_takes_not_is_refused_before_anything_is_sent(kind, size, code):
    with pytest.raises(Refuse) as caught:
        talking().plan(out(media=(MediaRef(sha256="aa", type=kind, size=size),)))
    assert caught.value.code == code


async def test_answer_to_a_post_that_is_gone_is_refused_by_name(far):
    async with far:
        with pytest.raises(Refuse) as caught:
            await perform(far, out(reply_via=msgspec.json.encode({"status": "9", "visibility": "direct"})))
        assert caught.value.code == "original_gone"


async def test_account_that_the_server_does_not_find_is_named(far):
    async with far:
        with pytest.raises(Refuse) as caught:
            await perform(far, out(to=Identity(scheme="mastodon", value="gone@remote.test")))
        assert caught.value.code == "recipient_unknown"


@pytest.mark.parametrize("value", ["ann", "@ann", "ann@", "ann@x y", "a\nb@x", "ann@x.test,@eve@y.test"])
def test_address_that_is_none_of_mastodons_is_refused(value):
    with pytest.raises(Refuse):
        talking().plan(out(to=Identity(scheme="mastodon", value=value)))


async def test_wait_is_by_the_servers_clock_whatever_ours_says():
    headers = {"date": "Sun, 22 Nov 2026 12:00:00 GMT", "x-ratelimit-reset": "2026-11-22T12:04:10.123456Z"}
    made, stub = talking(), StubAttempt(lambda _: Answer(status=429, headers=headers))
    stub.clock = FakeClock()
    with pytest.raises(Retry) as caught:
        await made.perform(made.plan(out())[0], stub)
    assert caught.value.after == pytest.approx(250.1, abs=0.1)


@pytest.mark.parametrize(
    ("status", "words", "error"),
    [
        (403, "This action is outside the authorized scopes", Pause),
        (403, "Your login is currently disabled", Pause),
        (422, "Cannot attach files that have not finished processing", Retry),
        (422, "Validation failed: something new", Refuse),
    ],
)
async def test_words_decide_what_comes_next(status, words, error):
    made, stub = talking(), StubAttempt(lambda _: Answer(status=status, body=json.dumps({"error": words}).encode()))
    with pytest.raises(error):
        await made.perform(made.plan(out())[0], stub)


async def test_words_are_asked_for_in_the_language_that_we_read():
    made, stub = talking(), StubAttempt(lambda _: Answer(status=200, body=b'{"id":"1","mentions":[{"acct":"ann"}]}'))
    await made.perform(made.plan(out())[0], stub)
    assert stub.calls[0].headers["accept-language"] == "en"
    assert stub.calls[0].headers["idempotency-key"] == stub.key


async def test_server_that_shows_a_direct_message_to_others_is_named():
    body = b'{"id": "1", "visibility": "public", "mentions": [{"acct": "ann"}]}'
    made, stub = talking(), StubAttempt(lambda _: Answer(status=200, body=body))
    with pytest.raises(Refuse, match="delete it there"):
        await made.perform(made.plan(out())[0], stub)


async def test_page_of_a_proxy_is_no_answer_of_mastodons():
    made = talking()
    for status, error in ((403, Pause), (200, Uncertain)):
        stub = StubAttempt(lambda _, status=status: Answer(status=status, body=b"<html>"))
        with pytest.raises(error, match="in between"):
            await made.perform(made.plan(out())[0], stub)


async def test_file_is_fetched_without_showing_the_token(far):
    async with far:
        far.files["x.png"] = b"bytes"
        assert await talking(far.url).fetch(f"{far.url}/system/x.png", LiveHub()) == b"bytes"
        assert far.refused == []
        for odd in ("http://169.254.169.254/", "file:///etc/passwd", f"{far.url}@evil.test/"):
            with pytest.raises(Refuse):
                await talking(far.url).fetch(odd, LiveHub())


async def test_check_says_whose_token_it_is_and_what_does_not_fit(far):
    async with far:
        found = await talking(far.url).check(LiveHub())
        assert [each.ok for each in found] == [True, True]
        found = await talking(far.url, characters=5000).check(LiveHub())
        assert [(each.ok, each.fix) for each in found[1:]] == [(False, "characters = 500")]
        far._token = "another"
        [finding] = await talking(far.url).check(LiveHub())
        assert not finding.ok
