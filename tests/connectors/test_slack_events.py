"""Kind `slack`: signatures, and what events say."""

from urllib.parse import urlencode

import msgspec
import pytest
from slack_sdk.signature import SignatureVerifier

from connectors.channels.slack import SlackConnector
from connectors.channels.slack.markup import escaped, readable
from plugins import (
    Edited,
    Envelope,
    Fact,
    Identity,
    Message,
    NotAuthentic,
    Reply,
    Request,
    Skipped,
)
from plugins.testing.lines import LiveHub
from plugins.testing.standins.slack import BOT, TEAM, Slack
from plugins.testing.stubs import START
from tests.connectors.slack_kit import ANN, SlackKit, live, loaded, read


@pytest.fixture
def far() -> Slack:
    return SlackKit().far()


@pytest.fixture
def app() -> SlackConnector:
    return SlackKit().make()


# ---- the signature ---------------------------------------------------------------------------------------


def signed(secret: str, stamp: str, body: bytes, signature: str) -> Envelope | Reply:
    kit = SlackKit()
    kit.secret = {"TOKEN": "xoxb-1", "SIGN": secret, "APP": "xapp-1"}.get
    headers = {"x-slack-signature": signature, "x-slack-request-timestamp": stamp}
    at = START.fromtimestamp(int(stamp), START.tzinfo)
    return kit.make().verify(Request(method="POST", url="https://x.test/", headers=headers, body=body, at=at))


def test_signature_is_the_one_of_slacks_own_library():
    body = '{"type":"event_callback","event_id":"Ev1"}'
    signature = SignatureVerifier("s3cret").generate_signature(timestamp="1795262400", body=body)
    assert isinstance(signed("s3cret", "1795262400", body.encode(), signature), Envelope)


def test_challenge_is_answered_if_it_is_signed_and_nothing_is_kept(app, far):
    asked = {"type": "url_verification", "challenge": "3eZbrw", "token": "unused"}
    answer = app.verify(far.request(asked))
    assert isinstance(answer, Reply)
    assert (answer.status, answer.body) == (200, b"3eZbrw")
    forged = msgspec.structs.replace(far.request(asked), headers={})
    with pytest.raises(NotAuthentic):
        app.verify(forged)


def test_retry_of_an_event_is_the_same_event(app, far):
    first = far.request(far.says("Hello"))
    retried = {**first.headers, "x-slack-retry-num": "1", "x-slack-retry-reason": "http_timeout"}
    again = app.verify(msgspec.structs.replace(first, headers=retried))
    assert app.verify(first).key == again.key


def test_over_http_nothing_is_believed_where_events_come_by_socket_mode(far):
    settings, _ = loaded(SlackKit().polling())
    with pytest.raises(NotAuthentic):
        SlackConnector("sample", settings).verify(far.request(far.says("Hello")))


# ---- in --------------------------------------------------------------------------------------------------


def test_direct_messages_are_one_private_thread(app, far):
    item = read(app, far, far.says("Hello"))
    assert (item.sender.identity.value, item.sender.assurance, item.sender.issuer) == (ANN, 1, f"slack:{TEAM}")
    assert (item.private, item.thread, item.replies_to) == (True, "D0ANN", ())


def test_message_of_a_channel_begins_a_public_thread_and_its_replies_belong_to_it(app, far):
    root = far.says("Hello", private=False)
    reply = far.says("Me too", who="bob", private=False, thread_ts=root["event"]["ts"])
    first, second = read(app, far, root), read(app, far, reply)
    assert (first.private, second.private) == (False, False)
    assert first.thread == second.thread == first.key
    assert second.replies_to == (first.key,)


@pytest.mark.parametrize("kind", ["group", "mpim"])
def test_private_channel_has_readers(app, far, kind):
    event = far.says("Hello", private=False)
    event["event"]["channel_type"] = kind
    assert not read(app, far, event).private


def test_mention_is_the_same_message_as_the_message_itself(app, far):
    said = far.says(f"<@{BOT}> my vpn is down", private=False)
    mention = far.event({**said["event"], "type": "app_mention", "channel_type": None})
    item, again = read(app, far, said), read(app, far, mention)
    assert item.text == "my vpn is down"
    assert (again.key, again.text, again.private) == (item.key, item.text, False)


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("a &lt;b&gt; &amp; c", "a <b> & c"),
        ("&amp;lt;", "&lt;"),
        ("ask <@U1|ann> in <#C1|help>", "ask @ann in #help"),
        ("ask <@U1>", "ask @U1"),
        ("<!here> <!subteam^S1|@team> <!date^1392734382^{date}|18 February>", "@here @team 18 February"),
        ("<https://x.test/a?b=1&amp;c=2>", "https://x.test/a?b=1&c=2"),
        ("<https://x.test/|the page>", "the page (https://x.test/)"),
        ("<http://x.test|x.test> <mailto:a@x.test|a@x.test>", "http://x.test a@x.test"),
        ("1 < 2", "1 < 2"),
    ],
)
def test_markup_is_shown_as_people_see_it(written, shown):
    assert readable(written) == shown


def test_escaped_text_is_read_back_as_it_was():
    text = "<!channel> <@U1> a & b &lt; <https://x.test|y>"
    assert readable(escaped(text)) == text


def test_message_that_was_passed_on_is_in_the_text(app, far):
    item = read(app, far, far.says("", attachments=[{"is_share": True, "text": "It &amp; that"}, {"text": "preview"}]))
    assert item.text == "It & that"


