"""Moments as the tables hold them: UTC milliseconds since 1970."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLI = timedelta(milliseconds=1)


def to_millis(moment: datetime) -> int:
    """Of a moment with its zone; a naive one raises TypeError. Exact, unlike `timestamp()`."""
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000


def from_millis(millis: int) -> datetime:
    """In UTC."""
    return _EPOCH + millis * _MILLI
