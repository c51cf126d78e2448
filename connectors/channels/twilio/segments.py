"""How a short message is counted: 3GPP TS 23.038 (GSM-7 and its extension table), else UCS-2."""

from plugins import utf16_units

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("\f^{}\\[~]|€")
"""Each takes two places."""


def segments(text: str) -> tuple[str, int]:
    """(GSM-7 or UCS-2, how many segments): one holds 160 or 70, of several each 153 or 67."""
    if all(sign in _BASIC or sign in _EXTENDED for sign in text):
        return "GSM-7", _count([1 + (sign in _EXTENDED) for sign in text], 160, 153)
    return "UCS-2", _count([utf16_units(sign) for sign in text], 70, 67)


def _count(sizes: list[int], alone: int, joined: int) -> int:
    """A sign of two places is not cut: it goes whole into the next segment."""
    if sum(sizes) <= alone:
        return 1
    number, used = 1, 0
    for size in sizes:
        if used + size > joined:
            number, used = number + 1, 0
        used += size
    return number
