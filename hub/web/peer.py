"""Whose request it is, for limits: a proxy's word counts only from the proxies that the administrator named (S20).

Nothing is ever allowed because of this address; it only keeps strangers from sharing one limit behind a proxy, and one
subscriber from having many.
"""

import ipaddress
from collections.abc import Sequence
from functools import lru_cache

from aiohttp import web

from hub.web.site import HUB
from plugins import subscriber


def peer_of(request: web.Request) -> str:
    """The address next to our own proxies; without named proxies whoever holds the connection."""
    return peer_behind(request.app[HUB].config.proxies, request)


def peer_behind(proxies: Sequence[str], request: web.BaseRequest) -> str:
    """As `peer_of`, of a request that no application has got yet."""
    peer = request.remote or ""
    if proxies:
        lines = request.headers.getall("X-Forwarded-For", ())
        peer = nearest(peer, [part.strip() for line in lines for part in line.split(",")], proxies)
    return _subscriber(peer)


_subscriber = lru_cache(maxsize=1024)(subscriber)


def nearest(remote: str, forwarded: Sequence[str], proxies: Sequence[str]) -> str:
    """From the connection backwards, the first address that is none of ours.

    What stands left of it was written by strangers. Something unreadable ends the walk at the proxy that passed it on.
    """
    networks = [ipaddress.ip_network(each) for each in proxies]
    peer = remote
    for said in reversed(forwarded):
        if not _within(peer, networks):
            break
        try:
            ipaddress.ip_address(said)
        except ValueError:
            break
        peer = said
    return peer


def _within(address: str, networks: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(found in network for network in networks)
