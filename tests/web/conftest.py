"""A desk on a real aiohttp server, with a real store, a real intake and sample data; browsers on demand."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from context_store import Store
from context_store.blobs import BlobStore
from context_store.references import receipt_of
from context_store.text import hash_key
from hub.config import Config, load_config
from hub.fabric.local import LocalFabric
from hub.helping import Shelf
from hub.instances import Instance
from hub.keys import Keys
from hub.mask import Mask
from hub.telemetry import Telemetry
from hub.texts import Texts
from hub.web import auth
from hub.web.server import make_app, runner
from plugins import Envelope, Identity, NotAuthentic, Reply, Request
from routing import RuleSet, load_rules
from tests.web.sample import PASSWORD, Sample

CONFIG = """
[hub]
name = "Acme service desk"
listen = "127.0.0.1:0"

[instance.portal]
kind = "portal"
name = "Ask the service desk"

[instance.support-mail]
kind = "email"
address = "support@acme.test"

[instance.desk]
kind = "desk"
name = "Walk-in desk"

[instance.ring]
kind = "desk"
name = "Telephone desk"
channel = "phone"

[instance.hooks]
kind = "webhook"
name = "Monitoring"
secrets = ["env:HOOK_SECRET"]
"""
HOOK_SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Turned:
    """The system's time plus what a test adds."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    async def sleep(self, seconds: float) -> None:
        self.ahead += timedelta(seconds=seconds)


@dataclass
class Operations:
    """Records what the console asks for."""

    calls: list[tuple[Any, ...]] = field(default_factory=list)
    to: Identity = field(default_factory=lambda: Identity(scheme="email", value="ann@acme.test"))
    through: str = "support-mail"
    refuse: str = ""
    receipt: str = ""

    async def recipient(self, hub: Any, actor: str, reference: str, to_message: int | None = None) -> Any:
        if self.refuse:
            raise ValueError(self.refuse)
        return self.to, self.through

    async def reply(
        self, hub: Any, actor: str, query: str, text: str, *, public: bool = True, to_message: int | None = None,
        once: str = "", files: Any = (),
    ) -> Any:  # fmt: skip
        assert once
        self.calls.append(("reply", actor, query, text, to_message, *([files] if files else [])))

    async def set_query(self, hub: Any, actor: str, reference: str, changes: Any) -> Any:
        self.calls.append(("set_query", actor, reference, changes))

    async def let_go(self, hub: Any, actor: str, reference: str, target: str = "") -> Any:
        self.calls.append(("let_go", actor, reference))

    async def typing(self, hub: Any, actor: str, reference: str, to_message: int | None = None) -> None:
        if self.refuse:
            raise ValueError(self.refuse)
        self.calls.append(("typing", actor, reference, to_message))

    async def issue_pin(self, hub: Any, actor: str, reference: str) -> Any:
        if self.refuse:
            raise ValueError(self.refuse)
        self.calls.append(("issue_pin", actor, reference))
        return {"reference": reference, "pin": "123456789"}

    async def note(self, hub: Any, actor: str, reference: str, text: str, *, once: str = "") -> Any:
        self.calls.append(("note", actor, reference, text))

    async def record_contact(
        self, hub: Any, actor: str, instance: str, who: str, about: str, text: str = "", outcome: str = "open",
        *, once: str = "",
    ) -> Any:  # fmt: skip
        if not who:
            raise ValueError("say who came")
        assert once
        self.calls.append(("record_contact", actor, instance, who, about, text, outcome))
        return {"receipt": self.receipt, "instance": instance}

    async def release(self, hub: Any, actor: str, ids: Any) -> Any:
        self.calls.append(("release", actor, list(ids)))
        return {"released": len(ids)}


@dataclass
class Rules:
    """Those in force."""

    current: RuleSet


