"""`python -m bench parse-corpus`: parse every mail of the shared corpora in process and say how well we agree."""

import argparse
import json
import sys
import time
from collections import Counter
from datetime import UTC, datetime

from bench.corpus import manifest
from bench.corpus.score import score
from bench.corpus.second import compare
from connectors.channels.email.parse import ParseOptions, delivery_key, parse_mail
from plugins import Envelope, Item, Message, Skipped

AT = datetime(2026, 1, 1, tzinfo=UTC)
OPTIONS = ParseOptions(addresses=("support@hub.example",), domains=("hub.example",))


def parse(raw: bytes) -> list[Item]:
    """One mail, as the connector would parse it."""
    key, fingerprint = delivery_key(raw)
    return list(parse_mail(Envelope(key=key, raw=raw, at=AT, fingerprint=fingerprint), OPTIONS))


def run(arguments: argparse.Namespace) -> int:
    data = manifest.folder()
    if data is None:
        print("no shared data here", file=sys.stderr)
        return 2
    cases = manifest.mails(data) + manifest.replies(data)
    begun = time.process_time()
    items = {case.name: parse(case.raw) for case in cases}
    spent = time.process_time() - begun
    scored = score(cases, items)
    for case in cases:
        compare(scored, case, next((item for item in items[case.name] if isinstance(item, Message)), None))
    everything = [item for found in items.values() for item in found]
    report = {
        "mails": sum(not case.wrapped for case in cases),
        "texts": sum(case.wrapped for case in cases),
        "items": Counter(type(item).__name__ for item in everything),
        "parked": sum(isinstance(item, Skipped) and item.park for item in everything),
        "automatic": Counter(item.automatic or "person" for item in everything if isinstance(item, Message)),
        "milliseconds_per_mail": round(1000 * spent / len(cases), 2),
        **scored.report(),
    }
    print(json.dumps(report, indent=None if arguments.json else 2, ensure_ascii=False))
    return 0


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one line")
    parser.set_defaults(run=run)
