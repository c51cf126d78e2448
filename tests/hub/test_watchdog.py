"""Who holds the event loop up is named even if no thread can run meanwhile; a process that is stopped blames nobody."""

import asyncio
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.hub.desk import Desk, message

ROOT = Path(__file__).resolve().parents[2]
WATCHED = """
import asyncio
from hub.telemetry import Telemetry
from hub.watchdog import Watchdog

async def main():
    telemetry = Telemetry([])
    watchdog = Watchdog({}, telemetry)
    watchdog.start()
    for _ in range(2):
        print("it turns", flush=True)
        await asyncio.to_thread(input)
        await asyncio.sleep(0.5)
    print(telemetry.registry.get_sample_value("trunkline_loop_blocked_total"))
    await watchdog.stop()

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("block", "where"),
    [
        (lambda: time.sleep(0.5), r"time\.sleep\(0\.5\)"),
        # a regular expression gives the GIL back at its end: no other thread runs meanwhile
        (lambda: re.match(r"(\w+\s?)*$", "a" * 22 + "!"), r"re/__init__\.py"),
    ],
)
async def test_a_plugin_that_blocks_the_loop_is_counted_and_named(desk: Desk, capsys, block, where):
    line = desk.hub.instances["chat"].connector
    await asyncio.sleep(0.2)
    capsys.readouterr()

    class Slow:
        """A webhook whose verify takes its time where it must not."""

        def __getattr__(self, name: str):
            return getattr(line, name)

        def verify(self, request):
            block()
            return line.verify(request)

    before = _counted(desk)
    desk.hub.instances["chat"].connector = Slow()

    async def counted() -> bool:  # a machine so busy that we get less than half a processor excuses us
        assert await desk.post(message()) == 200
        await asyncio.sleep(0.2)
        return _counted(desk) > before

    await desk.until(counted)
    said = capsys.readouterr().out
    desk.hub.instances["chat"].connector = line
    assert re.search(r"loop\.blocked.*instance\S*=\S*chat", said)
    assert re.search(where, said)
    lags = desk.hub.telemetry.registry.get_sample_value
    assert lags("trunkline_loop_lag_seconds_bucket", {"le": "0.25"}) < lags("trunkline_loop_lag_seconds_count")
    await desk.settle()


def _counted(desk: Desk) -> float:
    return desk.hub.telemetry.registry.get_sample_value("trunkline_loop_blocked_total") or 0.0


async def test_a_process_that_is_stopped_blames_nobody_in_it():
    watched = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WATCHED, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert watched.stdin is not None
    assert watched.stdout is not None
    await watched.stdout.readline()
    watched.stdin.write(b"\n")
    await watched.stdout.readline()
    watched.send_signal(signal.SIGSTOP)
    await asyncio.sleep(2)
    watched.send_signal(signal.SIGCONT)
    said, _ = await watched.communicate(b"\n")
    assert said == b"0.0\n"
