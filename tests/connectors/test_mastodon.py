"""Kind `mastodon`: the kit, and what people say there."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest

from connectors.channels.mastodon import MastodonConnector
from connectors.channels.mastodon.text import measure, plain, unmentioned
from plugins import Edited, Envelope, Identity, Message, Skipped
from plugins.testing.lines import LiveHub
from plugins.testing.standins.mastodon import Mastodon, length
from plugins.testing.stubs import START
from plugins.testing.vendor import VendorConformance
from tests.shared import shared_folder

ANN = Identity(scheme="mastodon", value="ann@remote.test")
ABOUT = {"me": Mastodon.me, "domain": "desk.test"}


class TestMastodon(VendorConformance):
    cls = MastodonConnector
    table = {"api_url": "https://social.acme.test", "token": "env:TOKEN", "poll": 0.1}

    def far(self):
        return Mastodon(self.secret("TOKEN"))

    def measure(self, text):
        return measure(f"@{ANN.value} ") + measure(text)

    def envelopes(self):
        far = self.far()
        said = far.says("My phone is broken \u00e9")
        changed = {"changed": {**said["status"], "edited_at": "2026-11-21T12:01:00.000Z"}}
        others = [changed, {"gone": "7"}]
        return [
            enveloped(said),
            enveloped(far.says("Hi", private=False, in_reply_to_id="5"), root="4"),
            enveloped(far.says("Look", media_attachments=[{"url": "https://x.test/a.png", "description": "It"}])),
            *(enveloped(each, key=f"status {n}", kind="status") for n, each in enumerate(others)),
        ]

    def payloads(self) -> Iterator[tuple[str, Envelope]]:
        for name, notification in recorded():
            yield name, enveloped(notification)


def recorded() -> Iterator[tuple[str, Any]]:
    """Notifications that servers gave, and posts put into one; none where the shared data is absent."""
    folder = shared_folder()
    for file in sorted(folder.glob("recordings/mastodon_py/api_recordings/*.json")) if folder else ():
        for number, exchange in enumerate(json.loads(file.read_text())):
            told, path = answer_of(exchange), urlsplit(exchange["request"]["uri"]).path
            for n, each in enumerate(told if isinstance(told, list) else [told]):
                if path == "/api/v1/notifications" and "type" in each:
                    yield f"{file.stem} {number} {n}", each
                elif isinstance(each, dict) and {"visibility", "content", "account"} <= each.keys():
                    yield f"{file.stem} {number} {n}", {"id": each["id"], "type": "mention", "status": each}


def answer_of(exchange: Any) -> Any:
    """Of a recorded exchange, where it is JSON."""
    try:
        return json.loads(exchange["response"]["body"])
    except (ValueError, TypeError):
        return None


def enveloped(told: Any, *, key: str = "", **facts: str) -> Envelope:
    raw = json.dumps(told).encode()
    return Envelope(key=key or f"notification {told['id']}", raw=raw, at=START, facts={**ABOUT, **facts})


def read(told: Any, **facts: str) -> Any:
    [item] = TestMastodon().make().parse(enveloped(told, **facts))
    return item


@pytest.fixture
def far() -> Mastodon:
    return TestMastodon().far()


# ---- what is said ------------------------------------------------------------------------------------------


def test_direct_message_is_private_and_its_words_have_no_call_to_us(far):
    item = read(far.says("Hello <you> & me\nagain"))
    assert isinstance(item, Message)
    assert (item.sender.identity, item.sender.assurance, item.private) == (ANN, 1, True)
    assert (item.text, item.language) == ("Hello <you> & me\nagain", "en")


@pytest.mark.parametrize(("visibility", "private"), [("public", False), ("unlisted", False), ("private", False)])
def test_what_others_can_read_is_not_private(far, visibility, private):
    assert read(far.says("Hi", private=False, visibility=visibility)).private is private


def test_account_of_our_own_server_has_its_domain(far):
    assert read(far.says("Hi", who="bob")).sender.identity.value == "bob@desk.test"


def test_public_thread_is_its_root_and_a_direct_one_is_each_persons_own(far):
    public = [read(far.says("Hi", who=who, private=False, in_reply_to_id="5"), root="4") for who in ("ann", "bob")]
    direct = [read(far.says("Hi", who=who, in_reply_to_id="5"), root="4") for who in ("ann", "bob")]
    assert [each.thread for each in public] == ["4", "4"]
    assert len({each.thread for each in (*public, *direct)}) == 3
    assert public[0].replies_to == ("5",)


def test_content_warning_is_the_subject(far):
    assert read(far.says("Hi", spoiler_text="rant")).subject == "rant"


def test_files_are_named_to_be_fetched_later_with_their_descriptions(far):
    files = [{"id": "1", "url": "https://files.test/a/x.png", "description": "The screen"}, {"id": "2", "url": None}]
    item = read(far.says("Look", media_attachments=files))
    assert [(each.ref, each.name, each.type) for each in item.media] == [(files[0]["url"], "x.png", "image/png")]
    assert item.text == "Look\n[The screen]"


def test_edited_post_is_an_edit_and_a_lost_one_a_deletion(far):
    said = far.says("First")["status"]
    item = read({"id": "x", "changed": {**said, "edited_at": "2026-11-21T12:01:00.000Z"}}, kind="status")
    assert isinstance(item, Edited)
    assert (item.of, item.text, item.at.minute, item.by) == (said["id"], "First", 1, ANN)
    gone = read({"id": "x", "gone": said["id"]}, kind="status")
    assert (gone.text, gone.by) == (None, None)


@pytest.mark.parametrize(
    ("change", "reason", "park"),
    [
        ({"type": "favourite"}, "favourite", False),
        ({"type": "dance"}, "dance", False),
        ({"status": None}, "is gone", False),
        ({"status": {"id": 5}}, "not a notification", True),
    ],
)
def test_what_is_no_message_for_the_desk_has_its_reason(far, change, reason, park):
    item = read({**far.says("Hi"), **change})
    assert isinstance(item, Skipped)
    assert (reason in item.reason, item.park) == (True, park)


def test_automatic_account_is_never_answered_by_itself(far):
    said = far.says("Beep")
    said["status"]["account"]["bot"] = True
    assert read(said).automatic == "bulk"


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<p>One<br>two</p><p>three</p>", "One\ntwo\n\nthree"),
        ('<a href="https://x.test/a/b"><span class="invisible">https://</span>x.test/a/b</a>', "https://x.test/a/b"),
        ('<a href="https://x.test/">here</a>', "here https://x.test/"),
        ('<a class="mention hashtag" href="https://x.test/tags/vpn">#<span>vpn</span></a>', "#vpn"),
        ('<a href="javascript:x">here</a>', "here"),
        ("<ul><li>a</li><li>b</li></ul>", "a\nb"),
        ("1 &lt; 2 <", "1 < 2 <"),
        ("<script>x</script>", "x"),
    ],
)
def test_markup_becomes_what_a_person_reads(markup, text):
    assert plain(markup) == text


def test_reference_to_no_character_leaves_the_words_around_it_readable(far):
    said = far.says("Hi")
    said["status"]["content"] = f'<p>VPN &#{"9" * 5_000}; <a href="https://x.test/&#{"9" * 5_000};">down</a></p>'
    assert read(said).text == "VPN \ufffd down https://x.test/\ufffd"


def test_post_is_read_whose_file_has_no_address(far):
    item = read(far.says("Look", media_attachments=[{"id": "1", "url": "https://["}]))
    assert (item.text, [(each.ref, each.name) for each in item.media]) == ("Look", [("https://[", "file")])


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("abc", 3),
        ("https://example.org/a-very-long-address-of-a-page?with=much", 23),
        ("see https://a.de, ok", 4 + 23 + 4),
        ("@ann@remote.example.org hi", 7),
        ("mail ann@example.org", 20),
        ("\u65e5\u672c", 2),
        ("e\u0301", 1),
        ("\U0001f600", 1),
    ],
)
def test_length_is_counted_as_mastodon_does(text, count):
    assert measure(text) == count
    assert length(text) in (count, len(text))


def test_nobody_is_called_by_a_text_that_names_them():
    assert "@bob" not in unmentioned("Ask @bob@remote.test, or (@eve)")
    for same in ("mail ann@example.org", "https://x.test/@bob", "5 @ 3"):
        assert unmentioned(same) == same


@pytest.mark.parametrize(
    "text", ["@" + "a" * 200_000, "@a" * 100_000, "https://" + "a." * 100_000, "https://a.de/" * 9000]
)
def test_long_texts_are_counted_at_once(text):
    assert measure(text) > 0
    assert unmentioned(text)


@pytest.mark.parametrize(
    "markup", ["<a href='https://x.test/'>" * 40_000, "<" * 10**6, "<a " * 300_000, "</a>" * 10**5]
)
def test_odd_markup_is_read_at_once(markup):
    assert isinstance(plain(markup + "</a>" * 1000), str)


# ---- fetching ----------------------------------------------------------------------------------------------


async def bring(far: Mastodon, hub: LiveHub, number: int) -> list[Envelope]:
    await TestMastodon()._run_until(far, hub, lambda: len(hub.envelopes) >= number)
    return list(hub.envelopes.values())


async def test_root_of_a_thread_is_looked_up(far):
    async with far:
        hub, first = LiveHub(), far.says("one", private=False)
        second = far.says("two", private=False, in_reply_to_id=first["status"]["id"])
        third = far.says("three", private=False, in_reply_to_id=second["status"]["id"])
        await far.push(first, second, third)
        items = [next(iter(TestMastodon().make().parse(each))) for each in await bring(far, hub, 3)]
        assert {each.thread for each in items} == {first["status"]["id"]}


async def test_id_that_shows_late_is_not_lost(far):
    async with far:
        hub, late = LiveHub(), far.says("late")
        await far.push(far.says("one"))
        await bring(far, hub, 1)
        await far.push(late)
        assert len(await bring(far, hub, 2)) == 2


async def test_more_than_a_page_comes_whole_and_in_order(far):
    async with far:
        hub = LiveHub()
        await far.push(far.says("0"))
        await bring(far, hub, 1)
        await far.push(*(far.says(str(n)) for n in range(1, 200)))
        found = await bring(far, hub, 200)
        texts = [item.text for each in found for item in TestMastodon().make().parse(each)]
        assert texts == [str(n) for n in range(200)]


async def test_event_is_the_same_whoever_liked_it_meanwhile(far):
    async with far:
        said = far.says("one")
        await far.push(said)
        [first] = await bring(far, LiveHub(), 1)
        said["status"]["favourites_count"] = 5
        [second] = await bring(far, LiveHub(), 1)
        assert first.raw != second.raw
        assert (first.key, first.fingerprint) == (second.key, second.fingerprint)


async def test_server_with_small_pages_is_read_whole(far):
    far.page = 40
    async with far:
        hub = LiveHub()
        await far.push(*(far.says(str(n)) for n in range(30)))
        await bring(far, hub, 30)
        await far.push(*(far.says(str(n)) for n in range(70)))
        assert len(await bring(far, hub, 100)) == 100


async def test_old_mentions_are_left_alone_at_the_first_start_only(far):
    async with far:
        hub, old = LiveHub(), far.says("old")
        old["created_at"] = "2020-01-01T00:00:00.000Z"
        await far.push(old, far.says("new"))
        [envelope] = await bring(far, hub, 1)
        assert b"new" in envelope.raw
        again = far.says("after years of silence")
        again["created_at"] = "2020-01-01T00:00:00.000Z"
        await far.push(again)
        assert len(await bring(far, hub, 2)) == 2


@pytest.mark.parametrize("what", ["edits", "deletes"])
async def test_change_of_a_known_post_is_noticed_once(far, what):
    async with far:
        hub, said = LiveHub(), far.says("Firts")
        await far.push(said)
        await bring(far, hub, 1)
        await far.push(far.edits(said, "First") if what == "edits" else far.deletes(said))
        [_, envelope] = await bring(far, hub, 2)
        [item] = TestMastodon().make().parse(envelope)
        assert (item.of, item.text) == (said["status"]["id"], "First" if what == "edits" else None)
        before = len(far.asked)
        await TestMastodon()._run_until(far, hub, lambda: len(far.asked) > before + 5)
        assert len(hub.envelopes) == 2


async def test_server_that_gives_no_posts_in_bulk_is_read_without_edits(far):
    async with far:
        far.batches = False
        hub, said = LiveHub(), far.says("one")
        await far.push(said)
        await bring(far, hub, 1)
        await far.push(far.deletes(said), far.says("two"))
        assert len(await bring(far, hub, 2)) == 2
        assert far.refused == []


async def test_cursor_is_small_however_much_came(far):
    async with far:
        hub = LiveHub()
        await far.push(*(far.says(str(n)) for n in range(79)))
        await bring(far, hub, 79)
        cursor = msgspec.json.decode(hub.cursors[""])
        assert (len(cursor["seen"]), len(cursor["watched"])) == (20, 40)
