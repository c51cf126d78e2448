"""Kind `whatsapp`: answers, templates, files and what Meta says to them."""

import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from connectors.channels.whatsapp import WhatsAppConnector
from connectors.channels.whatsapp.settings import Template, WhatsAppSettings
from plugins import Answer, Identity, MediaRef, Outgoing, Pause, Refuse, Retry, Secret, Uncertain
from plugins.testing.lines import LiveAttempt, LiveHub
from plugins.testing.standins.whatsapp import NUMBER, TROUBLES, WhatsApp
from plugins.testing.stubs import START, StubAttempt

ANN = Identity(scheme="whatsapp", value="US.13491208655302741918")
TEMPLATE = Template(name="answer_waiting", language="en")


@pytest.fixture
def far() -> WhatsApp:
    return WhatsApp("canary-token")


def out(**more: Any) -> Outgoing:
    given = {"key": "key-1", "to": ANN, "text": "Hello\nyou", "thread": "", "reference": "Q-1", **more}
    return Outgoing(**given)


def way(hours: float) -> bytes:
    last = int((START - timedelta(hours=hours)).timestamp())
    return msgspec.json.encode({"to": "15550001111", "user": ANN.value, "last": last})


def talking(url: str = "https://graph.acme.test", *, template: Template | None = None) -> WhatsAppConnector:
    secrets = {name: Secret(f"canary-{name}") for name in ("token", "app_secret", "verify_token")}
    settings = WhatsAppSettings(phone_number_id=NUMBER, api_url=url, template=template, **secrets)
    return WhatsAppConnector("sample", settings)


async def perform(made: WhatsAppConnector, work: Outgoing, **blobs: bytes) -> list[Any]:
    attempt = LiveAttempt(blobs=blobs)
    return [await made.perform(step, attempt) for step in made.plan(work)]


async def test_inside_the_window_the_answer_is_text(far):
    async with far:
        [done] = await perform(talking(far.url, template=TEMPLATE), out(reply_via=way(23.9), replies_to=["wamid.in1"]))
        assert [(each.to, each.text, each.ref) for each in far.heard] == [("ann", "Hello\nyou", done.ref)]
        assert far.echoes == {done.ref: "key-1"}


async def test_outside_the_window_the_template_carries_the_answer(far):
    async with far:
        far.closed = True
        await perform(talking(far.url, template=TEMPLATE), out(reply_via=way(24)))
        assert [each.text for each in far.heard] == ["Q-1 Hello you"]
        assert far.refused == []


async def test_outside_the_window_without_template_nothing_is_asked_of_whatsapp(far):
    async with far:
        with pytest.raises(Refuse) as caught:
            await perform(talking(far.url), out(reply_via=way(25)))
        assert (caught.value.code, far.heard, far.refused) == ("window_closed", [], [])


async def test_window_that_whatsapp_calls_closed_is_answered_with_the_template(far):
    async with far:
        far.closed = True
        await perform(talking(far.url, template=TEMPLATE), out())
        assert [each.text for each in far.heard] == ["Q-1 Hello you"]


@pytest.mark.parametrize(
    ("work", "code"),
    [
        ({"text": "x" * 1025}, "too_long"),
        ({"text": "", "media": (MediaRef(sha256="aa", type="text/plain", size=5),)}, "window_closed"),
    ],
)
async def test_what_no_template_carries_is_refused_by_name(far, work, code):
    async with far:
        with pytest.raises(Refuse) as caught:
            await perform(talking(far.url, template=TEMPLATE), out(reply_via=way(25), **work), aa=b"bytes")
        assert (caught.value.code, far.heard) == (code, [])


async def test_template_that_meta_does_not_know_is_a_closed_window(far):
    async with far:
        with pytest.raises(Refuse, match="132001") as caught:
            await perform(talking(far.url, template=Template(name="another", language="en")), out(reply_via=way(25)))
        assert caught.value.code == "window_closed"


