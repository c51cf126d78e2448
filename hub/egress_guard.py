"""Where the hub may call: https to public addresses, and what the administrator has listed.

SSRF is closed in two places. `Guard.target` reads the URL with a grammar so narrow that no two parsers can
disagree about its host (no userinfo, no zone, no `127.1`, no backslash, nothing but ASCII). `VettedResolver` looks at
every address that a name resolves to and hands these very addresses to the connector, so that a second look-up
(DNS rebinding) never happens between the check and the connection.
"""

import ipaddress
import re
import socket
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_URL = 8190
"""Characters; what common servers take in a request line."""

_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?(?P<rest>[/?#][!-\[\]-~]*)?",
    re.ASCII | re.IGNORECASE,
)
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.ASCII)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_ENTRY = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?", re.ASCII | re.IGNORECASE)

_UNICAST = ipaddress.IPv6Network("2000::/3")  # all that IANA has given out for the public IPv6 internet
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are the IPv4 address that is reached
_SPECIAL = (  # in IANA's special-purpose registries; `is_global` of Python 3.11 says yes to some of them
    ipaddress.ip_network("192.0.0.0/24"),  # protocol assignments
    ipaddress.ip_network("192.88.99.0/24"),  # 6to4 relays, RFC 7526
    ipaddress.ip_network("2001::/23"),  # protocol assignments; Teredo hides an IPv4 address
    ipaddress.ip_network("2002::/16"),  # 6to4 hides an IPv4 address and is given up, RFC 7526
    ipaddress.ip_network("3fff::/20"),  # documentation, RFC 9637
)


class Refused(Exception):
    """The guard's reason. No OSError: aiohttp would call that a DNS failure, which is worth another try."""


class Target(NamedTuple):
    """A URL that passed: what is sent is `url` as the plugin wrote it, never requoted (signed queries)."""

    url: URL
    host: str
    plain: bool
    """http without TLS."""

    @property
    def place(self) -> str:
        """Scheme, host and port: all of a URL that may be shown, since paths carry tokens (Telegram)."""
        return str(self.url.origin())


class _Entry(NamedTuple):
    where: str | Network
    port: int | None


def is_public(address: Address) -> bool:
    """Can this be nothing but a host on the public internet?

    Stricter than `is_global`: multicast, 6to4, Teredo, site-local and IPv4-compatible addresses are out, and the IPv4
    address inside v4-mapped and NAT64 ones decides for them.
    """
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
        if address not in _UNICAST:
            return False
    if address.is_multicast or any(address in network for network in _SPECIAL):
        return False
    return address.is_global


def _host(text: str) -> str | Address:
    """The host in canonical form. Raises Refused for whatever resolvers and servers read differently."""
    text = text.lower()
    try:
        if text.startswith("["):
            return ipaddress.IPv6Address(text[1:-1])
        labels = text.split(".")
        if _NUMBER.fullmatch(labels[-1]):  # by WHATWG's URL standard "ends in a number": an IPv4 address or nothing
            return ipaddress.IPv4Address(text)
    except ValueError:
        raise Refused("the host is an address in an odd form") from None
    if len(text) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise Refused("the host is no DNS name")
    return text


def _entry(text: str) -> _Entry:
    try:
        return _Entry(ipaddress.ip_network(text), None)
    except ValueError:
        match = _ENTRY.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no network, host or host:port")
    try:
        host = _host(match[1])
        port = _port(match[2], 0) or None
    except Refused as refused:
        raise ValueError(f"{text!r}: {refused}") from None
    return _Entry(host if isinstance(host, str) else ipaddress.ip_network(host), port)


def _port(text: str | None, default: int) -> int:
    port = default if text is None else int(text)
    if text is not None and not 0 < port < 65536:
        raise Refused("the port is out of range")
    return port


class Guard:
    """The allow-list, applied to URLs and to resolved addresses."""

    def __init__(self, allow: Sequence[str]) -> None:
        """Entries are networks, addresses, hosts or host:port. Raises ValueError for anything else."""
        self._entries = [_entry(text) for text in allow]

    def target(self, text: str) -> Target:
        """The URL, if it may be called as far as it alone can tell. Raises Refused."""
        match = _URL.fullmatch(text) if isinstance(text, str) and len(text) <= MAX_URL else None
        if match is None:
            raise Refused("not an https URL of plain ASCII without userinfo")
        scheme = match["scheme"].lower()
        host = _host(match["host"])
        port = _port(match["port"], 443 if scheme == "https" else 80)
        plain = scheme == "http"
        if not isinstance(host, str):
            self.vet(str(host), port, [str(host)], plain=plain)
        elif plain and not any(self._lists(host, port, entry) for entry in self._entries) and not self._networks():
            raise Refused(f"{host} may be called by https only; list it in hub.egress.allow for http")
        netloc = f"[{host}]" if isinstance(host, ipaddress.IPv6Address) else str(host)
        rest = match["rest"] or "/"
        path = rest if rest.startswith("/") else f"/{rest}"
        return Target(URL(f"{scheme}://{netloc}:{port}{path}", encoded=True), str(host), plain)

    def vet(self, host: str, port: int, addresses: Iterable[str], *, plain: bool) -> None:
        """Raise Refused unless every one of the addresses may be connected to for this host.

        One private address among public ones refuses them all: an honest public name has none.
        """
        if any(self._lists(host, port, entry) for entry in self._entries):
            return
        for text in addresses:
            address = ipaddress.ip_address(text)
            if any(self._covers(address, port, entry) for entry in self._entries):
                continue
            if plain:
                raise Refused(f"{host} may be called by https only; list it in hub.egress.allow for http")
            if not is_public(address):
                raise Refused(f"{host} leads to {address}, which is not public; list it in hub.egress.allow")

    def _networks(self) -> bool:
        return any(not isinstance(entry.where, str) for entry in self._entries)

    @staticmethod
    def _lists(host: str, port: int, entry: _Entry) -> bool:
        return entry.where == host and entry.port in (None, port)

    @staticmethod
    def _covers(address: Address, port: int, entry: _Entry) -> bool:
        return not isinstance(entry.where, str) and address in entry.where and entry.port in (None, port)


class VettedResolver(AbstractResolver):
    """Resolves once per connection; what it returns is what the connector connects to, and nothing else."""

    def __init__(self, guard: Guard, inner: AbstractResolver, *, plain: bool) -> None:
        """`plain`: the connector speaks http without TLS, for which only listed places will do."""
        self._guard = guard
        self._inner = inner
        self._plain = plain

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Raises Refused, or OSError where there is no address (aiohttp asserts on an empty list)."""
        found = await self._inner.resolve(host, port, family)
        if not found:
            raise OSError(f"{host} has no address")
        self._guard.vet(host, port, [result["host"] for result in found], plain=self._plain)
        return found

    async def close(self) -> None:
        """With its connector."""
        await self._inner.close()
