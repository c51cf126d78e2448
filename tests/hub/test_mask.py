"""What a plugin's error quotes of its secrets is seen by nobody: not in the store, not in /healthz, not in a page."""

import aiohttp

from hub.mask import Mask
from plugins import Pause
from tests.hub.desk import Desk, message

TOKEN = "7001:AAE-canary"
RADIO = '[instance.radio]\nkind = "radio"\ndoes = "raise"\ntoken = "file:radio.key"\n'


async def started(desk: Desk) -> Desk:
    key = desk.folder / "radio.key"
    key.write_text(TOKEN)
    key.chmod(0o600)
    await desk.start(more=RADIO)
    return desk


async def test_an_instance_that_fails_tells_no_secret_in_alarms_and_health(hub_under_test: Desk):
    desk = await started(hub_under_test)
    await desk.until(desk.alarms)
    local = aiohttp.UnixConnector(str(desk.hub.config.socket))
    async with aiohttp.ClientSession(connector=local) as web, web.get("http://hub/healthz") as answer:
        health = await answer.text()
    for told in (*await desk.column("SELECT what FROM alarms"), health, desk.hub.instances["radio"].last_error):
        assert "/bot***/listen" in told
        assert "canary" not in told


async def test_traces_of_parked_work_and_of_parked_envelopes_hold_no_secret(hub_under_test: Desk):
    desk = await started(hub_under_test)
    await desk.call("chat", TOKEN.encode(), key="k1", parse="raise")
    far = desk.far("tool")
    far.script, far.error = ["raise"], RuntimeError(f"GET /bot{TOKEN}/send failed")
    await desk.say(message())
    for table in ("envelopes", "outbox"):
        (trace,) = await desk.column(f"SELECT trace FROM {table} WHERE state = 'parked'")
        assert "Error" in trace
        assert "canary" not in trace


async def test_a_destination_that_refuses_its_token_does_not_tell_it(hub_under_test: Desk):
    desk = await started(hub_under_test)
    far = desk.far("tool")
    far.script, far.error = ["raise"], Pause(f"bot{TOKEN} is revoked")
    await desk.say(message())
    (what,) = await desk.column("SELECT what FROM alarms WHERE key = 'paused:tool'")
    assert "bot*** is revoked" in what
    (trace,) = await desk.column("SELECT trace FROM outbox WHERE destination = 'tool'")
    assert "canary" not in trace


def test_a_secret_is_masked_before_its_text_is_cut():
    mask = Mask({TOKEN})
    assert "canary" not in mask.trace(RuntimeError(TOKEN + "." * 3990))
    assert "7001" not in mask.words(RuntimeError("." * 480 + TOKEN))
