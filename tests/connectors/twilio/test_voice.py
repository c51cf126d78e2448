"""Kind `twilio_voice`: the kit, and what is Twilio's own."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from connectors.channels.twilio.voice import TwilioVoiceConnector
from plugins import Envelope, Message, NotAuthentic, Refuse, Reply, Skipped, voice
from plugins.testing.conformance import ConnectorConformance
from plugins.testing.lines import LiveHub
from plugins.testing.standins.twilio import ACCOUNT, OURS
from plugins.testing.standins.twilio_calls import TwilioVoice, TwimlError, read
from plugins.testing.stubs import StubHub
from tests.connectors.twilio.menus import PARTS

BASE = "https://hub.acme.test/in/sample/"
MONDAY = datetime(2026, 11, 23, 9, tzinfo=UTC)
SUNDAY = datetime(2026, 11, 22, 9, tzinfo=UTC)
RECORDING = {"RecordingSid": f"RE{1:032x}", "RecordingUrl": "https://api.twilio.com/x/RE1", "RecordingDuration": "4"}


class TestTwilioVoice(ConnectorConformance):
    cls = TwilioVoiceConnector
    table = {"account": ACCOUNT, "tokens": ["env:TWILIO_TOKEN"], "number": OURS, **PARTS}
    signature_header = "x-twilio-signature"
    signed_time = False

    def requests(self):
        far = TwilioVoice(self.secret("TWILIO_TOKEN"))
        call = {**far.says(""), "CallStatus": "in-progress"}
        return [
            far.asks("", call),
            far.asks("step/main?n=1&t=0&l=en-GB", {**call, "Digits": "1"}),
            far.asks("step/main?n=2&t=0&l=en-GB", {**call, "Digits": "7"}),
            far.asks("step/what?n=3&t=0&l=en-GB", {**call, "SpeechResult": "My laptop burns"}),
            far.asks("step/pin?n=4&t=0&l=en-GB", {**call, "Digits": "123456789"}),
            far.asks("joined/pin?n=5&t=0&l=en-GB&of=4", call),
            far.asks("step/agent?n=6&t=0&l=en-GB", {**call, "DialCallStatus": "no-answer"}),
            far.asks("step/line?n=7&t=0&l=en-GB", {**call, "QueueResult": "bridged", "QueueTime": "30"}),
            far.asks("step/voicemail?n=8&t=0&l=en-GB", {**call, **RECORDING}),
            far.asks("recording", {**call, **RECORDING, "RecordingStatus": "completed"}),
            far.asks("transcript", {**call, "TranscriptionSid": "TR1", "TranscriptionText": "Hi",
                                    "TranscriptionStatus": "completed"}),
            far.asks("status", {**call, "CallStatus": "completed", "CallDuration": "34"}),
        ]  # fmt: skip


@pytest.fixture
def far() -> TwilioVoice:
    return TwilioVoice(TestTwilioVoice().secret("TWILIO_TOKEN"))


@pytest.fixture
def made() -> TwilioVoiceConnector:
    return TestTwilioVoice().make()


class Desk(StubHub):
    """With announcements."""

    said: tuple[str, ...] = ()

    async def notices(self):
        return self.said


async def turn(made: Any, request: Any, desk: StubHub | None = None) -> tuple[list[Any], Any]:
    """(items, the document that Twilio gets)."""
    envelope = made.verify(request)
    assert isinstance(envelope, Envelope)
    hub = desk or StubHub()
    reply = await made.respond(envelope, hub.received(envelope), hub)
    return list(made.parse(envelope)), read(reply.body, BASE)


async def test_call_begins_with_announcements_and_the_menu(made, far):
    desk = Desk()
    desk.said = ("The VPN is down & we are on it \x00\x0b.",)
    [begun], document = await turn(made, far.asks("", far.says("")), desk)
    assert [verb.tag for verb in document] == ["Say", "Gather"]
    assert document[0].text == "The VPN is down & we are on it   ."
    assert "Press 1" in document[1][0].text
    assert (begun.kind, begun.more, begun.sender.assurance) == ("call", True, 0)
    assert begun.sender.identity.value == "+15550001111"


async def test_number_is_a_claim_that_chooses_the_greeting_alone(made, far):
    [begun], document = await turn(made, far.asks("", {**far.says(""), "From": "+4930123456"}))
    assert document[-1][0].get("language") == "de-DE"
    assert begun.sender.assurance == 0


async def test_hidden_caller_is_known_by_the_call_alone(made, far):
    call = {**far.says(""), "From": "anonymous"}
    [begun], _ = await turn(made, far.asks("", call))
    assert (begun.sender.identity.scheme, begun.sender.identity.value) == ("twilio", call["CallSid"])
    assert "hidden" in begun.text


async def test_choice_is_a_message_with_fields_for_rules(made, far):
    call = far.says("")
    [item], document = await turn(made, far.asks("step/about?n=2&t=0&l=en-GB", {**call, "Digits": "1"}))
    assert (item.text, item.thread, item.more) == ("about: vpn", call["CallSid"], True)
    assert dict(item.fields) == {"about": "vpn", "service": "remote-access"}
    assert document[0].tag == "Gather"
    assert "n=3" in document[0].get("action")


@pytest.mark.parametrize(
    ("when", "verb", "more"), [(MONDAY, "Dial", False), (MONDAY + timedelta(hours=12), "Record", False)]
)
async def test_business_hours_decide_who_answers(made, far, when, verb, more):
    call = {**far.says(""), "Digits": "2"}
    [item], document = await turn(made, far.asks("step/about?n=2&t=0&l=en-GB", call, when))
    assert document[-1].tag == verb
    assert item.more is more


async def test_words_that_mean_nothing_are_kept_and_asked_again(made, far):
    call = far.says("")
    said = {**call, "SpeechResult": "My laptop burns"}
    [item], document = await turn(made, far.asks("step/main?n=1&t=0&l=en-GB", said))
    assert item.text == "My laptop burns"
    assert "t=1" in document[0].get("action")
    [item], document = await turn(made, far.asks("step/main?n=2&t=1&l=en-GB", {**call, "Digits": ""}))
    assert isinstance(item, Skipped)
    assert document[-1].tag == "Hangup"


async def test_spoken_word_is_as_good_as_its_key(made, far):
    call = {**far.says(""), "SpeechResult": "I need SUPPORT, please."}
    [item], _ = await turn(made, far.asks("step/main?n=1&t=0&l=en-GB", call))
    assert dict(item.fields) == {"main": "help"}


async def test_language_that_was_chosen_stays(made, far):
    call = {**far.says(""), "Digits": "9"}
    [item], document = await turn(made, far.asks("step/main?n=1&t=0&l=en-GB", call))
    assert item.language == "de-DE"
    assert document[0].get("language") == "de-DE"
    assert "l=de-DE" in document[0].get("action")


async def test_right_pin_leads_to_a_message_with_its_proof_and_not_with_the_pin(made, far):
    hub = StubHub()
    hub.redeemable = {"123456789"}
    call = far.says("")
    [item], document = await turn(made, far.asks("step/pin?n=4&t=0&l=en-GB", {**call, "Digits": "123456789"}), hub)
    assert isinstance(item, Skipped)
    assert document[0].tag == "Redirect"
    path = document[0].text.removeprefix(BASE)
    [item], document = await turn(made, far.asks(path, call), hub)
    assert item.tokens == (made.verify(far.asks("step/pin?n=4&t=0&l=en-GB", {**call, "Digits": "123456789"})).key,)
    assert "123456789" not in repr(item) + path


async def test_wrong_pin_is_asked_for_again_and_then_no_more(made, far):
    call = {**far.says(""), "Digits": "000000000"}
    for tries, verb in ((0, "t=1"), (1, "t=2"), (2, "step/main")):
        _, document = await turn(made, far.asks(f"step/pin?n=4&t={tries}&l=en-GB", call))
        assert verb in document[0].get("action")


async def test_voice_message_is_one_message_however_often_it_is_named(made, far):
    call = {**far.says(""), **RECORDING}
    [first], _ = await turn(made, far.asks("step/voicemail?n=8&t=0&l=en-GB", call))
    [again], document = await turn(made, far.asks("recording", {**call, "RecordingStatus": "completed"}))
    assert first.key == again.key
    assert first.media[0].ref == "https://api.twilio.com/x/RE1.mp3"
    assert len(document) == 0


@pytest.mark.parametrize(
    ("tail", "said"),
    [
        ("recording", {**RECORDING, "RecordingStatus": "absent"}),
        ("recording", {**RECORDING, "RecordingStatus": "in-progress"}),
        ("transcript", {"TranscriptionSid": "TR1", "TranscriptionStatus": "failed"}),
        ("status", {"CallStatus": "ringing"}),
        ("step/gone?n=1&t=0&l=en-GB", {"Digits": "1"}),
        ("step/main?n=1&t=0&l=en-GB", {"Digits": "7"}),
    ],
)
async def test_what_is_no_message_has_its_reason(made, far, tail, said):
    [item], _ = await turn(made, far.asks(tail, {**far.says(""), **said}))
    assert isinstance(item, Skipped)
    assert not item.park


async def test_node_that_is_gone_leads_to_the_beginning(made, far):
    _, document = await turn(made, far.asks("step/gone?n=1&t=0&l=xx", {**far.says(""), "Digits": "1"}))
    assert document[0].tag == "Gather"


def test_place_of_nobodys_is_not_kept(made, far):
    assert made.verify(far.asks("elsewhere", far.says(""))) == Reply(status=404)


def test_our_own_urls_are_signed_with_the_rest(made, far):
    request = far.asks("step/main?n=1&t=0&l=en-GB", {**far.says(""), "Digits": "1"})
    for wrong in ("n=2", "n=1&of=3"):
        with pytest.raises(NotAuthentic):
            made.verify(msgspec.structs.replace(request, url=request.url.replace("n=1", wrong)))


def test_apology_is_a_document_that_twilio_takes(made):
    assert [verb.tag for verb in read(made.accepted.body, BASE)] == ["Say", "Hangup"]


@pytest.mark.parametrize(
    "document",
    [
        "<Response><Shout>x</Shout></Response>",
        '<Response><Say loud="1">x</Say></Response>',
        "<Response><Say></Say></Response>",
        "<Response><Number>+1</Number></Response>",
        "<Response>text<Hangup/></Response>",
        '<Response><Gather action="https://evil.test/"/></Response>',
        '<Response><Gather timeout="0"/></Response>',
        "<Response><Redirect>https://evil.test/</Redirect></Response>",
        "<Response><Hangup></Response>",
        "<!DOCTYPE x><Response/>",
        "<Reply/>",
    ],
)
def test_stand_in_refuses_what_twilio_refuses(document):
    with pytest.raises(TwimlError):
        read(document.encode(), BASE)


async def test_recording_is_fetched_with_our_credentials_at_twilio_alone(far):
    async with far:
        far.recordings["RE1"] = b"mp3"
        settings, _ = TestTwilioVoice()._load({**TestTwilioVoice.table, "api_url": far.url})
        live = TwilioVoiceConnector("sample", settings)
        assert await live.fetch(f"{far.url}/2010-04-01/Accounts/{ACCOUNT}/Recordings/RE1.mp3", LiveHub()) == b"mp3"
        with pytest.raises(Refuse):
            await live.fetch("https://evil.test/RE1.mp3", LiveHub())


async def test_answer_waits_for_nothing_but_the_desk(made, far):
    envelope = made.verify(far.asks("", far.says("")))
    async with asyncio.timeout(1):
        await made.respond(envelope, StubHub().received(envelope), StubHub())


def test_every_mistake_of_a_menu_is_listed_at_once():
    menu = {**PARTS["menu"], "bye": {"do": "say", "say": "x", "next": "nowhere"}, "Odd name": {"do": "queue"}}
    hours = {"desk": {"zone": "Mars/Base", "mon": ["9-5"]}}
    wrong = {**TestTwilioVoice.table, "start": "begin", "menu": menu, "hours": hours, "by_number": {"+1": "fr-FR"}}
    settings, problems = TestTwilioVoice()._load(wrong)
    assert settings is None
    found = {problem.key.removeprefix("instance.sample.") for problem in problems}
    assert found == {
        "start", "hours.desk.zone", "hours.desk.mon", "menu.bye.next", "menu.Odd name", "menu.Odd name.queue",
        "menu.Odd name.next", "menu.Odd name.otherwise", "by_number.+1",
    }  # fmt: skip


def test_menu_model_knows_nothing_of_twilio():
    assert not {name for name in vars(voice) if "twilio" in name.lower()}


def test_message_of_a_call_is_of_kind_call(made, far):
    [item] = made.parse(made.verify(far.asks("status", {**far.says(""), "CallStatus": "completed"})))
    assert isinstance(item, Message)
    assert (item.kind, item.more) == ("call", False)