async def test_files_are_uploaded_and_sent_after_the_text(far):
    async with far:
        files = (
            MediaRef(sha256="aa", name="a.log", type="text/plain", size=5),
            MediaRef(sha256="bb", name="b.png", type="image/png", size=5),
        )
        await perform(talking(far.url), out(reply_via=way(1), media=files), aa=b"lines", bb=b"image")
        assert [each.file for each in far.heard] == [None, b"lines", b"image"]
        assert far.refused == []


@pytest.mark.parametrize(
    ("kind", "size", "code"),
    [("application/zip", 5, "media_unsupported"), ("image/png", (5 << 20) + 1, "media_too_large")],
)
def test_file_that_whatsapp_takes_not_is_refused_before_anything_is_sent(kind, size, code):
    with pytest.raises(Refuse) as caught:
        talking().plan(out(media=(MediaRef(sha256="aa", type=kind, size=size),)))
    assert caught.value.code == code


def test_address_that_is_none_of_whatsapps_is_refused():
    for value in ("x", "../1", "+1555", "\u0661\u0662"):
        with pytest.raises(Refuse):
            talking().plan(out(to=Identity(scheme="whatsapp", value=value)))


async def test_person_without_number_is_reached_by_user_id(far):
    async with far:
        await perform(talking(far.url), out(reply_via=msgspec.json.encode({"user": ANN.value})))
        assert [each.to for each in far.heard] == ["ann"]


@pytest.mark.parametrize(
    ("code", "status", "error", "words"),
    [
        (10, 403, Pause, "account_closed"),
        (131042, 400, Pause, "account_closed"),
        (130429, 400, Retry, "130429"),
        (131056, 400, Retry, "131056"),
        (999999, 400, Refuse, "content_refused"),
    ],
)
async def test_code_decides_and_not_the_status(code, status, error, words):
    body = json.dumps({"error": {"code": code, "message": "x"}}).encode()
    stub = StubAttempt(lambda _: Answer(status=status, body=body))
    with pytest.raises(error, match=words):
        await talking().perform(talking().plan(out())[0], stub)


async def test_page_of_a_proxy_is_no_answer_of_whatsapps():
    for status, error in ((403, Pause), (200, Uncertain)):
        stub = StubAttempt(lambda _, status=status: Answer(status=status, body=b"<html>"))
        with pytest.raises(error, match="in between"):
            await talking().perform(talking().plan(out())[0], stub)


async def test_file_is_fetched_in_two_steps_with_the_token_hidden(far):
    async with far:
        far.files["77"] = ("image/png", b"bytes")
        hub = LiveHub()
        assert await talking(far.url).fetch("77", hub) == b"bytes"
        assert (len(hub.calls), "canary" in repr(hub.calls)) == (2, False)
        with pytest.raises(Refuse):
            await talking(far.url).fetch("../messages", hub)


async def test_file_that_was_changed_on_its_way_is_asked_for_again():
    def answer(call):
        told = {"url": "https://files.test/1", "sha256": "00" * 32}
        return Answer(status=200, body=b"bytes" if "files.test" in call.url else json.dumps(told).encode())

    with pytest.raises(Retry):
        await talking().fetch("1", StubAttempt(answer))


async def test_token_is_shown_to_no_address_in_clear():
    told = {"url": "http://169.254.169.254/"}
    stub = StubAttempt(lambda _: Answer(status=200, body=json.dumps(told).encode()))
    with pytest.raises(Refuse):
        await talking().fetch("1", stub)
    assert len(stub.calls) == 1


async def test_check_says_whose_number_it_is_or_why_not(far):
    async with far:
        [finding] = await talking(far.url).check(LiveHub())
        assert (finding.ok, "Desk" in finding.what) == (True, True)
        far._token = "another"
        [finding] = await talking(far.url).check(LiveHub())
        assert (finding.ok, "190" in finding.what) == (False, True)
    assert TROUBLES["token_revoked"][1] == 190
