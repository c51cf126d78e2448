"""Forged and garbled requests at the door of a running hub, for every vendor that calls: 401, nothing kept."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import NamedTuple

import pytest

from plugins import Secret, standard_sign
from plugins.testing import hostile
from plugins.testing.standins import StandIn, serve
from tests.hub.desk import Desk, installed
from tests.hub.test_twilio_sms import PUBLIC
from tests.hub.test_twilio_voice import inline

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Scheme(NamedTuple):
    """How a vendor signs."""

    header: str
    timed: bool = False
    whole: bool = True


SCHEMES = {
    "slack": Scheme("x-slack-signature", timed=True),
    "telegram": Scheme("x-telegram-bot-api-secret-token", whole=False),
    "whatsapp": Scheme("x-hub-signature-256"),
    "twilio_sms": Scheme("x-twilio-signature"),
    "twilio_voice": Scheme("x-twilio-signature"),
}
ROUTES = (
    "POST /in/hook/",
    "POST /in/help/upload",
    "POST /in/portal/act/sign_in",
    "GET /p/portal/help.json?q=x",
    "GET /p/help/widget.js",
    "GET /ws/help",
    "POST /ws/help",
    "GET /portal/enter/portal/abc",
    "POST /portal/enter/portal/abc",
    "POST /portal/leave/portal",
    "POST /console/login",
    "GET /metrics",
)
HEADERS = ("Origin", "X-Forwarded-For", "Cookie", "Accept", "Accept-Language", "Content-Type", "Content-Encoding",
           "Host", "Sec-Fetch-Site", "Authorization", "Expect", "X-Ticket")  # fmt: skip
"""What anything here reads, and of a socket those that it needs."""
GARBAGE = (b"\xff\xfe", "é".encode(), b"http://[", b'"', b"", b"a" * 7000)
SOCKET = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
          "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}  # fmt: skip
ODD = (b"\xff\xfe\x80", b"\xc3\x28", b"\t", b"a" * 7000, b"v0=" + b"f" * 64, b"sha256=", b"0", b"%00", b"\x01", b"{}")


@pytest.fixture
async def door(short_folder: Path) -> AsyncIterator[tuple[Desk, Mapping[str, StandIn]]]:
    """One hub with them all."""
    async with AsyncExitStack() as stack:
        desk = await stack.enter_async_context(installed(short_folder, ""))
        more = '[instance.hook]\nkind = "webhook"\nsecrets = ["file:hook"]\n[instance.portal]\nkind = "portal"\n'
        more += '[instance.help]\nkind = "webchat"\nsecrets = ["file:hook"]\n'
        (short_folder / "hook").write_text(SECRET)
        (short_folder / "hook").chmod(0o600)
        fars = {kind: await stack.enter_async_context(serve(kind)) for kind in SCHEMES}
        for kind, far in fars.items():
            far.hook = far.public = f"{PUBLIC}/in/{kind.replace('_', '-')}/"
            for name, value in far.environ.items():
                (short_folder / f"{kind}.{name}").write_text(value)
                (short_folder / f"{kind}.{name}").chmod(0o600)
            settings = "\n".join(f"{name} = {inline(value)}" for name, value in far.table.items())
            settings = re.sub(r'"env:(\w+)"', rf'"file:{kind}.\1"', settings)
            more += f'[instance.{kind.replace("_", "-")}]\nkind = "{kind}"\n{settings}\n'
        await desk.start(
            more=f'[hub.egress]\nallow = ["127.0.0.0/8"]\n{more}',
            store=f'public_url = "{PUBLIC}"\nproxies = ["127.0.0.1"]',
            limits="peer_per_minute = 100000",
        )
        yield desk, fars


async def asked(desk: Desk, instance: str, headers: Mapping[str, str | bytes], body: bytes) -> int:
    """One webhook as it stands, garbled bytes too; the status."""
    return await told(desk, f"POST /in/{instance}/", headers, body)


async def told(desk: Desk, what: str, headers: Mapping[str, str | bytes], body: bytes) -> int:
    lines = [f"{what} HTTP/1.1".encode(), *([] if "Host" in headers else [b"Host: desk"])]
    given = {"Connection": "close", **headers, "Content-Length": str(len(body))}
    for name, value in given.items():
        lines.append(name.encode() + b": " + (value if isinstance(value, bytes) else value.encode("utf-8", "replace")))
    reader, writer = await asyncio.open_connection("127.0.0.1", desk.hub.port)
    writer.write(b"\r\n".join(lines) + b"\r\n\r\n" + body)
    said = await reader.readline()
    writer.close()
    return int(said.split()[1])


def forgeries(far: StandIn, scheme: Scheme) -> Iterator[tuple[str, Mapping[str, str], bytes]]:
    """Name, headers and body; what can't stand in a header at all is left to `test_garbage_…`."""
    now = datetime.now(UTC)
    said = far.says("The VPN is down")
    genuine = far.request(said, now)
    for name, forged in hostile.forged(genuine, scheme.header, timed=False, whole=scheme.whole):
        if all(value.isprintable() and len(value) < 4000 for value in forged.headers.values()):
            yield name, forged.headers, forged.body
    if scheme.timed:
        for name, at in (("stale", now - timedelta(minutes=6)), ("from the future", now + timedelta(minutes=6))):
            other = far.request(said, at)
            yield name, other.headers, other.body


