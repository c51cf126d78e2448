"""One person in two tabs and on the telephone at once, every connection cut ten times: lost 0, doubled 0, in order."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from joserfc import jwk, jwt

from plugins.testing.standins.twilio_calls import Phone, TwilioVoice
from plugins.testing.window import SITE, Window
from tests.connectors.twilio.menus import PARTS
from tests.connectors.webchat.test_cuts import Forgetful, Renaming
from tests.faultproxy import Fault, FaultProxy
from tests.hub.desk import Desk, installed
from tests.hub.test_twilio_sms import PUBLIC
from tests.hub.test_twilio_voice import MENU, RULES, inline

CUTS = 10
LINES = 30
ANSWERS = 5
JWT_KEY = "k" * 40
CHAT = f"""
[instance.help]
kind = "webchat"
secrets = ["file:chat.secret"]
origins = ["{SITE}"]
[instance.help.users]
key = "file:jwt.key"
audience = "chat"
issuer = "acme"
"""
SPOKEN = [
    "Call from +15550001111 to +15550002222", "main: pin", "The caller continues by PIN.", "Voice message, 5 s",
    "It is my laptop", "The call is over (completed, 34 s).",
]  # fmt: skip
REQUESTS = 8
"""Of the call: its begin, two steps, the way back from the PIN, the record, its file, its transcript, its end."""
LOST_REQUEST = Fault(trigger=b"POST", reset=True)
LOST_ANSWER = Fault(trigger=b"POST", mute=True)


class CutPhone(TwilioVoice):
    """Each of its requests breaks ten times, on the way there or on the way back; then it comes whole."""

    proxy: FaultProxy

    async def post(self, url: str, event: Mapping[str, str]) -> tuple[int, bytes]:
        for number in range(CUTS):
            self.proxy.fault = (LOST_REQUEST, LOST_ANSWER)[number % 2]
            with pytest.raises(aiohttp.ClientError):
                await super().post(url, self.again(event, number))
        self.proxy.fault = Fault()
        return await super().post(url, event)

    def again(self, event: Mapping[str, str], number: int) -> Mapping[str, str]:  # a control's
        return event


class NamelessPhone(CutPhone):
    """The positive control of doubles: each try that the call is over has another name."""

    def again(self, event: Mapping[str, str], number: int) -> Mapping[str, str]:
        return {**event, "CallSid": f"CA{number:032x}"} if "CallDuration" in event else event


class Person:
    """Ann: two tabs, one telephone, each behind a proxy of its own."""

    def __init__(self, desk: Desk, far: TwilioVoice, tabs: list[Window], proxies: list[FaultProxy]) -> None:
        self.desk, self.far, self.tabs, self.proxies = desk, far, tabs, proxies

    async def pin(self) -> str:
        """Of the query that her first line opened."""
        await self.tabs[0].say("first")
        await self.desk.until(self.desk.references)
        await self.desk.settle()
        [reference] = await self.desk.references()
        return str((await self.desk.operate("issue_pin", "eve", reference))["pin"])

    async def speak(self, tab: int) -> None:
        """Lines at odd moments, whether there is a connection or not."""
        for number in range(LINES):
            await self.tabs[tab].say(f"tab {tab} {number}")
            await asyncio.sleep(random.uniform(0, 0.02))

    async def call(self, pin: str) -> Phone:
        phone = await self.far.call()
        await phone.press("2")
        await phone.press(pin)
        await phone.leave("It is my laptop")
        await phone.hang_up()
        return phone

    async def answered(self) -> None:
        """Bob writes meanwhile."""
        [reference] = (await self.desk.references())[:1]
        for number in range(ANSWERS):
            await self.desk.operate("reply", "bob", reference, f"bob {number}")
            await asyncio.sleep(random.uniform(0, 0.05))

    async def cut(self, tab: int) -> None:
        """Half of the cuts come in the middle of what the hub says; these at any moment."""
        while self.tabs[tab].connections <= CUTS:
            await self.tabs[tab].ready.wait()
            await asyncio.sleep(random.uniform(0, 0.05))
            self.proxies[tab].reset_all()
            self.tabs[tab].ready.clear()

    async def everything(self) -> None:
        pin = await self.pin()
        ways = [self.speak(0), self.speak(1), self.cut(0), self.cut(1), self.call(pin), self.answered()]
        await asyncio.gather(*ways)

    async def wrong(self) -> list[str]:
        """What was lost, doubled or put out of order, in the journey and in both windows; empty if nothing."""
        await self.desk.settle()
        kept = await self.desk.column("SELECT text FROM messages ORDER BY id")
        said = {f"tab {tab}": [f"tab {tab} {n}" for n in range(LINES)] for tab in (0, 1)}
        bob = {"bob": [f"bob {n}" for n in range(ANSWERS)]}
        found = _judged("journey", kept, said | bob | {"call": SPOKEN, "first": ["first"]})
        for number, tab in enumerate(self.tabs):
            found += _judged(f"window {number}", [line["text"] for line in tab.lines], said | bob)
        if len(await self.desk.references()) != 1:
            found.append("another query")
        return found


def _judged(where: str, kept: list[str], wanted: dict[str, list[str]]) -> list[str]:
    found = []
    for who, texts in wanted.items():
        there = [text for text in kept if text in texts]
        found += [f"lost: {who}, {where}"] if set(there) != set(texts) else []
        found += [f"doubled: {who}, {where}"] if len(there) != len(set(there)) else []
        found += (
            [f"disordered: {who}, {where}"] if list(dict.fromkeys(there)) != [t for t in texts if t in there] else []
        )
    return found


@asynccontextmanager
async def person(
    folder: Path, phone: type[CutPhone] = CutPhone, tabs: tuple[type[Window], ...] = (Window, Window)
) -> AsyncIterator[Person]:
    """A hub with a chat and a telephone line, and Ann at the far ends of three proxies."""
    async with AsyncExitStack() as stack:
        far = await stack.enter_async_context(phone())
        desk = await stack.enter_async_context(installed(folder, ""))
        for name, text in {"chat.secret": "s" * 40, "jwt.key": JWT_KEY, "token": far.environ["TWILIO_TOKEN"]}.items():
            (folder / name).write_text(text)
            (folder / name).chmod(0o600)
        table = {**far.table, **PARTS, "menu": MENU, "tokens": ["file:token"]}
        del table["hours"]
        settings = "\n".join(f"{name} = {inline(value)}" for name, value in table.items())
        more = f'[hub.egress]\nallow = ["127.0.0.0/8"]\n[instance.vendor]\nkind = "twilio_voice"\n{settings}\n{CHAT}'
        desk.rules = RULES
        await desk.start(more=more, store=f'public_url = "{PUBLIC}"')
        faults = [Fault(), *(Fault(reset_after=random.randrange(600, 1200), times=CUTS // 2) for _ in range(2))]
        proxies = [await stack.enter_async_context(FaultProxy("127.0.0.1", desk.hub.port, fault)) for fault in faults]
        far.proxy = proxies.pop(0)
        far.hook, far.public = f"http://127.0.0.1:{far.proxy.port}/in/vendor/", f"{PUBLIC}/in/vendor/"
        http = await stack.enter_async_context(aiohttp.ClientSession())
        opened = [
            await stack.enter_async_context(tab(http, _at(proxy), jwt=signed_in()))
            for tab, proxy in zip(tabs, proxies, strict=True)
        ]
        yield Person(desk, far, opened, proxies)


def _at(proxy: FaultProxy) -> Callable[[], str]:
    return lambda: f"http://127.0.0.1:{proxy.port}/ws/help"


def signed_in() -> str:
    """What the site says of her."""
    claims = {"iss": "acme", "aud": "chat", "sub": "7", "exp": 1 << 33}
    return jwt.encode({"alg": "HS256"}, claims, jwk.import_key(JWT_KEY, "oct"), algorithms=["HS256"])


async def test_two_tabs_and_a_call_cut_ten_times_lose_double_and_misorder_nothing(short_folder: Path) -> None:
    async with person(short_folder) as ann:
        await ann.everything()
        for tab in ann.tabs:
            await tab.texts(1 + 2 * LINES + ANSWERS)
        assert await ann.wrong() == []
        for tab, proxy in zip(ann.tabs, ann.proxies, strict=True):
            assert proxy.began == CUTS // 2
            assert tab.connections > CUTS
            assert tab.gaps == 0
        assert ann.far.proxy.began == CUTS * REQUESTS
        assert ann.far.proxy.connections == (CUTS + 1) * REQUESTS


async def test_without_its_protections_the_check_is_red(short_folder: Path) -> None:
    async with person(short_folder, NamelessPhone, (Renaming, Forgetful)) as ann:
        await ann.everything()
        found = await ann.wrong()
        assert {"doubled: tab 0, journey", "lost: tab 1, journey", "doubled: call, journey"} <= set(found)


def test_the_check_sees_what_is_out_of_order() -> None:
    assert _judged("here", ["b", "a"], {"ann": ["a", "b"]}) == ["disordered: ann, here"]
