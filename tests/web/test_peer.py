"""Whose request it is behind a proxy."""

import pytest

from hub.web.peer import nearest

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
