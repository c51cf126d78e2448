"""Mastodon's errors by what the hub does next. They have words and no codes, in English because we ask for it."""

from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import NoReturn

import msgspec
from msgspec import Struct

from plugins import Answer, Pause, Refuse, Retry

_CODES = (  # part of the words, in lower case → CAUSES; the first that is found
    ("character limit", "too_long"),
    ("too long", "too_long"),
    ("trying to reply", "original_gone"),
    ("not finished processing", "wait"),
    ("file size must be less", "media_too_large"),
    ("file content type", "media_unsupported"),
    ("not supported", "media_unsupported"),
    ("cannot attach", "media_unsupported"),
)
_CLOSED = ("scope", "login is currently", "suspended", "disabled", "confirm")


class _Told(Struct, frozen=True):
    error: str


def raise_for(answer: Answer) -> NoReturn:
    """The error that an answer of 4xx is.

    Raises: Retry, Pause or Refuse, never anything else.
    """
    if answer.status == 429:
        raise Retry("too many requests", after=_wait(answer))
    try:
        words = msgspec.json.decode(answer.body, type=_Told).error[:300]
    except (msgspec.MsgspecError, ValueError, RecursionError):
        if answer.status == 413:
            raise Refuse("media_too_large", "the server takes no file of this size") from None
        raise Pause(f"no answer of Mastodon's, but HTTP {answer.status}: is something in between?") from None
    if answer.status == 401:
        raise Pause(f"token_revoked: {words}")
    if answer.status == 403:
        if any(part in words.lower() for part in _CLOSED):
            raise Pause(f"account_closed: {words}")
        raise Refuse("not_allowed", words)
    code = next((code for part, code in _CODES if part in words.lower()), "content_refused")
    if code == "wait":
        raise Retry(words)
    raise Refuse("original_gone" if answer.status in (404, 410) else code, words)


def _wait(answer: Answer) -> float | None:
    """Seconds until `X-RateLimit-Reset`, by the server's own clock: ours may differ."""
    try:
        reset = datetime.fromisoformat(answer.headers.get("x-ratelimit-reset", ""))
        now = parsedate_to_datetime(answer.headers.get("date", ""))
        return max((reset - now).total_seconds(), 1.0)
    except (ValueError, TypeError, OverflowError):
        said = answer.headers.get("retry-after", "")
        return float(said) if said.isdecimal() and len(said) < 7 else None
