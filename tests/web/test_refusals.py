"""What the log says of requests that fail: never what opens a door."""

import pytest
import structlog

from context_store import StoreAway
from tests.web.test_inbound import talk

TOKEN = "a-token-that-signs-in"
FAILURES = [
    (StoreAway("it is gone"), "store_away"),
    (RuntimeError("a bug"), "failed"),
    (ConnectionError(), "broken_off"),
]


@pytest.mark.parametrize(("error", "event"), FAILURES)
async def test_a_link_that_signs_in_does_not_stand_in_the_log(desk, client, monkeypatch, error, event):
    async def fails(*_, **__):
        raise error

    browser = await client()
    monkeypatch.setattr(desk.store, "read", fails)
    with structlog.testing.capture_logs() as said:
        await browser.get(f"/console/setup/{TOKEN}")
    assert [(each["event"], each["path"]) for each in said] == [(f"web.{event}", "/console/setup/…")]


async def test_a_link_whose_form_is_refused_unread_does_not_stand_in_the_log(desk):
    with structlog.testing.capture_logs() as said:
        head = f"PUT /console/setup/{TOKEN} HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n"
        assert b" 405 " in await talk(desk, head.encode(), b"abc")
    assert [(each["event"], each["path"]) for each in said] == [("web.refused", "/console/setup/…")]
