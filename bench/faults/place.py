"""A folder with everything that one campaign needs: configurations, rules, ledgers, source file, and the far side.

The first node lives in the folder itself, each other one in a folder of its own below. All share store and large files,
and have the same keys, as nodes on several machines must.
"""

import base64
import os
import random
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bench.faults.farside import LOSES, FarSide
from bench.faults.ledger import Ledger
from bench.faults.served import Served
from context_store.audit import Head, published_heads
from context_store.secrets import Vault
from hub.keys import Keys
from plugins import Secret
from tests.servers import free_port

CONFIG = """
[hub]
name = "Fault tests"
listen = "127.0.0.1:{web}"
store = "{store}"
blobs = "{blobs}"
fabric = "{fabric}"
rules = "{rules}"

[hub.limits]
peer_per_minute = 10000000
disk_reserve = {reserve}
waiting = {waiting}
pending = {pending}

[hub.delivery]
schedule = [0.05, 0.1, 0.2, 0.4]
horizon = 600
lease = 1.0
concurrency = 64  # a far side may hold each answer for seconds
poll = 0.1

[hub.egress]
allow = ["127.0.0.1:{far}"]

[plugins]
folders = ["{plugins}"]
entry_points = false

[instance.hook]
kind = "webhook"
secrets = ["file:{secret}"]
scheme = "app"
issuer = "faults"
deliver_url = "http://127.0.0.1:{far}/deliver"

[instance.portal]
kind = "portal"

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
MAIL = """
[instance.mail]
kind = "email"
address = "desk@hub.test"
listen = {{ port = {smtp} }}
"""
PLAIN_RULES = """
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
ROUTES = """
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
"""


class Place:
    """Files by their names; `served` is the first hub of `nodes`, `far` their far side."""

    def __init__(self, folder: Path, store: str, seed: int, *, nodes: int = 1, fabric: str = "") -> None:
        """`store`: a URL; "" is SQLite in this folder. `fabric`: a Redis."""
        self.folder, self.seed, self.fabric = folder, seed, fabric
        self.store = store or f"sqlite:///{folder}/var/trunkline.db"
        self.through = self.store
        """What the hub is told: perhaps a proxy before the store."""
        self.mail = True
        """A hub that takes mail begins with a parse worker, which costs more than all else of its start."""
        self.limits = {"reserve": 1_000_000, "waiting": 2000, "pending": 200_000}
        self._chance = random.Random(seed)
        self._ports = [(free_port(), free_port()) for _ in range(nodes)]
        self.secret = Secret("whsec_" + base64.b64encode(os.urandom(32)).decode())
        self.feed = folder / "feed.jsonl"
        self.feed.touch()
        (folder / "secret").write_text(self.secret.reveal())
        (folder / "secret").chmod(0o600)
        (folder / "rules.toml").write_text(ROUTES + PLAIN_RULES)
        self.sent = folder / "sent.jsonl"
        self.effects = folder / "effects.jsonl"
        homes = [folder, *(folder / f"node{n}" for n in range(1, nodes))]
        self.nodes = [Served(home / "plugins.toml", web) for home, (web, _) in zip(homes, self._ports, strict=True)]
        self.served = self.nodes[0]
        for home in homes:
            (home / "var").mkdir(mode=0o700, parents=True, exist_ok=True)
        Keys.load(folder / "var" / "signing.key")
        Vault(folder / "var" / "vault.key")
        for home in homes[1:]:
            for name in ("signing.key", "vault.key"):
                shutil.copy(folder / "var" / name, home / "var" / name)

    @property
    def web(self) -> int:
        """Of a node at random: a load balancer that has not noticed yet."""
        return self._chance.choice(self._ports)[0]

    @property
    def smtp(self) -> int:
        return self._chance.choice(self._ports)[1]

    def heads(self) -> list[Head]:
        """What the sealers published, whichever node's it was."""
        files = [node.config.parent / "var" / "audit-heads.jsonl" for node in self.nodes]
        return sorted((head for file in files for head in published_heads(file)), key=lambda head: head.n)

    @property
    def blobs(self) -> Path:
        return self.folder / "var" / "blobs"

    @asynccontextmanager
    async def far_side(self, *, loses: float = LOSES, slow: float = 0.0, holds: float = 0.0) -> AsyncIterator[FarSide]:
        ledger = Ledger(self.effects)
        far = FarSide(ledger, self.secret, self.seed, loses=loses, slow=slow, holds=holds)
        await far.start()
        for node, (web, smtp) in zip(self.nodes, self._ports, strict=True):
            facts = {
                "web": web, "smtp": smtp, "far": far.port, "store": self.through, "feed": self.feed,
                "plugins": Path(__file__).with_name("far"), "blobs": self.blobs, "fabric": self.fabric,
                "rules": self.folder / "rules.toml", "secret": self.folder / "secret", **self.limits,
            }  # fmt: skip
            node.config.write_text((CONFIG + MAIL * self.mail).format_map(facts))
        try:
            yield far
        finally:
            for node in self.nodes:
                await node.kill()
            await far.stop()
            ledger.close()
