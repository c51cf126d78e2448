"""A folder with everything that one campaign needs: configuration, rules, ledgers, source file, and the far side."""

import base64
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bench.faults.farside import LOSES, FarSide
from bench.faults.ledger import Ledger
from bench.faults.served import Served
from plugins import Secret
from tests.servers import free_port

CONFIG = """
[hub]
name = "Fault tests"
listen = "127.0.0.1:{web}"
store = "{store}"

[hub.limits]
peer_per_minute = 10000000
disk_reserve = 1000000

[hub.delivery]
schedule = [0.05, 0.1, 0.2, 0.4]
horizon = 600
lease = 1.0
poll = 0.1

[hub.egress]
allow = ["127.0.0.1:{far}"]

[plugins]
folders = ["{plugins}"]
entry_points = false

[instance.hook]
kind = "webhook"
secrets = ["file:secret"]
scheme = "app"
issuer = "faults"
deliver_url = "http://127.0.0.1:{far}/deliver"

[instance.portal]
kind = "portal"

[instance.mail]
kind = "email"
address = "desk@hub.test"
listen = {{ port = {smtp} }}

[instance.feed]
kind = "feed"
file = "{feed}"

[instance.querylog]
kind = "querylog"

[instance.ticket-a]
kind = "standin"
effects = "a"
url = "http://127.0.0.1:{far}"

[instance.ticket-b]
kind = "standin"
effects = "b"
url = "http://127.0.0.1:{far}"

[instance.ticket-c]
kind = "standin"
effects = "c"
url = "http://127.0.0.1:{far}"
"""
RULES = """
[[rule]]
name = "to-a"
when.fields.target = ["a"]
set.target = "ticket-a"

[[rule]]
name = "to-b"
when.fields.target = ["b"]
set.target = "ticket-b"

[[rule]]
name = "to-c"
when.fields.target = ["c"]
set.target = "ticket-c"

[default]
set.type = "unknown"
set.impact = "person"
set.urgency = "medium"
set.target = "querylog"

[matrix]
person = { low = "P5", medium = "P4", high = "P3", critical = "P2" }
team = { low = "P4", medium = "P3", high = "P3", critical = "P2" }
department = { low = "P4", medium = "P3", high = "P2", critical = "P1" }
organisation = { low = "P3", medium = "P2", high = "P1", critical = "P1" }
"""


class Place:
    """Files by their names; `served` is the hub, `far` its far side."""

    def __init__(self, folder: Path, store: str, seed: int) -> None:
        """`store`: a URL; "" is SQLite in this folder."""
        self.folder, self.seed = folder, seed
        self.store = store or f"sqlite:///{folder}/var/trunkline.db"
        self.web, self.smtp = free_port(), free_port()
        self.secret = Secret("whsec_" + base64.b64encode(os.urandom(32)).decode())
        self.feed = folder / "feed.jsonl"
        self.feed.touch()
        (folder / "secret").write_text(self.secret.reveal())
        (folder / "secret").chmod(0o600)
        (folder / "rules.toml").write_text(RULES)
        self.sent = folder / "sent.jsonl"
        self.effects = folder / "effects.jsonl"
        self.served = Served(folder / "plugins.toml", self.web)

    @property
    def heads(self) -> Path:
        return self.folder / "var" / "audit-heads.jsonl"

    @property
    def blobs(self) -> Path:
        return self.folder / "var" / "blobs"

    @asynccontextmanager
    async def far_side(self, *, loses: float = LOSES, slow: float = 0.0) -> AsyncIterator[FarSide]:
        ledger = Ledger(self.effects)
        far = FarSide(ledger, self.secret, self.seed, loses=loses, slow=slow)
        await far.start()
        facts = {
            "web": self.web, "smtp": self.smtp, "far": far.port, "store": self.store, "feed": self.feed,
            "plugins": Path(__file__).with_name("far"),
        }  # fmt: skip
        (self.folder / "plugins.toml").write_text(CONFIG.format_map(facts))
        try:
            yield far
        finally:
            await self.served.kill()
            await far.stop()
            ledger.close()