async def test_forged_requests_of_every_vendor_are_refused_and_nothing_is_kept(door):
    desk, fars = door
    answers = {}
    for kind, far in fars.items():
        for name, headers, body in forgeries(far, SCHEMES[kind]):
            answers[kind, name] = await asked(desk, kind.replace("_", "-"), headers, body)
    good = standard_sign([Secret(SECRET)], key="m", at=datetime.now(UTC), body=b"{}")
    old = standard_sign([Secret(SECRET)], key="m", at=datetime.now(UTC) - timedelta(hours=1), body=b"{}")
    negatives = [
        (old, b"{}"),
        (good, b"{} "),
        (good, b""),
        *(({k: v for k, v in good.items() if k != n}, b"{}") for n in good),
    ]
    for number, (headers, body) in enumerate(negatives):
        answers["webhook", number] = await asked(desk, "hook", headers, body)
    assert len(answers) > 50
    assert {who: status for who, status in answers.items() if status != 401} == {}
    assert await desk.number("SELECT count(*) FROM envelopes") == 0


async def test_garbage_in_headers_is_never_an_error_of_ours(door):
    desk, fars = door
    answers = {}
    for kind, far in fars.items():
        genuine = far.request(far.says("The VPN is down"), datetime.now(UTC))
        for header in genuine.headers:
            for value in ODD:
                headers = {**genuine.headers, header: value}
                answers[kind, header, value[:20]] = await asked(desk, kind.replace("_", "-"), headers, genuine.body)
    good = standard_sign([Secret(SECRET)], key="m", at=datetime.now(UTC), body=b"{}")
    for header in good:
        for value in ODD:
            answers["webhook", header, value[:20]] = await asked(desk, "hook", {**good, header: value}, b"{}")
    signed = {scheme.header for scheme in SCHEMES.values()} | set(good)
    assert {who: status for who, status in answers.items() if who[1] in signed and status not in (400, 401)} == {}
    assert {who: status for who, status in answers.items() if status >= 500} == {}


async def test_garbage_in_any_header_of_any_route_is_never_an_error_of_ours(door):
    """A page, a form, a chat or a login too: nobody makes one of them look broken."""
    desk, _ = door
    answers = {}
    for what in ROUTES:
        forms = {"Content-Type": "application/x-www-form-urlencoded"} if what.startswith("POST") else {}
        body = b"message=x&submission=aaaaaaaaaaaaaaaaaaaaaaa" if forms else b""
        usual = SOCKET if what == "GET /ws/help" else forms
        odd = list(product({*HEADERS, *usual} - {"Connection"}, GARBAGE))
        said = await asyncio.gather(*(told(desk, what, {**usual, header: value}, body) for header, value in odd))
        answers |= {(what, header, value[:20]): status for (header, value), status in zip(odd, said, strict=True)}
    assert {who: status for who, status in answers.items() if status >= 500} == {}
    assert {answers[what, "Expect", b"http://["] for what in ROUTES} == {417}
    assert {answers[what, "Expect", b"\xff\xfe"] for what in ROUTES} == {400}
    assert [desk.hub.instances[name].last_error for name in ("help", "portal", "hook")] == [""] * 3


async def test_genuine_requests_pass_the_same_door(door):
    """The positive control of both."""
    desk, fars = door
    for kind, far in fars.items():
        genuine = far.request(far.says("The VPN is down"), datetime.now(UTC))
        assert await asked(desk, kind.replace("_", "-"), genuine.headers, genuine.body) == 200
    good = standard_sign([Secret(SECRET)], key="m", at=datetime.now(UTC), body=b"{}")
    assert await asked(desk, "hook", good, b"{}") == 200
    # not the envelopes: a far side may have told us by now of what it was sent
    assert await desk.number("SELECT count(DISTINCT instance) FROM envelopes") == len(fars) + 1
