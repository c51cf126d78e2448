"""Addresses that stand in settings, as types that say what they look like. Nothing is resolved or connected to."""

import ipaddress
import re
from typing import Annotated
from urllib.parse import urlsplit

from plugins.settings import Fits

_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}")


def is_host(text: str) -> bool:
    """A name of the DNS, or an IP address: what looks like one must be one."""
    if ":" in text:
        return _is_address(text)
    labels = text.removesuffix(".").split(".")
    if not all(_LABEL.fullmatch(label) for label in labels) or len(text) > 253:
        return False
    return _is_address(text) if labels[-1].isdigit() else True


def is_host_port(text: str) -> bool:
    """`host:port`, IPv6 in brackets."""
    host, mark, port = text.rpartition(":")
    if not mark or not port.isascii() or not port.isdigit() or int(port[:6]) > 65535:
        return False
    if host.startswith("["):
        return host.endswith("]") and ":" in host and is_host(host[1:-1])
    return ":" not in host and is_host(host)


def is_network(text: str) -> bool:
    """An address, or a network without bits behind its mask."""
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def is_domain(text: str) -> bool:
    """A domain, in any script; not an address."""
    try:
        plain = text.encode("idna").decode()
    except UnicodeError:
        return False
    return is_host(plain) and not plain.rpartition(".")[2].isdigit()


def is_mailbox(text: str) -> bool:
    """A plain mail address, as it may stand in SMTP commands and headers."""
    local, _, domain = text.rpartition("@")
    return _ADDRESS.fullmatch(local) is not None and domain.isascii() and is_domain(domain)


def is_url(text: str) -> bool:
    """A URL of http or https with a host, without log-in and fragment."""
    if not text.isprintable() or any(char.isspace() or char in '#\\"<>' for char in text):
        return False
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and "@" not in parts.netloc and port != 0 and is_host(parts.hostname or "")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


Host = Annotated[str, Fits('a host name or address, such as "mail.acme.example"', is_host)]
HostPort = Annotated[str, Fits('"host:port", such as "127.0.0.1:8080" or "[::1]:8080"', is_host_port)]
Network = Annotated[str, Fits('a network or address, such as "10.2.0.0/16"', is_network)]
Domain = Annotated[str, Fits('a mail domain, such as "acme.example"', is_domain)]
MailAddress = Annotated[str, Fits('a plain mail address, such as "support@acme.example"', is_mailbox)]
AddressOrDomain = Annotated[
    str, Fits('a plain mail address, or "@domain" for all of one', lambda text: is_mailbox("any" + text))
]
WebAddress = Annotated[str, Fits("a web address that begins with https:// or http://, without a log-in", is_url)]
Printable = Annotated[str, Fits("text without control characters", str.isprintable)]
"""For what stands in a command or a header, where a line end would begin another."""
