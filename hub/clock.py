"""The system's time, behind the contract's `Clock`."""

import asyncio
from datetime import UTC, datetime


class SystemClock:
    """UTC now, asyncio's sleep."""

    def now(self) -> datetime:
        """The wall clock, with its zone."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Cancellable."""
        await asyncio.sleep(seconds)


def millis(moment: datetime) -> int:
    """Milliseconds since 1970, as the store keeps time."""
    return int(moment.timestamp() * 1000)
