"""What `call` says of the far side, and to whom: no secrets, printable, short."""

import traceback

import pytest

from plugins import Call, Refuse, Secret, Uncertain
from tests.hub.far_side import LOCAL, FarSide, answer, client, get, post, raw, silence

CANARY = "s3cr3t-canary-value"
ECHO = answer(422, f'{{"error": "bad token {CANARY}", "of": "Bearer {CANARY}"}}'.encode())


@pytest.mark.parametrize(
    "script",
    [ECHO, raw(b""), raw(b"HTTP/1.1 200 " + CANARY.encode() * 900), raw(f"{CANARY}\r\n\r\n".encode()), silence],
)
async def test_secret_is_in_no_text_of_an_error_and_in_no_log(script, capfd, caplog):
    headers = {"Authorization": Secret(CANARY).wrap("Bearer {}")}
    async with FarSide(script) as far, client(LOCAL, timeout=0.3) as egress:
        call = Call(method="POST", url=f"{far.url}/bot-path-token?key=query-token", headers=headers)
        with pytest.raises((Refuse, Uncertain)) as raised:
            await egress.request(call)
        assert CANARY.encode() in far.requests[0]
    shown = "".join(traceback.format_exception(raised.value)) + repr(raised.value)
    shown += caplog.text + "".join(capfd.readouterr())
    assert raised.value.__context__ is None
    assert f"127.0.0.1:{far.port}" in shown  # something was logged
    for secret in (CANARY, "bot-path-token", "query-token"):
        assert secret not in shown


async def test_address_that_is_a_secret_reaches_the_far_side_and_is_shown_nowhere():
    echo = answer(404, f"no such path: /bot{CANARY}/send".encode())
    async with FarSide(echo) as far, client(LOCAL) as egress:
        url = Secret(CANARY).wrap(f"http://127.0.0.1:{far.port}/bot{{}}/send")
        with pytest.raises(Refuse) as raised:
            await egress.request(Call(method="POST", url=url))
        assert f"POST /bot{CANARY}/send".encode() in far.requests[0]
    assert CANARY not in "".join(traceback.format_exception(raised.value)) + repr(url)


async def test_words_of_the_far_side_reach_the_administrator_printable_and_short():
    body = b"no such\x1b[31m\r\nagent \xff" + b"y" * 9000
    async with FarSide(answer(422, body)) as far, client(LOCAL) as egress:
        with pytest.raises(Refuse) as raised:
            await egress.request(post(far))
        assert "no such [31m agent" in str(raised.value)
        assert str(raised.value).isprintable()
        assert len(str(raised.value)) < 300


async def test_header_bytes_that_are_no_text_come_back_encodable():
    script = raw(b"HTTP/1.1 200 OK\r\nX: caf\xe9\r\nX: two\r\nContent-Length: 0\r\n\r\n")
    async with FarSide(script) as far, client(LOCAL) as egress:
        headers = (await egress.request(get(far))).headers
        assert headers["x"].encode().decode() == "caf\ufffd, two"
