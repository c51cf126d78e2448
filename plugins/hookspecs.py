"""Every hook that a plugin can implement. Hooks collect classes and watch; pluggy is never on a message's path.

A plugin is a module (or object) whose functions carry `@hookimpl`. A function may take fewer arguments
than its specification, never others; a misspelt name is a problem that stops the start.
"""

from collections.abc import Sequence
from typing import Any

import pluggy

from plugins.model import Event
from plugins.protocols import Connector, Ticketing

hookspec = pluggy.HookspecMarker("trunkline")
hookimpl = pluggy.HookimplMarker("trunkline")


@hookspec
def register_connectors() -> Sequence[type[Connector]]:  # type: ignore[empty-body]
    """Return the connector classes of this plugin.

    Called once, at start, in `trunkline check`, and in every parse worker: do no I/O.
    Results of all plugins are joined; a `kind` that two of them offer is refused for the second, by name.
    Raising (or failing at import) takes down this plugin only: its instances are shown as broken, with the reason.
    Not called at reload: code changes need a restart.
    """


@hookspec
def register_ticketing() -> Sequence[type[Ticketing]]:  # type: ignore[empty-body]
    """Return the target classes of this plugin.

    Called, joined and guarded like `register_connectors`, with which it shares the space of kinds.
    A class that is registered here plans `TicketWork`; one registered there plans `Outgoing`.
    """


@hookspec
def observe_event(event: Event) -> Any:
    """Watch what the hub has done: metrics, mirrors, exports.

    Called after an event is sealed, in the order of `seq`, on the node that holds the sealer: after a change of
    node an event may come twice, so keep the last `seq`. Results are dropped: an observer can't change or veto.
    Raising is logged with the plugin's name and harms no other observer, no message and no later event.
    It runs on the hub's own thread: return within milliseconds and hand slow work to a queue of your own.
    Not called for what is not sealed: typing signals, health, requests that were refused before the journal.
    """
