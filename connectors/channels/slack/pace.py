"""One post a second to each conversation ("Rate limits"), whatever threads it goes to.

Of one process: several nodes that post to one channel at once are told so by Slack (429), and wait as it says.
"""

from plugins import Clock, Retry

GAP = 1.0
PATIENCE = 10.0
"""Seconds that a step waits here; longer ones come again, so that other conversations need not wait for a busy one."""


class Pace:
    """When each conversation may be posted to again."""

    def __init__(self) -> None:
        self._free: dict[str, float] = {}

    async def turn(self, conversation: str, clock: Clock) -> None:
        """Wait for it. Raises Retry where many wait already."""
        now = clock.now().timestamp()
        at = max(now, self._free.get(conversation, now))
        if at - now > PATIENCE:
            raise Retry("many answers wait for this conversation, which takes one a second", after=at - now)
        self._free = {place: free for place, free in self._free.items() if free > now} | {conversation: at + GAP}
        if at > now:
            await clock.sleep(at - now)
