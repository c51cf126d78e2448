"""Whose request it is behind a proxy."""

import pytest
from aiohttp.test_utils import make_mocked_request

from hub.web.peer import nearest, peer_behind

OURS = ("10.0.0.0/8", "::1/128")


@pytest.mark.parametrize(
    ("remote", "forwarded", "proxies", "peer"),
    [
        ("203.0.113.9", [], (), "203.0.113.9"),
        ("203.0.113.9", ["198.51.100.1"], (), "203.0.113.9"),
        ("203.0.113.9", ["198.51.100.1"], OURS, "203.0.113.9"),
        ("10.0.0.2", ["198.51.100.1"], OURS, "198.51.100.1"),
        ("10.0.0.2", ["6.6.6.6", "198.51.100.1"], OURS, "198.51.100.1"),
        ("10.0.0.2", ["198.51.100.1", "10.9.9.9"], OURS, "198.51.100.1"),
        ("10.0.0.2", ["6.6.6.6", "junk"], OURS, "10.0.0.2"),
        ("10.0.0.2", [], OURS, "10.0.0.2"),
        ("::1", ["2001:db8::7"], OURS, "2001:db8::7"),
        ("", ["198.51.100.1"], OURS, ""),
    ],
)
def test_only_named_proxies_are_believed(remote, forwarded, proxies, peer):
    assert nearest(remote, forwarded, proxies) == peer


def test_who_has_a_network_is_one_peer():
    request = make_mocked_request("GET", "/")
    peers = {peer_behind((), request.clone(remote=f"2001:db8:1:2::{n:x}")) for n in range(700)}
    assert peers == {"2001:db8:1:2::/64"}
    proxied = make_mocked_request("GET", "/", headers={"X-Forwarded-For": "2001:db8:1:2::7"}).clone(remote="10.0.0.2")
    assert peer_behind(OURS, proxied) == "2001:db8:1:2::/64"
