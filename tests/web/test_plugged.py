"""/p/ and /ws/: what plugins declare as pages and sockets, mounted by a real hub."""

from pathlib import Path

import aiohttp
import pytest

from hub.app import build
from hub.config import load_config
from tests.servers import room

PLUGIN = '''
from typing import ClassVar
from msgspec import Struct
from plugins import Capabilities, Page, hookimpl


class Settings(Struct, frozen=True, kw_only=True):
    """Nothing to set."""


class Echo:
    contract: ClassVar[int] = 1
    kind: ClassVar[str] = "echo"
    channel: ClassVar[str] = "chat"
    settings_type: ClassVar[type[Settings]] = Settings
    isolate: ClassVar[bool] = False
    capabilities = Capabilities()
    pages = (
        Page(path="hello", body=b"<p>Hello</p>"),
        Page(path="widget.js", body=b"1", type="text/javascript", embed=True),
    )

    def __init__(self, instance, settings):
        pass

    def parse(self, envelope):
        return ()

    async def serve(self, link, hub):
        while (line := await link.receive()) is not None:
            if line == "bug":
                raise RuntimeError("a bug of the plugin")
            await link.send(link.request.tail + ":" + line)


@hookimpl
def register_connectors():
    return (Echo,)
'''

CONFIG = """
[hub]
listen = "127.0.0.1:0"
[plugins]
entry_points = false
folders = ["own"]
[instance.line]
kind = "echo"
[instance.querylog]
kind = "querylog"
[team.network]
name = "Network"
[team.desk]
name = "First line"
"""


@pytest.fixture
async def web():
    """A hub that runs, as (session, address)."""
    with room("plugged") as folder:
        (folder / "own").mkdir()
        (folder / "own" / "echo.py").write_text(PLUGIN)
        (folder / "plugins.toml").write_text(CONFIG)
        (folder / "rules.toml").write_bytes((Path(__file__).parents[2] / "rules.toml").read_bytes())
        hub = build(load_config(folder / "plugins.toml", {}))
        await hub.start()
        async with aiohttp.ClientSession() as session:
            yield session, f"http://127.0.0.1:{hub.port}"
            await hub.drain()
            await hub.stop()


async def test_a_page_of_a_plugin_gets_our_headers(web):
    session, url = web
    answer = await session.get(f"{url}/p/line/hello")
    assert await answer.text() == "<p>Hello</p>"
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"


async def test_an_asset_that_says_embed_may_be_loaded_elsewhere(web):
    session, url = web
    answer = await session.get(f"{url}/p/line/widget.js")
    assert answer.headers["Content-Type"] == "text/javascript"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"


@pytest.mark.parametrize(
    "path", ["/p/line/../plugins.toml", "/p/line/", "/p/nobody/hello", "/p/querylog/hello", "/ws/nobody"]
)
async def test_what_was_not_declared_is_not_there(web, path):
    session, url = web
    assert (await session.get(url + path)).status == 404


async def test_a_socket_speaks_with_its_connector(web):
    session, url = web
    async with session.ws_connect(f"{url}/ws/line/room-7") as socket:
        await socket.send_str("hello")
        assert await socket.receive_str() == "room-7:hello"


async def test_a_bug_in_serve_ends_that_connection_alone(web):
    session, url = web
    async with session.ws_connect(f"{url}/ws/line") as other, session.ws_connect(f"{url}/ws/line") as socket:
        await socket.send_str("bug")
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == aiohttp.WSCloseCode.INTERNAL_ERROR
        await other.send_str("still here")
        assert await other.receive_str() == ":still here"


async def test_binary_frames_are_refused(web):
    session, url = web
    async with session.ws_connect(f"{url}/ws/line") as socket:
        await socket.send_bytes(b"\x00")
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == aiohttp.WSCloseCode.UNSUPPORTED_DATA


async def test_a_plain_request_for_a_socket_is_400(web):
    session, url = web
    assert (await session.get(f"{url}/ws/line")).status == 400
