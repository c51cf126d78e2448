"""An instance whose plugin is broken: who delivers something to it is told to come again, never that nobody is here."""

import pytest

from tests.hub.desk import Desk

FRAGILE = '''
from typing import ClassVar
from msgspec import Struct
from plugins import Capabilities, Page, Reply, hookimpl


class Settings(Struct, frozen=True, kw_only=True):
    """Nothing to set."""


class Fragile:
    contract: ClassVar[int] = 1
    kind: ClassVar[str] = "fragile"
    channel: ClassVar[str] = "portal"
    settings_type: ClassVar[type[Settings]] = Settings
    isolate: ClassVar[bool] = False
    capabilities = Capabilities()
    accepted = Reply()
    pages = (Page(path="widget.js", body=b"1", type="text/javascript", embed=True),)

    def __init__(self, instance, settings):
        raise RuntimeError("its library is too new")

    def verify(self, request):
        return Reply()

    def parse(self, envelope):
        return ()

    async def serve(self, link, hub):
        pass

    async def show(self, request, visits):
        return Reply()

    def contact(self, contact, at):
        pass


@hookimpl
def register_connectors():
    return (Fragile,)
'''
CONFIG = """
[instance.frag]
kind = "fragile"
[instance.off]
kind = "fragile"
enabled = false
[instance.lost]
kind = "lost_kind"
"""


@pytest.fixture
async def fragile(hub_under_test: Desk) -> Desk:
    """`frag` can't be built, `lost` can't be imported, `off` is not wanted."""
    own = hub_under_test.folder / "own"
    own.mkdir()
    (own / "fragile.py").write_text(FRAGILE)
    (own / "lost.py").write_text("raise RuntimeError('at import')")
    folder = f'{hub_under_test.values["folder"]}", "{own}'
    await hub_under_test.start(folder=folder, more=CONFIG)
    return hub_under_test


@pytest.mark.parametrize("instance", ["frag", "lost"])
@pytest.mark.parametrize("connection", ["keep-alive", "close"])
async def test_a_webhook_is_to_come_again(fragile: Desk, instance: str, connection: str):
    async with fragile._web.post(f"/in/{instance}/", data=b"hello", headers={"Connection": connection}) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "30")


@pytest.mark.parametrize("instance", ["off", "nobody"])
async def test_who_is_not_wanted_or_unknown_is_still_like_a_bad_signature(fragile: Desk, instance: str):
    answer = await fragile.call(instance, b"hello")
    assert (answer.status, answer.said) == (401, b"not authentic\n")


@pytest.mark.parametrize("path", ["/p/frag/", "/p/frag/widget.js", "/p/lost/", "/portal/frag", "/portal/enter/frag/x"])
async def test_a_page_to_write_on_is_out_of_order_not_gone(fragile: Desk, path: str):
    async with fragile._web.get(path) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "30")
    async with fragile._web.get(path.replace("frag", "off").replace("lost", "off")) as answer:
        assert answer.status == 404


async def test_a_chat_over_plain_http_may_read_when_to_come_again(fragile: Desk):
    async with fragile._web.post("/ws/frag", json=["hello"]) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "30")
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
    async with fragile._web.post("/ws/off", json=["hello"]) as answer:
        assert answer.status == 404


async def test_an_agent_who_records_a_contact_hears_that_the_desk_is_broken(fragile: Desk):
    with pytest.raises(ValueError, match="frag can't run now"):
        await fragile.operate("record_contact", "eve", "frag", "Ann", "Badge")
    with pytest.raises(ValueError, match="there is no desk off"):
        await fragile.operate("record_contact", "eve", "off", "Ann", "Badge")
