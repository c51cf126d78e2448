"""Errors of the Cloud API by what the hub does next (Meta, "WhatsApp Cloud API error codes").

Meta asks to go by `code`, never by title or HTTP status. The same codes come in answers and, later, in statuses.
"""

from collections.abc import Mapping
from typing import NoReturn

import msgspec
from msgspec import Struct

from plugins import Answer, Pause, Refuse, Retry

REFUSALS: Mapping[int, str] = {
    130497: "not_allowed",  # the account may not write to this country
    131005: "not_allowed",
    131021: "recipient_unknown",  # sender and recipient are one number
    131026: "recipient_unknown",
    131030: "not_allowed",  # a test number writes to listed recipients only
    131037: "not_allowed",  # the display name waits for approval
    131047: "window_closed",
    131050: "recipient_blocked",  # the person wants no marketing messages
    131051: "content_refused",
    131052: "media_unsupported",
    131053: "media_unsupported",
    132005: "too_long",  # a template with its parameters
}
"""Code → one of CAUSES; 132xxx are faults of the template, which is needed because the window is closed; all others
are "content_refused"."""
WAITS = frozenset([4, 80007, 130429, 131000, 131048, 131056, 131057, 133004])
"""Limits and known pauses of the service: nothing was sent, later it will be."""
REVOKED = frozenset([0, 190])
CLOSED = frozenset([3, 10, 33, 368, 131031, 131042, 131045, 133010, *range(200, 300)])
"""Rights, billing or registration of the number itself: nothing will go out before a person acts."""
PAIR_LIMIT, PAIR_WAIT = 131056, 6.0  # seconds: one message to one person every six


class Data(Struct, frozen=True):
    """`error_data`."""

    details: str = ""


class Fault(Struct, frozen=True):
    """One error, in an answer (`error`) or in a webhook (`errors`)."""

    code: int = 0
    message: str = ""
    title: str = ""
    error_data: Data = Data()
    error_subcode: int = 0

    @property
    def words(self) -> str:
        """Meta's own, with its number."""
        said = [self.title or self.message, self.error_data.details]
        return f"{self.code} {': '.join(dict.fromkeys(part for part in said if part))}"[:500]


class _Told(Struct, frozen=True):
    error: Fault


def cause(fault: Fault) -> str:
    """The code of `Refuse`."""
    if fault.code == 100 and "must be at most" in fault.words:  # "Param text['body'] must be at most 4096 characters"
        return "too_long"
    if fault.code in (100, 131009) and "one of the following types" in fault.words:
        return "media_unsupported"
    if fault.code in (100, 131053) and "too large" in fault.words.lower():
        return "media_too_large"
    if 132000 <= fault.code < 133000 and fault.code not in REFUSALS:
        return "window_closed"
    return REFUSALS.get(fault.code, "content_refused")


def raise_for(answer: Answer) -> NoReturn:
    """The error that an answer of 4xx is.

    Raises: Retry, Pause or Refuse, never anything else.
    """
    try:
        fault = msgspec.json.decode(answer.body, type=_Told).error
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise Pause(f"no answer of WhatsApp's, but HTTP {answer.status}: is something in between?") from None
    if fault.code in REVOKED:
        raise Pause(f"token_revoked: {fault.words}")
    if fault.code in CLOSED or (fault.code == 100 and fault.error_subcode == 33):  # no such phone_number_id
        raise Pause(f"account_closed: {fault.words}")
    if fault.code in WAITS or answer.status == 429:
        raise Retry(fault.words, after=_wait(answer, fault))
    raise Refuse(cause(fault), fault.words)


def _wait(answer: Answer, fault: Fault) -> float | None:
    said = answer.headers.get("retry-after", "")
    if said.isdecimal() and len(said) < 7:
        return float(said)
    return PAIR_WAIT if fault.code == PAIR_LIMIT else None
