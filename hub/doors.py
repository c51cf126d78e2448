"""Where a configuration listens: so that no port is wanted twice, and a taken one is named by its setting."""

import errno
import socket
from collections.abc import Iterator, Sequence

from msgspec import Struct

from plugins import Problem
from plugins.instances import Configured

_EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104  # compared, not bound


class Door(Struct, frozen=True):
    """One address to listen on, and the setting that says so."""

    key: str
    host: str
    port: int


def listen_address(listen: str) -> tuple[str, int]:
    """Host and port of `host:port`, the host without the brackets of IPv6."""
    host, _, port = listen.rpartition(":")
    return host.strip("[]"), int(port)


def doors(listen: str, instances: Sequence[Configured]) -> list[Door]:
    """The web server's (`listen` "" leaves it out), and those of instances that run; without port 0, any free one."""
    found = [Door("hub.listen", *listen_address(listen))] if listen else []
    for one in instances:
        own = getattr(one.settings, "listen", None)
        if own is not None and one.instance.enabled:
            found.append(Door(f"instance.{one.id}.listen", own.host, own.port))
    return [door for door in found if door.port]


def clashes(found: Sequence[Door], file: str) -> Iterator[Problem]:
    """Every door that an earlier one stands in the way of."""
    for number, door in enumerate(found):
        for other in found[:number]:
            if door.port == other.port and (door.host == other.host or {door.host, other.host} & _EVERYWHERE):
                what = f"{other.key} has port {door.port} already"
                yield Problem(file=file, key=door.key, what=what, fix="give each listener a port of its own")


class Trouble(Struct, frozen=True):
    """Why nobody can listen at a door now."""

    code: int
    what: str
    fix: str


def trouble(door: Door) -> Trouble | None:
    """None if it is free. It listens for an instant, without taking a connection."""
    try:
        family = socket.AF_INET6 if ":" in door.host else socket.AF_INET
        socket.create_server((door.host, door.port), family=family).close()
    except OSError as error:
        why, fix = _words(door).get(error.errno or 0, (str(error.strerror), f"correct {door.key}"))
        return Trouble(error.errno or 0, f"{door.host}:{door.port}: {why}", fix)
    return None


def _words(door: Door) -> dict[int, tuple[str, str]]:
    return {
        errno.EADDRINUSE: (
            "the port is taken by another program",
            f"`ss -ltnp 'sport = :{door.port}'` names it: end it, or set another port in {door.key}",
        ),
        errno.EACCES: (
            "ports below 1024 are the system's",
            f"set a higher one in {door.key}, or give the service AmbientCapabilities=CAP_NET_BIND_SERVICE",
        ),
        socket.EAI_NONAME: (
            "no such name is known",
            f"name an address of this machine in {door.key}",
        ),
        errno.EADDRNOTAVAIL: (
            "this machine has no such address",
            f"name one of its own in {door.key}, or 0.0.0.0 for all",
        ),
    }
