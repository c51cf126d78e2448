"""`python -m bench hostile-mail`: what hostile mails do to the acknowledgement of everybody else's messages.

A steady client posts signed webhooks and measures each acknowledgement; then the same again while hostile mails come in
by SMTP without a pause. Nothing is measured from inside: the hub is a real `trunkline serve`.
"""

import argparse
import asyncio
import contextlib
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import aiosmtplib
from sqlalchemy import text

from bench.faults.nemesis import healed
from bench.faults.place import Place
from context_store.reader import reading
from plugins import standard_sign

RATE = 50
"""Webhooks in a second, sent on time whatever the answers do: a slow answer delays no later question."""
WARM = 2.0
"""Seconds left out at the beginning."""
CRLF = "\r\n"


def hostile(serial: int) -> Iterator[tuple[str, bytes]]:
    """(name, mail); the serial makes each mail a new one."""

    def mail(name: str, more: str, body: str = "words") -> tuple[str, bytes]:
        head = [
            "From: Mal <mal@evil.test>",
            "To: desk@hub.test",
            f"Subject: {name}",
            f"Message-ID: <{name}{serial}@evil.test>",
        ]
        return name, (CRLF.join(head) + CRLF + more + CRLF + body + CRLF).encode("latin-1")

    nested = "".join(f'Content-Type: multipart/mixed; boundary="b{n}"{CRLF * 2}--b{n}{CRLF}' for n in range(1000))
    yield mail("nested", nested)
    yield mail("headers", "".join(f"X-H{n}: {n}{CRLF}" for n in range(100_000)))
    yield mail("recipients", f"Cc: {f',{CRLF} '.join(f'u{n}@acme.test' for n in range(20_000))}{CRLF}")
    yield mail("parentheses", f"Reply-To: {'(' * 3000}{CRLF}")
    yield mail("words", f"Comments: {f'{CRLF} '.join('=?utf-8?b?w6Q=?=' for _ in range(20_000))}{CRLF}")
    odd = f"Content-Type: text/plain; charset=unknown-8bit{CRLF}Content-Transfer-Encoding: 8bit{CRLF}"
    yield mail("charset", odd, "\x81\x8d\x8f\xff\xfe" * 20_000)
    yield mail("utf7", f"Content-Type: text/plain; charset=utf-7{CRLF}", "+AGE-" * 200_000)
    yield mail("html", f"Content-Type: text/html{CRLF}", "<div>" * 100_000 + "<a href='x" * 10_000)
    yield mail("large", f"Content-Type: text/plain{CRLF}", (("y" * 998) + CRLF) * 24_000)
    yield mail("short-lines", f"Content-Type: text/plain{CRLF}", ("z" + CRLF) * 1_000_000)


class Steady:
    """Posts at a fixed rate and keeps what each answer took."""

    def __init__(self, place: Place, name: str) -> None:
        self._place, self._name = place, name
        self.taken: list[float] = []
        self.refused = 0
        self._serial = 0

    async def run(self, seconds: float) -> None:
        tasks: set[asyncio.Task[None]] = set()
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as http:
            begun = time.monotonic()
            number = 0
            while (due := begun + number / RATE) < begun + seconds:
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                self._serial += 1
                task = asyncio.create_task(self._post(http, self._serial, due, due > begun + WARM))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
                number += 1
            await asyncio.gather(*tasks)

    async def _post(self, http: aiohttp.ClientSession, serial: int, due: float, counts: bool) -> None:
        key = f"{self._name}-{serial}"
        body = json.dumps({"sender": {"scheme": "app", "value": key}, "thread": key, "text": key}).encode()
        signed = standard_sign([self._place.secret], key=key, at=datetime.now(UTC), body=body)
        async with http.post(f"http://127.0.0.1:{self._place.web}/in/hook/", data=body, headers=signed) as answer:
            await answer.read()
        self.refused += answer.status != 200
        if counts:
            self.taken.append(1000 * (time.monotonic() - due))

    def figures(self) -> dict[str, float]:
        ordered = sorted(self.taken)

        def at(part: float) -> float:
            return round(ordered[min(len(ordered) - 1, int(part * len(ordered)))], 1)

        return {"n": len(ordered), "p50_ms": at(0.5), "p99_ms": at(0.99), "max_ms": at(1.0), "refused": self.refused}


async def attack(port: int, until: asyncio.Event, answers: Counter[str]) -> None:
    """One hostile mail after the other, two at a time as a mail server would."""
    mails = ((name, raw) for serial in range(1_000_000) for name, raw in hostile(serial))

    async def sender() -> None:
        while not until.is_set():
            name, raw = next(mails)
            try:
                client = aiosmtplib.SMTP(hostname="127.0.0.1", port=port, timeout=60, start_tls=False)
                async with client:
                    await client.sendmail("mal@evil.test", ["desk@hub.test"], raw)
                answers[f"{name} 250"] += 1
            except aiosmtplib.SMTPResponseException as refused:
                answers[f"{name} {refused.code}"] += 1
            await asyncio.sleep(0.1)

    await asyncio.gather(sender(), sender())


async def sender_process(place: Place, seconds: float) -> dict[str, int]:
    """In a process of its own: making a mail of 24 MB must not stop the clock that measures."""
    command = [sys.executable, "-m", "bench.hostile_mail", str(place.smtp), str(seconds)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    return dict(json.loads(out))


async def measure(place: Place, seconds: float) -> dict[str, Any]:
    async with place.far_side(loses=0.0):
        place.served.start(fresh=True)
        await place.served.ready()
        calm, attacked = Steady(place, "calm"), Steady(place, "attacked")
        await calm.run(seconds)
        answers, _ = await asyncio.gather(sender_process(place, seconds), attacked.run(seconds))
        stopped = place.served.exitcode
        left = await healed(place)
        with reading(place.store) as conn:
            states = conn.execute(
                text("SELECT state, coalesce(cause, ''), count(*) FROM envelopes WHERE instance = 'mail' GROUP BY 1, 2")
            ).all()
    quiet, loud = calm.figures(), attacked.figures()
    return {
        "without": quiet, "with": loud, "p50_added_ms": round(loud["p50_ms"] - quiet["p50_ms"], 1),
        "p99_added_ms": round(loud["p99_ms"] - quiet["p99_ms"], 1), "hub_stopped": stopped is not None, "left": left,
        "mails": answers, "became": {f"{state} {cause}".strip(): n for state, cause, n in states},
    }  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(prefix="tl-hostile-") as folder:
        report = asyncio.run(measure(Place(Path(folder), "", 1), arguments.seconds))
    report["good"] = report["p99_added_ms"] < 100 and not report["hub_stopped"] and not report["left"]
    print(json.dumps(report, indent=None if arguments.json else 2))
    return 0 if report["good"] else 1


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, default=20.0, help="of each of the two runs")
    parser.add_argument("--json", action="store_true", help="one line")
    parser.set_defaults(run=run)


async def _attack_for(port: int, seconds: float) -> None:
    os.nice(10)  # its own work is not the hub's to bear
    until, answers = asyncio.Event(), Counter[str]()
    asyncio.get_running_loop().call_later(seconds, until.set)

    with contextlib.suppress(ConnectionError):
        await attack(port, until, answers)
    print(json.dumps(answers))


if __name__ == "__main__":
    asyncio.run(_attack_for(int(sys.argv[1]), float(sys.argv[2])))