def test_files_are_named_to_be_fetched_later(app, far):
    files = [
        {"id": "F1", "name": "a.log", "mimetype": "text/plain", "mode": "hosted"},
        {"id": "F2", "mode": "tombstone"},
        {"id": "F3", "mode": "external", "url_private": "https://drive.test/x"},
    ]
    item = read(app, far, far.says("", subtype="file_share", files=files))
    assert [(media.ref, media.name, media.type) for media in item.media] == [("F1", "a.log", "text/plain")]


def test_deleted_message_is_an_edit_without_text(app, far):
    said = far.says("Oops")
    item = read(app, far, far.deletes(said))
    assert isinstance(item, Edited)
    assert (item.of, item.text, item.by) == (read(app, far, said).key, None, None)  # Slack does not say who


@pytest.mark.parametrize("user", ["U0ANN", "USLACKBOT"])
def test_root_that_stays_as_a_tombstone_is_deleted(app, far, user):
    said = far.says("Oops", private=False)
    changed = far.edits(said, "This message was deleted.")
    changed["event"]["message"] |= {"subtype": "tombstone", "user": user}
    assert read(app, far, changed).text is None


@pytest.mark.parametrize(
    ("after", "by"),
    [
        ({}, ANN),
        ({"edited": None}, ANN),
        ({"user": "U0BOB"}, f"{TEAM}:U0BOB"),
        ({"edited": {"user": "U0BOB", "ts": "1.0"}}, f"{TEAM}:U0BOB"),
    ],
)
def test_edit_names_whoever_made_it(app, far, after, by):
    changed = far.edits(far.says("Firts"), "First")
    changed["event"]["message"] |= after
    assert read(app, far, changed).by == Identity(scheme="slack", value=by)


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({"bot_id": "B1"}, "by a bot"),
        ({"subtype": "bot_message"}, "by a bot"),
        ({"user": BOT}, "our own words"),
        ({"user": "USLACKBOT"}, "by a bot"),
        ({"subtype": "channel_join"}, "service message: channel_join"),
        ({"text": ""}, "without text"),
        ({"type": "reaction_added"}, "reaction_added"),
    ],
)
def test_what_is_no_message_for_the_desk_has_its_reason(app, far, event, reason):
    said = far.says("x")
    item = read(app, far, {**said, "event": {**said["event"], **event}})
    assert isinstance(item, Skipped)
    assert reason in item.reason
    assert not item.park


def test_preview_that_slack_adds_is_no_edit(app, far):
    said = far.says("see <https://x.test>")
    item = read(app, far, far.edits(said, "see <https://x.test>"))
    assert isinstance(item, Skipped)
    assert "preview" in item.reason


@pytest.mark.parametrize("what", ["edits", "deletes"])
def test_what_becomes_of_a_bots_message_is_left_alone(app, far, what):
    said = far.says("x", bot_id="B1")
    changed = far.edits(said, "y") if what == "edits" else far.deletes(said)
    assert isinstance(read(app, far, changed), Skipped)


def test_channels_that_the_setting_does_not_name_are_left_alone(far):
    settings, _ = loaded({**SlackKit.table, "channels": ["C0OTHER"]})
    app = SlackConnector("sample", settings)
    assert isinstance(read(app, far, far.says("x", private=False)), Skipped)
    assert isinstance(read(app, far, far.says("x")), Message)


@pytest.mark.parametrize("event", [
    {"type": "app_rate_limited", "team_id": TEAM, "minute_rate_limited": 1},
    {"type": "event_callback", "team_id": TEAM, "event_id": "Ev1", "event": {"type": "app_uninstalled"}},
    {"type": "event_callback", "team_id": TEAM, "event_id": "Ev1", "event": {"type": "message", "text": 1}},
    {"type": "event_callback", "team_id": TEAM, "event_id": "Ev1", "event": {"type": "message", "text": "x"}},
])  # fmt: skip
def test_what_a_person_must_know_is_parked(app, far, event):
    item = read(app, far, event)
    assert isinstance(item, Skipped)
    assert item.park


def test_forms_are_kept_and_named(app, far):
    for form, reason in (({"command": "/vpn"}, "/vpn"), ({"payload": '{"type":"block_actions"}'}, "block_actions")):
        item = read(app, far, urlencode(form).encode())
        assert isinstance(item, Skipped)
        assert reason in item.reason
        assert not item.park


def test_users_of_an_organisation_wide_app_belong_to_the_organisation(app, far):
    event = far.says("x") | {"enterprise_id": "E1"}
    event["authorizations"] = [{"user_id": BOT, "is_bot": True, "is_enterprise_install": True}]
    assert read(app, far, event).sender.identity.value == "E1:U0ANN"


# ---- profiles --------------------------------------------------------------------------------------------


async def test_profile_names_a_person_and_claims_the_mail_address(far):
    async with far:
        app = live(far)
        envelope = await app.profile(far.person, LiveHub())
        [item] = app.parse(envelope)
        assert isinstance(item, Fact)
        assert (item.who.value, item.what, item.name) == (ANN, "profile", "Ann Doe")
        [claim] = item.claims
        assert (claim.identity.value, claim.assurance, claim.issuer) == ("ann@acme.test", 1, f"slack:{TEAM}")


async def test_profile_that_slack_does_not_give_has_its_reason(far):
    async with far:
        app = live(far)
        [item] = app.parse(await app.profile(Identity(scheme="slack", value=f"{TEAM}:U9"), LiveHub()))
        assert isinstance(item, Skipped)
        assert "user_not_found" in item.reason


def test_changed_profile_is_heard_of(app, far):
    changed = far.user("ann") | {"is_email_confirmed": False}
    item = read(app, far, far.event({"type": "user_change", "user": changed}))
    assert [claim.assurance for claim in item.claims] == [0]
    item = read(app, far, far.event({"type": "user_change", "user": changed | {"deleted": True}}))
    assert item.what == "left"
