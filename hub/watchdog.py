"""Watches that the event loop turns, and says who holds it up while it stands still.

The loop notes the time every TICK; a thread looks at the note. If it is too old the thread takes the loop thread's
stack, which is that of the culprit, and logs it at once: a loop that never comes back is named too.
"""

import asyncio
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from types import FrameType

import structlog

from hub.instances import Instance
from hub.telemetry import Telemetry

log = structlog.get_logger("trunkline.watchdog")

TICK = 0.05
LIMIT = 0.1
"""Seconds of standing still from which on it is logged; one that falls between two ticks counts up to TICK less."""
QUIET = 10.0
"""Seconds between two lines of the log; what happens meanwhile is counted."""
DEEP = 30


class Watchdog:
    """`start` on the loop to watch; `stop` before the loop ends."""

    def __init__(self, instances: Mapping[str, Instance], telemetry: Telemetry) -> None:
        self._instances = instances
        self._telemetry = telemetry
        self._beat = 0.0
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """From now on."""
        self._beat = time.monotonic()
        self._task = asyncio.create_task(self._tick(), name="watchdog")
        watched = threading.get_ident()
        self._thread = threading.Thread(target=self._watch, args=(watched,), name="watchdog", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """The thread ends within a tick."""
        if self._task is None or self._thread is None:
            return
        self._task.cancel()
        self._ended.set()
        await asyncio.to_thread(self._thread.join)

    async def _tick(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(TICK)
            self._beat = time.monotonic()
            self._telemetry.late(max(0.0, self._beat - before - TICK))

    def _watch(self, watched: int) -> None:
        seen, said, unsaid = 0.0, float("-inf"), 0
        while True:
            before, used = time.monotonic(), time.process_time()
            if self._ended.wait(TICK):
                return
            now, beat = time.monotonic(), self._beat
            late = now - before - TICK
            if late > LIMIT and time.process_time() - used < late / 2:
                continue  # stopped or starved, nobody in it is to blame: whoever holds the GIL uses the processor
            stood = now - beat - TICK
            if stood < LIMIT or beat == seen:
                continue
            seen = beat  # once for each time it stands still
            self._telemetry.blocked()
            if now - said < QUIET:
                unsaid += 1
                continue
            self._say(watched, stood, unsaid)
            said, unsaid = now, 0

    def _say(self, watched: int, stood: float, unsaid: int) -> None:
        frame = sys._current_frames().get(watched)  # noqa: SLF001  # its documented name
        if frame is None:
            return
        stack = "".join(traceback.format_stack(frame)[-DEEP:])
        where = f"{frame.f_code.co_filename}:{frame.f_lineno}"
        log.warning(
            "loop.blocked", seconds=round(stood, 3), instance=self._culprit(frame), where=where, unsaid=unsaid,
            stack=stack,
        )  # fmt: skip

    def _culprit(self, frame: FrameType | None) -> str:
        """The instance whose code runs, else "" (the hub itself)."""
        connectors = {id(one.connector): one.id for one in self._instances.values() if one.connector is not None}
        while frame is not None:
            owner = id(frame.f_locals.get("self"))
            if owner in connectors:
                return connectors[owner]
            frame = frame.f_back
        return ""
