"""Kind `twilio_sms`: the kit, and what is Twilio's own."""

from typing import Any

import msgspec
import pytest

from connectors.channels.twilio.segments import segments
from connectors.channels.twilio.sms import TwilioSmsConnector
from plugins import Answer, Envelope, Fact, Message, Outgoing, Pause, Receipt, Refuse, Retry, Skipped, utf16_units
from plugins.testing.lines import LiveAttempt, LiveHub
from plugins.testing.standins.twilio import ACCOUNT, OURS, PEOPLE, TwilioSms
from plugins.testing.stubs import StubAttempt
from plugins.testing.vendor import VendorConformance


class TestTwilioSms(VendorConformance):
    cls = TwilioSmsConnector
    table = {"account": ACCOUNT, "tokens": ["env:TWILIO_TOKEN"], "number": OURS}
    signature_header = "x-twilio-signature"
    signed_time = False

    def far(self):
        return TwilioSms(self.secret("TWILIO_TOKEN"))

    def measure(self, text):
        return utf16_units(text)

    async def test_late_event_is_the_same_event(self):
        self.cannot("is told no time of an event: it happened when it came")

    def requests(self):
        far = self.far()
        states = (far.becomes(f"SM{1:032x}", state) for state in ("sent", "delivered"))
        return [far.request(event) for event in (far.says("My phone is broken \u00e9"), far.says("Hi"), *states)]


@pytest.fixture
def far() -> TwilioSms:
    return TestTwilioSms().far()


@pytest.fixture
def sms() -> TwilioSmsConnector:
    return TestTwilioSms().make()


def read(sms: TwilioSmsConnector, far: TwilioSms, event: Any) -> list[Any]:
    envelope = sms.verify(far.request(event))
    assert isinstance(envelope, Envelope)
    return list(sms.parse(envelope))


def out(text: str = "Hello", **more: Any) -> Outgoing:
    return Outgoing(**{"key": "k", "to": TwilioSms.person, "text": text, **more})


async def live(far: TwilioSms, **more: Any) -> TwilioSmsConnector:
    settings, problems = TestTwilioSms()._load({**TestTwilioSms.table, "api_url": far.url, **more})
    assert problems == []
    return TwilioSmsConnector("sample", settings)


def test_number_is_a_claim_and_both_numbers_are_one_thread(sms, far):
    [item] = read(sms, far, far.says("Hello"))
    assert isinstance(item, Message)
    assert (item.sender.identity.value, item.sender.assurance) == (PEOPLE["ann"], 0)
    assert (item.thread, item.kind) == (f"{OURS} {PEOPLE['ann']}", "sms")


def test_stop_is_a_fact_and_no_message(sms, far):
    for text, more in (("stop ", {}), ("arr\u00eat", {"OptOutType": "STOP"})):
        [item] = read(sms, far, far.says(text, **more))
        assert isinstance(item, Fact)
        assert (item.what, item.who) == ("opted_out", far.person)


def test_yes_takes_consent_back_and_may_be_an_answer_too(sms, far):
    fact, message = read(sms, far, far.says("Yes"))
    assert (fact.what, message.text) == ("opted_in", "Yes")
    [fact] = read(sms, far, far.says("START"))
    assert fact.what == "opted_in"


def test_help_that_twilio_answered_has_its_reason(sms, far):
    [item] = read(sms, far, far.says("HELP", OptOutType="HELP"))
    assert isinstance(item, Skipped)
    assert "HELP" in item.reason


def test_hidden_number_has_an_identity_of_the_message_alone(sms, far):
    [item] = read(sms, far, {**far.says("Hello"), "From": "Anonymous"})
    assert item.sender.identity.scheme == "twilio"
    assert item.thread == item.key


@pytest.mark.parametrize(
    ("state", "code", "becomes", "why"),
    [
        ("sent", 0, "sent", ""),
        ("delivered", 0, "delivered", ""),
        ("read", 0, "read", ""),
        ("undelivered", 30003, "failed", "recipient_unknown"),
        ("failed", 30007, "failed", "content_refused"),
        ("failed", 21610, "failed", "recipient_blocked"),
    ],
)
def test_states_become_receipts_with_their_named_cause(sms, far, state, code, becomes, why):
    [item] = read(sms, far, far.becomes(f"SM{7:032x}", state, code))
    assert isinstance(item, Receipt)
    assert (item.of, item.state, item.reason.partition(":")[0]) == (f"SM{7:032x}", becomes, why)


@pytest.mark.parametrize("state", ["queued", "sending", "accepted", "partially_delivered"])
def test_states_on_the_way_have_their_reason(sms, far, state):
    [item] = read(sms, far, far.becomes(f"SM{7:032x}", state))
    assert isinstance(item, Skipped)
    assert state in item.reason


def test_states_may_come_in_any_order_and_each_is_its_own_envelope(sms, far):
    keys = {sms.verify(far.request(far.becomes(f"SM{7:032x}", state))).key for state in ("delivered", "sent")}
    assert len(keys) == 2


