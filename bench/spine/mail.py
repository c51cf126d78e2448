"""Mail: fields, sanitised HTML and text; the same with folds; and the whole way to a recorded query.

All against the standard library's `email` with `policy.default`, asked for the same fields, in processor time of the
same mails. The whole way counts the worker process: journal, parse, look up, judge, record.
"""

import asyncio
import email
import email.policy
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any, cast

from bench.spine.inside import Inside
from bench.spine.mails import COUNT, mails
from bench.spine.measure import Figure, Run, installed, median, process_cpu, spread
from connectors.channels.email.options import Limits, ParseOptions
from connectors.channels.email.parse import parse_mail
from plugins import Envelope

MAIL = """
[instance.mail]
kind = "email"
address = "support@trunkline.test"
[instance.mail.listen]
host = "127.0.0.1"
port = 0
"""
DESK = "support@trunkline.test"
UNFOLDED = Limits(folded=0)


def figures(run: Run) -> Iterator[Figure]:
    took = asyncio.run(_rounds(run))
    stdlib = took.pop("stdlib")
    for key, values in took.items():
        ratios = [ours / theirs for ours, theirs in zip(values, stdlib, strict=True)]
        beside = {"stdlib_us": round(median(stdlib)), "hub_us": round(median(values)), "range": spread(ratios)}
        yield Figure(key, median(ratios), beside)


async def _rounds(run: Run) -> dict[str, list[float]]:
    given = mails()
    run.say(f"mails of {sum(map(len, given)) / len(given) / 1000:.1f} kB")
    ways: dict[str, Callable[[Sequence[bytes]], None]] = {
        "stdlib": _stdlib,
        "mail_fields_ratio": lambda raws: _ours(raws, ParseOptions(addresses=(DESK,), limits=UNFOLDED)),
        "mail_fold_ratio": lambda raws: _ours(raws, ParseOptions(addresses=(DESK,))),
    }
    took: dict[str, list[float]] = {name: [] for name in (*ways, "mail_path_ratio")}
    async with Inside(installed(run.folder / "mail", more=MAIL), workers=True) as hub:
        for n in range(run.triples + 1):
            found = {name: _cpu(way, given) for name, way in ways.items()}
            found["mail_path_ratio"] = await _path(hub, mails(COUNT, seed=100 + n))
            if n:  # the first round warms up
                for name, micros in found.items():
                    took[name].append(micros)
                run.say(f"mail {n}/{run.triples}: " + ", ".join(f"{name} {us:.0f} us" for name, us in found.items()))
    return {name: values for name, values in took.items() if name == "stdlib" or name in run.keys}


def _cpu(way: Callable[[Sequence[bytes]], None], raws: Sequence[bytes]) -> float:
    begun = time.process_time()
    way(raws)
    return (time.process_time() - begun) / len(raws) * 1e6


def _envelopes(raws: Sequence[bytes]) -> list[Envelope]:
    now = datetime.now(UTC)
    return [Envelope(key=raw[:400].hex(), raw=raw, at=now, facts={"rcpt": DESK}) for raw in raws]


def _ours(raws: Sequence[bytes], options: ParseOptions) -> None:
    for envelope in _envelopes(raws):
        assert list(parse_mail(envelope, options))


def _stdlib(raws: Sequence[bytes]) -> None:
    for raw in raws:
        assert _fields(cast("EmailMessage", email.message_from_bytes(raw, policy=email.policy.default)))


def _fields(mail: EmailMessage) -> tuple[Any, ...]:
    """What a message of ours holds: people, subject, date, ids, both bodies, files."""
    people = [
        [(one.display_name, one.addr_spec) for one in mail[name].addresses] if mail[name] else []
        for name in ("from", "to", "cc", "reply-to")
    ]
    date = mail["date"].datetime if mail["date"] else None
    ids = [str(mail[name] or "") for name in ("message-id", "in-reply-to", "references")]
    plain, markup = mail.get_body(("plain",)), mail.get_body(("html",))
    files = [(part.get_filename(), part.get_content_type(), part.get_content()) for part in mail.iter_attachments()]
    texts = [part.get_content() if part is not None else "" for part in (plain, markup)]
    return people, str(mail["subject"]), date, ids, texts, files


async def _path(hub: Inside, raws: Sequence[bytes]) -> float:
    envelopes = _envelopes(raws)
    before = time.process_time() + _workers()
    for at in range(0, len(envelopes), 10):
        await hub.hub.intake.receive("mail", envelopes[at : at + 10])
    await hub.drain(hub.hub.isolated)
    return (time.process_time() + _workers() - before) / len(raws) * 1e6


def _workers() -> float:
    return sum(process_cpu(child.pid) for child in multiprocessing.active_children() if child.pid)
