"""People at the portal of a whole hub: their browsers, and what they have written."""

import itertools
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from tests.hub.desk import Desk, installed, mail

numbers = itertools.count(1)

MORE = """
[instance.portal]
kind = "portal"
title = "Acme help"
[[instance.portal.form]]
service = "vpn"
[[instance.portal.form.questions]]
name = "device"
label = "Which device?"
[[instance.portal.form.questions]]
name = "site"
label = "Where?"
type = "choice"
choices = ["Bonn", "Ulm"]
[instance.sms]
kind = "line"
channel = "phone"
sends_to = ["tel"]
"""
COOKIE, NOT_IN = "trunkline-visit", "Sign in to see this"
SERVICES = """
[service.vpn]
title = "Remote access"
[service.secret]
title = "Board room"
groups = ["board"]
"""


class Browser:
    """Somebody's browser: keeps cookies, sends what browsers send, follows nothing by itself."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.web = aiohttp.ClientSession(f"http://127.0.0.1:{desk.hub.port}", cookie_jar=aiohttp.CookieJar(unsafe=True))

    async def get(self, path: str, **headers: str) -> tuple[int, str]:
        async with self.web.get(path, headers=headers, allow_redirects=False) as answer:
            return answer.status, await answer.text()

    async def page(self, path: str = "") -> str:
        status, text = await self.get(f"/p/portal/{path}")
        assert status == 200, text
        return text

    async def post(self, path: str, site: str = "same-origin", **fields: str) -> tuple[int, str]:
        """Status, and where it leads."""
        headers = {"Sec-Fetch-Site": site} if site else {}
        async with self.web.post(path, data=fields, headers=headers, allow_redirects=False) as answer:
            return answer.status, answer.headers.get("Location", "")

    async def send(self, path: str, files: dict[str, bytes] | None = None, **fields: str) -> tuple[int, str]:
        form = aiohttp.FormData(fields, default_to_multipart=True)
        for name, data in (files or {}).items():
            form.add_field("attachments", data, filename=name, content_type="text/plain")
        async with self.web.post(
            path, data=form, headers={"Sec-Fetch-Site": "same-origin"}, allow_redirects=False
        ) as answer:
            return answer.status, answer.headers.get("Location", "")

    async def ask_link(self, address: str) -> tuple[int, str]:
        return await self.post("/in/portal/act/sign_in", submission=form_id(), email=address)

    async def link(self, address: str) -> str:
        """The link that was mailed."""
        assert (await self.ask_link(address))[0] == 303
        await self.desk.settle()
        return links(await self.desk.sent(), address)[-1]

    async def sign_in(self, address: str) -> None:
        assert (await self.post(await self.link(address)))[0] == 303

    async def follow(self, answered: tuple[int, str]) -> str:
        """The page that a form leads to."""
        assert answered[0] == 303
        return (await self.get(answered[1]))[1]

    @property
    def cookie(self) -> str:
        return next((one.value for one in self.web.cookie_jar if one.key == COOKIE), "")

    @cookie.setter
    def cookie(self, value: str) -> None:
        self.web.cookie_jar.update_cookies({COOKIE: value}, URL(f"http://127.0.0.1:{self.desk.hub.port}"))


def form_id() -> str:
    """As a page hides it in each of its forms."""
    return f"{next(numbers):a>20}"


def links(sent: list[dict[str, Any]], address: str) -> list[str]:
    """To that address."""
    mine = [one["text"] for one in sent if one["to"]["value"] == address]
    return [found[1] for text in mine if (found := re.search(r"(/portal/enter/\S+)", text))]


def tokens(page: str) -> list[str]:
    return re.findall(r'name="token" value="([^"]+)"', page)


async def portal_in(folder: Path, store_url: str) -> AsyncIterator[Desk]:
    (folder / "articles").mkdir()
    (folder / "articles" / "vpn.en.md").write_text("# Connect to the VPN\n\nStart *AnyConnect*. <script>x</script>")
    (folder / "articles" / "printer.en.md").write_text("# Clear a paper jam\n\nOpen the printer.")
    async with installed(folder, store_url) as desk:
        desk.rules += SERVICES
        await desk.start(more=MORE)
        yield desk


class Known:
    """Somebody who has written a mail."""

    def __init__(self, address: str, reference: str, browser: Browser) -> None:
        self.address, self.reference, self.browser = address, reference, browser

    async def query(self) -> str:
        return await self.browser.page(f"q/{self.reference}")

    async def token(self) -> str:
        return tokens(await self.query())[0]


async def wrote(desk: Desk, people: Any, text: str = "it fails", *, in_: bool = True, **more: Any) -> Known:
    """Somebody new; `in_`: signed in."""
    address = f"p{next(numbers)}@acme.test"
    await desk.say(mail(sender=address, text=text, **{"subject": "VPN", **more}), to="mail")
    known = Known(address, (await desk.references())[-1], people())
    if in_:
        await known.browser.sign_in(address)
    return known


async def merged(desk: Desk, *values: str) -> None:
    users = [await desk.number("SELECT user_id FROM identities WHERE value = :v", v=value) for value in values]
    await desk.operate("merge", "agent", *users, "the same person")
