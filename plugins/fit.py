"""Does a class fit the contract? Told before anything runs, because a wrong member would fail on a message's path.

`typing.runtime_checkable` looks at names alone and passes an async `verify` with wrong arguments, so members are
held against the protocols here: kind of function, arguments, and the whole of a role once a part of it is there.
"""

import inspect
import re
import typing
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from plugins import protocols, visits
from plugins.model import CONTRACT_VERSION, Channel

ROLES: dict[str, type[Any]] = {
    "webhook": protocols.Webhook,
    "answering": protocols.Answering,
    "runner": protocols.Runner,
    "socket": protocols.Socket,
    "counter": protocols.Counter,
    "sender": protocols.Effects,
    "placed": protocols.Placed,
    "pages": protocols.Pages,
    "site": visits.Site,
    "readable": protocols.Readable,
    "describable": protocols.Describable,
    "fetches": protocols.Fetches,
    "profiles": protocols.Profiles,
    "checkable": protocols.Checkable,
    "keyed": protocols.Keyed,
}
"""Role → the protocol whose own members make it. Of a target, "sender" is called "ticketing"."""

KIND = re.compile(r"[a-z][a-z0-9_]{0,31}")
RESERVED = frozenset({"kind", "name", "enabled", "silence"})
"""Keys of every instance's table, so no setting of a kind can have these names."""

_CHANNELS = typing.get_args(Channel)


def roles(cls: type[Any], *, target: bool = False) -> frozenset[str]:
    """What a class can do, by its members: the hub asks this instead of isinstance.

    Of a target the steps are its own role, "ticketing"; in one that has webhooks too both stand here.
    """
    found = {role for role, protocol in ROLES.items() if any(_has(cls, name) for name in _own(protocol))}
    if target and "sender" in found:
        found = found - {"sender"} | {"ticketing"}
    return frozenset(found)


def faults(cls: type[Any], *, target: bool = False) -> list[str]:
    """Everything that keeps a class from being used, in words for its author; empty if it fits."""
    found = list(_attributes(cls, target=target))
    present = roles(cls, target=target)
    arrives = present & {"webhook", "runner", "socket", "counter"}
    if target and "ticketing" not in present:
        found.append("a target needs plan, perform and find")
    if not target and not arrives and "sender" not in present:
        found.append("it does nothing: none of verify, run, serve, contact or plan")
    if "answering" in present and "webhook" not in present:
        found.append("respond needs verify")
    if not _takes(cls.__init__, 3):
        found.append("__init__ must take (instance, settings)")
    wanted = dict(_own(protocols.Ticketing if target else protocols.Connector))
    if arrives or "readable" in present:
        wanted["parse"] = protocols.Connector.parse
    for role in sorted(present):
        wanted |= _own(ROLES["sender" if role == "ticketing" else role])
    return found + [fault for name, wants in wanted.items() if (fault := _member(cls, name, wants))]


def _attributes(cls: type[Any], *, target: bool) -> Iterator[str]:
    contract = getattr(cls, "contract", None)
    if contract != CONTRACT_VERSION:
        says = "says none" if contract is None else f"says {contract!r}"
        yield f"contract = {CONTRACT_VERSION} is what this hub speaks; the class {says}"
    kind = getattr(cls, "kind", None)
    if not isinstance(kind, str) or not KIND.fullmatch(kind):
        yield f"kind must match {KIND.pattern}"
    settings_type = getattr(cls, "settings_type", None)
    if not (isinstance(settings_type, type) and issubclass(settings_type, msgspec.Struct)):
        yield "settings_type must be a msgspec.Struct class"
    else:
        taken = RESERVED.intersection(settings_type.__struct_encode_fields__)
        if taken:
            yield f"settings_type uses names that every instance has: {', '.join(sorted(taken))}"
    if not target:
        channel = inspect.getattr_static(cls, "channel", None)
        if isinstance(channel, str) and channel not in _CHANNELS:
            yield f"channel must be one of {', '.join(_CHANNELS)}"
    if (not target or hasattr(cls, "parse")) and not isinstance(getattr(cls, "isolate", None), bool):
        yield "isolate must be True or False: where parse runs"
    if "runner" in roles(cls) and not isinstance(getattr(cls, "once", None), bool):
        yield "once must be True or False: on one node, or on every node"


def _member(cls: type[Any], name: str, wants: Any) -> str:
    """What is wrong with one member; "" if nothing is."""
    if not _has(cls, name):
        return f"{name} is missing"
    if isinstance(wants, property):
        return f"{name} must be a property or an attribute" if inspect.isfunction(_static(cls, name)) else ""
    member = _static(cls, name)
    bound = isinstance(member, staticmethod)
    function = member.__func__ if isinstance(member, staticmethod | classmethod) else member
    if not inspect.isfunction(function):
        return f"{name} must be a method"
    if inspect.iscoroutinefunction(wants) != inspect.iscoroutinefunction(function):
        return f"{name} must be {'async def' if inspect.iscoroutinefunction(wants) else 'a plain def, not async'}"
    if inspect.isasyncgenfunction(function) or (name != "parse" and inspect.isgeneratorfunction(function)):
        return f"{name} must not be a generator"
    parameters = list(inspect.signature(wants).parameters)
    if not _takes(function, len(parameters) - bound):
        return f"{name} must take ({', '.join(parameters)})"
    return ""


def _takes(function: Callable[..., Any], count: int) -> bool:
    try:
        inspect.signature(function).bind(*[None] * count)
    except TypeError:
        return False
    return True


def _has(cls: type[Any], name: str) -> bool:
    """As a member, or named in a class body and set by `__init__`."""
    return hasattr(cls, name) or any(name in vars(base).get("__annotations__", {}) for base in cls.__mro__)


def _static(cls: type[Any], name: str) -> Any:
    return inspect.getattr_static(cls, name, None)


def _own(protocol: type[Any]) -> dict[str, Any]:
    """The methods and properties that a protocol itself adds."""
    return {
        name: value
        for name, value in vars(protocol).items()
        if not name.startswith("_") and (inspect.isfunction(value) or isinstance(value, property))
    }