@dataclass
class Intake:
    """Verifies with the real connector, remembers what it got instead of journaling it."""

    instances: dict[str, Instance]
    full: bool = False
    many: bool = False
    seen: list[Request] = field(default_factory=list)
    peers: list[str] = field(default_factory=list)

    def admit(self, instance_id: str, peer: str) -> Reply | None:
        self.peers.append(peer)
        if self.full or self.many:
            return Reply(status=503 if self.full else 429, headers=(("Retry-After", "5"),))
        return None

    async def accept(self, instance_id: str, request: Request) -> Reply:
        self.seen.append(request)
        instance = self.instances.get(instance_id)
        try:
            verified = instance.connector.verify(request) if instance else None
        except NotAuthentic:
            verified = None
        if isinstance(verified, Envelope):
            return Reply(status=202, headers=(("X-Own", "1"), ("Set-Cookie", "a=b")))
        return verified or Reply(status=401, body=b"not authentic\n")


@dataclass
class Desk:
    """The hub as the web sees it, and the server that serves it."""

    config: Config
    clock: Turned
    store: Store
    instances: dict[str, Instance]
    intake: Intake
    operations: Operations
    blobs: BlobStore
    telemetry: Telemetry = field(default_factory=lambda: Telemetry(["portal", "hooks"]))
    fabric: LocalFabric = field(init=False)
    keys: Keys = field(default_factory=lambda: Keys([bytes(32)]))
    shelf: Shelf = field(init=False)
    rules: "Rules" = field(init=False)
    url: str = ""
    app: Any = None
    ids: dict[str, Any] = field(default_factory=dict)

    async def session(self, login: str) -> str:
        """A fresh session's cookie value."""
        return (await auth.open_session(self, self.ids[login])).decode()


@pytest.fixture(scope="session")
def password_hash() -> str:
    import argon2

    return argon2.PasswordHasher().hash(PASSWORD)


@pytest.fixture
async def desk(tmp_path: Path, password_hash: str) -> AsyncIterator[Desk]:
    file = tmp_path / "plugins.toml"
    file.write_text(CONFIG)
    config = load_config(file, {"HOOK_SECRET": HOOK_SECRET})
    clock = Turned()
    store = await Store.open(config.store, config.data, clock)
    instances = {each.id: Instance(each, None, Mask(set())) for each in config.instances}
    desk = Desk(config, clock, store, instances, Intake(instances), Operations(), BlobStore(config.data))
    desk.fabric = LocalFabric(clock)
    desk.shelf = Shelf(Texts(tmp_path / "templates", tmp_path / "articles", "en"))
    desk.rules = Rules(load_rules((Path(__file__).parents[2] / "rules.toml").read_bytes(), "rules.toml"))
    sample = Sample(store, password_hash)
    desk.ids = await store.write(sample.fill)
    desk.ids["receipt"] = receipt_of(desk.ids["envelope"], hash_key(str(desk.ids["envelope"])))
    desk.operations.receipt = desk.ids["receipt"]
    desk.ids["setup"] = await auth.setup_link(store, "", desk.ids["viewer"])
    for n in (0, 1):
        await store.write(_keep, desk.ids[f"blob{n}"])
    desk.app = make_app(desk, desk.operations)
    serving = runner(desk.app)
    await serving.setup()
    site = web.TCPSite(serving, "127.0.0.1", 0)
    await site.start()
    desk.url = f"http://127.0.0.1:{serving.addresses[0][1]}"
    yield desk
    await serving.cleanup()
    await store.close()


def _keep(conn: Any, blob: tuple[bytes, bytes]) -> None:
    from sqlalchemy import insert

    from context_store import tables as t

    conn.execute(insert(t.blobs).values(sha256=blob[0], size=len(blob[1]), refs=1, data=blob[1], created_at=0))


Client = Callable[..., Any]


@pytest.fixture
async def client(desk: Desk) -> AsyncIterator[Callable[[str], Any]]:
    """`await client("agent")`: an HTTP client with that agent's session; "" for a stranger."""
    opened: list[aiohttp.ClientSession] = []

    async def make(login: str = "") -> aiohttp.ClientSession:
        cookies = {"trunkline": await desk.session(login)} if login else None
        session = aiohttp.ClientSession(
            desk.url,
            cookies=cookies,
            cookie_jar=aiohttp.CookieJar(unsafe=True),
            headers={"Sec-Fetch-Site": "same-origin"},
        )
        opened.append(session)
        return session

    yield make
    for session in opened:
        await session.close()
