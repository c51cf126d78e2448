"""Text from outside, made comparable: mail and network addresses, and values that must stand on one line.

A mail address is one identity however it is typed (R16: whoever may have one acknowledgement a day has one under all
spellings). It is compared in the form that `canonical_email` gives and sent and shown as it was written. Nothing here
says that two addresses are one person: `ann+a@` and `ann@`, dots or their absence, stay different.
"""

import html
import ipaddress
import re
import unicodedata
from functools import lru_cache

import idna

from plugins.model import Identity

_BREAKS = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")  # U+2028 and U+2029 are in \s
_DOTS = re.compile("\u3002")  # RFC 3490 §3.1: read as a full stop, as those two are that NFKC makes of others
_DOMAIN = 253  # RFC 1035 §2.3.4; longer ones are no domains, and folding them is work for nothing
_REFERENCE = re.compile(r"&#0*([0-9]{1,8})[0-9]*")  # 8 digits name no character; 4,300 are too many for `int`
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ATOM = re.compile(r"[^\s\"(),:;<>@\[\\\]\x00-\x20\x7f]+")


def one_line(text: str, size: int = 1000) -> str:
    """At most `size` characters without line ends and other control characters, for subjects and names."""
    if len(text) <= size and text.isprintable():  # nearly all are
        return text.strip()
    return _BREAKS.sub(" ", text[: 4 * size]).strip()[:size].rstrip()


def unescape(markup: str) -> str:
    """HTML's character references as the characters that they stand for; U+FFFD for those that stand for none.

    As `html.unescape`, but that raises ValueError for a number of more than 4,300 digits.
    """
    return html.unescape(_REFERENCE.sub(r"&#\1", markup)) if "&" in markup else markup


def canonical_domain(text: str) -> str:
    """A domain as DNS compares it: A-labels (RFC 5891, mapped by UTS 46), lower case, no trailing dot.

    What is no domain name (an underscore, an address literal) is only folded, so that any text has one form.
    """
    if not text.isascii():
        text = _DOTS.sub(".", unicodedata.normalize("NFKC", text))
    text = text.strip().rstrip(".")
    return text.lower() if text.isascii() else _a_labels(text)


@lru_cache(maxsize=4096)
def _a_labels(text: str) -> str:
    if len(text) <= _DOMAIN:
        try:
            return idna.encode(text, uts46=True).decode("ascii").rstrip(".")
        except UnicodeError:  # IDNAError is one
            pass
    return _folded(text)


def canonical_email(text: str) -> str:
    """A mail address in the form in which identities are compared; any text has one, and its form is its own.

    The local part is put in lower case (RFC 5321 §2.4 lets a host tell cases apart; none that people use does) and
    loses quotes that it does not need (§4.1.2).
    """
    local, at, domain = unicodedata.normalize("NFKC", text).strip().rpartition("@")
    if not at:
        return _folded(domain)
    return f"{_folded(_unquoted(local))}@{canonical_domain(domain)}"


def _unquoted(local: str) -> str:
    """Without quotes that it does not need (RFC 5321 §4.1.2)."""
    quoted = _QUOTED.fullmatch(local)
    if quoted and _ATOM.fullmatch(bare := re.sub(r"\\(.)", r"\1", quoted[1], flags=re.DOTALL)):
        return bare
    return local


def canonical_address(identity: Identity) -> str:
    """The value by which an identity is known: mail addresses folded, all others (E.164, provider ids) as they are."""
    return canonical_email(identity.value) if identity.scheme == "email" else identity.value.strip()


def spelled_address(identity: Identity) -> str:
    """The value as it is sent to and shown: the person's own spelling, in characters that are what they look like.

    Compatibility characters go even here, and quotes without need: full-width letters are no address that a mail server
    knows, ours sends to none with quotes, and whoever fills in a form first must not spoil another's identity.
    """
    value = identity.value.strip()
    if identity.scheme != "email":
        return value
    local, at, domain = unicodedata.normalize("NFKC", value).rpartition("@")
    return f"{_unquoted(local)}@{domain.lower().rstrip('.')}" if at else domain


def subscriber(address: str) -> str:
    """A network address as limits count it: of IPv6 its /64, since one subscriber has all of that; "" of none."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:  # hung up already
        return ""
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is None:
            return str(ipaddress.ip_network((found, 64), strict=False))
        found = found.ipv4_mapped
    return str(found)


def _folded(text: str) -> str:
    """Lower case, not folded: folding makes `ss` of `ß`, and these are two mailboxes."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).lower())
