"""The built-in target: the hub's own query log.

Queue, state, notes and assignment stand on the query itself, so opening a ticket here changes nothing elsewhere: the
step is harmless, and the ticket's id is the query's reference. It is a target like any other so that a site can move
from it to a ticketing tool, or use both, by a rule.
"""

from collections.abc import Sequence
from typing import ClassVar

import msgspec
from msgspec import Struct

from plugins import Attempt, Capabilities, Done, Open, Refuse, Step, Ticketing, TicketWork, hookimpl


class QueryLogSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing to set: what the log shows is set in the console."""


class QueryLog:
    """Opens queries in the hub's own log."""

    contract: ClassVar[int] = 1
    kind: ClassVar[str] = "querylog"
    settings_type: ClassVar[type[QueryLogSettings]] = QueryLogSettings

    def __init__(self, instance: str, settings: QueryLogSettings) -> None:
        self._instance = instance

    @property
    def capabilities(self) -> Capabilities:
        """Messages, notes and states are the query's own: there is nothing to say or change twice."""
        return Capabilities(verbs=frozenset({"open"}))

    def plan(self, work: TicketWork) -> Sequence[Step]:
        """One harmless step."""
        if not isinstance(work, Open):
            raise Refuse("not_offered", "the query log takes messages and changes from the query itself")
        return (Step(kind="open", body=msgspec.json.encode(work.ext_id), harmless=True),)

    async def perform(self, step: Step, attempt: Attempt) -> Done:
        """The query stands in the log as soon as it is recorded."""
        return Done(ref=msgspec.json.decode(step.body, type=str))

    async def find(self, step: Step, attempt: Attempt) -> Sequence[Done]:
        """As `perform`: it is always there."""
        return (Done(ref=msgspec.json.decode(step.body, type=str)),)


@hookimpl
def register_ticketing() -> Sequence[type[Ticketing]]:
    """The class of this module."""
    return (QueryLog,)