def test_signed_form_of_something_else_is_kept_and_parked(sms, far):
    [item] = read(sms, far, {"AccountSid": ACCOUNT, "Level": "ERROR"})
    assert isinstance(item, Skipped)
    assert item.park


@pytest.mark.parametrize(
    ("text", "counted"),
    [
        ("", ("GSM-7", 1)),
        ("a" * 160, ("GSM-7", 1)),
        ("a" * 161, ("GSM-7", 2)),
        ("a" * 306, ("GSM-7", 2)),
        ("a" * 307, ("GSM-7", 3)),
        ("\u20ac" * 80, ("GSM-7", 1)),
        ("\u20ac" * 81, ("GSM-7", 2)),
        ("\u20ac" * 153, ("GSM-7", 3)),  # 76 of them fill a segment: one place stays empty
        ("\u017e" * 70, ("UCS-2", 1)),
        ("\u017e" * 71, ("UCS-2", 2)),
        ("\u017e" * 134, ("UCS-2", 2)),
        ("\U0001f600" * 35, ("UCS-2", 1)),
        ("\U0001f600" * 67, ("UCS-2", 3)),  # 33 of them fill a segment
    ],
)
def test_segments_are_counted_as_they_are_billed(text, counted):
    assert segments(text) == counted


def test_answer_of_too_many_segments_is_refused_by_name(far):
    settings, _ = TestTwilioSms()._load({**TestTwilioSms.table, "most_segments": 2})
    sms = TwilioSmsConnector("sample", settings)
    assert len(sms.plan(out("a" * 306))) == 1
    with pytest.raises(Refuse) as caught:
        sms.plan(out("a" * 307))
    assert caught.value.code == "too_long"
    assert "3 segments (GSM-7)" in str(caught.value)


async def test_state_callback_goes_to_where_the_message_came_in(sms, far):
    async with far:
        [item] = read(sms, far, far.says("Hello"))
        made = await live(far)
        [step] = made.plan(out(reply_via=item.reply_via))
        done = await made.perform(step, LiveAttempt())
        assert far.callbacks[done.ref] == "https://hub.acme.test/in/sample/status"


async def test_person_who_stopped_is_refused_by_name(far):
    async with far:
        far.says("STOP")
        made = await live(far)
        with pytest.raises(Refuse) as caught:
            await made.perform(made.plan(out())[0], LiveAttempt())
        assert caught.value.code == "recipient_blocked"


async def test_the_same_words_of_yesterday_are_not_taken_for_a_lost_answer(far):
    async with far:
        made = await live(far)
        [step] = made.plan(out())
        await made.perform(step, LiveAttempt())
        assert len(await made.find(step, LiveAttempt())) == 1
        far._made[0]["date_created"] = "Fri, 20 Nov 2026 08:00:00 +0000"
        assert await made.find(step, LiveAttempt()) == []


async def test_picture_is_fetched_where_twilio_points_without_our_credentials(far):
    async with far:
        far.files["ME1"] = b"bytes"
        made, hub = await live(far), LiveHub()
        ref = f"{far.url}/2010-04-01/Accounts/{ACCOUNT}/Messages/SM1/Media/"
        assert await made.fetch(f"{ref}ME1", hub) == b"bytes"
        assert far.refused == []
        assert "canary" not in repr(hub.calls)
        with pytest.raises(Retry):
            await made.fetch(f"{ref}ME2", hub)


@pytest.mark.parametrize("ref", ["https://evil.test/2010-04-01/x", "https://[", "https://api.twilio.com@evil.test/"])
async def test_picture_elsewhere_never_gets_our_credentials(sms, ref):
    hub = StubAttempt()
    with pytest.raises(Refuse) as caught:
        await sms.fetch(ref, hub)
    assert (caught.value.code, hub.calls) == ("media_unsupported", [])


async def test_page_of_a_proxy_is_no_answer_of_twilios(sms):
    page = StubAttempt(lambda _: Answer(status=403, body=b"<html>"))
    with pytest.raises(Pause, match="in between"):
        await sms.perform(sms.plan(out())[0], page)


async def test_check_names_what_keeps_messages_away(far):
    async with far:
        made = await live(far)
        assert [finding.ok for finding in await made.check(LiveHub())] == [True, False]
        far.hook = "https://hub.acme.test/in/sms/"
        assert [finding.ok for finding in await made.check(LiveHub())] == [True]
        far._token = "another"
        assert [finding.ok for finding in await made.check(LiveHub())] == [False]


@pytest.mark.parametrize("wrong", [{"number": ""}, {"service": f"MG{1:032x}"}, {"account": "AC1"}, {"number": "0800"}])
def test_settings_that_can_send_nothing_are_refused(wrong):
    settings, problems = TestTwilioSms()._load({**TestTwilioSms.table, **wrong})
    assert settings is None
    assert problems


def test_work_for_a_mail_address_is_refused(sms):
    mail = msgspec.structs.replace(out(), to=msgspec.structs.replace(TwilioSms.person, scheme="email"))
    with pytest.raises(Refuse):
        sms.plan(mail)
