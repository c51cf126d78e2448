"""The rooms of the hub that operations and pages go through: what they are given instead of the whole hub.

`hub.app` builds them; nothing here runs. So what an agent does can be read, tried and changed without the composition.
"""

from context_store import Store
from context_store.blobs import BlobStore
from hub.config import Config
from hub.fabric import Fabric
from hub.helping import Shelf
from hub.instances import Instance
from hub.intake import Intake
from hub.keys import Keys
from hub.port import Port
from hub.rules import Rules
from hub.telemetry import Telemetry
from hub.workers import Parsers
from plugins import Clock


class Rooms:
    """By their names; there once the hub is open."""

    config: Config
    clock: Clock
    fabric: Fabric
    keys: Keys
    store: Store
    blobs: BlobStore
    instances: dict[str, Instance]
    ports: dict[str, Port]
    intake: Intake
    parsers: Parsers
    rules: Rules
    shelf: Shelf
    telemetry: Telemetry
    sockets: list[str]
    """Where the hub listens, in words for people; known once it has started."""
