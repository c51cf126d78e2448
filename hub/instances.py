"""A configured instance while the hub runs: its object, its roles, and the evidence of its health.

Health comes from what happened (last success, last message, last error), never from configuration (R15).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from hub.mask import Mask
from plugins import Capabilities, Egress, Identity
from plugins.instances import Configured
from plugins.manager import roles


class Instance:
    """One instance; `connector` is a channel's or a target's object, None while its plugin is broken."""

    def __init__(self, configured: Configured, egress: Egress, mask: Mask) -> None:
        """Build the object; what its constructor raises breaks this instance alone."""
        self.configured = configured
        self.id = configured.id
        self.kind = configured.instance.kind
        self.name = configured.instance.name
        self.is_target = configured.target
        self.egress = egress
        self.mask = mask
        self.connector: Any = None
        self.broken = mask(str(configured.broken)) if configured.broken else ""
        self.roles: frozenset[str] = frozenset()
        self._meant: frozenset[str] = frozenset()
        self.max_body = 0
        """Bytes of a request that its connector takes; nothing of a body is kept for whom nobody listens."""
        self.running = False
        self.restarts = 0
        self.crashed_at: float | None = None
        self.last_success: float | None = None
        self.last_message: float | None = None
        self.last_error = ""
        self.last_error_at: float | None = None
        if configured.cls is None or not configured.instance.enabled:
            return
        try:
            self._meant = frozenset(roles(configured.cls))
            connector = configured.build()
            if "webhook" in self._meant:
                self.max_body = connector.capabilities.max_body
            self.connector, self.roles = connector, self._meant
        except (Exception, SystemExit) as error:  # noqa: BLE001  # a plugin's own trouble stays its own
            self.broken = f"its constructor or its capabilities raised {mask.words(error)}"

    @property
    def channel(self) -> str:
        """The channel word of its messages."""
        return str(getattr(self.connector, "channel", "")) or "chat"

    @property
    def own(self) -> frozenset[Identity]:
        """Who the desk itself is there."""
        able: Capabilities | None = getattr(self.connector, "capabilities", None)
        return able.own if able is not None else frozenset()

    @property
    def isolated(self) -> bool:
        """Is it parsed in worker processes?"""
        return bool(getattr(self.connector, "isolate", False))

    def has(self, role: str) -> bool:
        """Does it do that, and can it?"""
        return self.connector is not None and role in self.roles

    def owes(self, role: str) -> bool:
        """Would it do that, were it not broken? Who delivers is told "later" then: "not here" may cost the message.

        Of a plugin that can't be imported nobody knows what it does: it owes everything.
        """
        wanted = bool(self.broken) and self.configured.instance.enabled
        return wanted and (not self._meant or role in self._meant)

    def answered(self, *, message: bool = False, at: datetime | None = None) -> None:
        """Its source or far side answered, now or `at`."""
        self.last_success = at.timestamp() if at is not None else self._now()
        if message:
            self.last_message = self.last_success

    def failed(self, error: BaseException) -> None:
        """Something of it went wrong."""
        self.last_error = self.mask.words(error)
        self.last_error_at = self._now()

    def crashed(self, error: BaseException) -> None:
        """Its runner ended by an error and is restarted."""
        self.failed(error)
        self.crashed_at = self.last_error_at
        self.restarts += 1

    def left(self) -> None:
        """Its runner is another node's now, which says how it fares; what else went wrong here stays."""
        if self.last_error_at == self.crashed_at:
            self.last_error, self.last_error_at = "", None
        self.crashed_at = None

    def _now(self) -> float:
        return self.egress.clock.now().timestamp()

    def evidence(self) -> Mapping[str, Any]:
        """What the console and /healthz show; times are seconds since 1970."""
        return {
            "id": self.id, "kind": self.kind, "name": self.name, "enabled": self.configured.instance.enabled,
            "running": self.running, "broken": self.broken, "restarts": self.restarts,
            "last_success": self.last_success, "last_message": self.last_message, "last_error": self.last_error,
            "last_error_at": self.last_error_at, "silence": self.configured.instance.silence,
        }  # fmt: skip
