"""Slack's markup, both ways: what people read in and write out ("Formatting text for app surfaces"). Pure."""

import re

from plugins import utf16_units

_MARK = re.compile(r"<([^<>\n]{1,3000})>")
_ENTITIES = (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"))
"""The only three, `&amp;` last: `&amp;lt;` is the text `&lt;`."""


def readable(text: str, own: str = "") -> str:
    """Markup as people see it: mentions by name where one is given, links with their address.

    `own`: the desk's bot, which is left out where a message begins by naming it.
    """
    if own:
        text = re.sub(rf"^\s*<@{re.escape(own)}(\|[^<>]*)?>[\s:,]*", "", text)
    return _plain(_MARK.sub(_shown, text))


def escaped(text: str) -> str:
    """Text as it is: no mention, link or channel-wide shout can be written by accident or on purpose."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def measure(text: str) -> int:
    """Length as it goes out: escaped, in UTF-16 units, since Slack does not say in which unit it counts."""
    return utf16_units(text) + 4 * text.count("&") + 3 * (text.count("<") + text.count(">"))


def _plain(text: str) -> str:
    for entity, sign in _ENTITIES:
        text = text.replace(entity, sign)
    return text


def _shown(found: re.Match[str]) -> str:
    inner, _, label = found[1].partition("|")
    if inner[0] in "@#":
        return f"{inner[0]}{label.removeprefix(inner[0]) or inner[1:]}"
    if inner[0] == "!":  # <!here>, <!subteam^S1|@team>, <!date^1392734382^{date}|February 18th>
        return label or f"@{inner[1:].partition('^')[0]}"
    address = inner.removeprefix("mailto:").removeprefix("tel:")
    if not label or label in (inner, address) or address.endswith(f"//{label}"):
        return address
    return f"{label} ({address})"
