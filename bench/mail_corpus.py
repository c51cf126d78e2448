"""`python -m bench mail-corpus`: every mail of the shared corpora through a real Dovecot, a real hub and its store.

Says whether each was kept exactly once, and how far what the store holds agrees with what the corpora expect. Then the
same mails come again: in a second folder, and after the mailbox was rebuilt (another UIDVALIDITY): nothing is new then.
"""

import argparse
import asyncio
import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import structlog
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench.corpus import manifest
from bench.corpus.account import Account, Kept, account
from bench.corpus.desk import USER, Desk
from bench.corpus.manifest import Case
from bench.corpus.score import score
from tests.certificates import Authority
from tests.servers import Dovecot, room

SECOND = "Again"


async def measure(cases: Sequence[Case], progress: Progress) -> dict[str, Any]:
    """Run everything in temporary folders; the report."""
    with room("corpus-ca") as ca, room("corpus-imap") as maildir, room("corpus-hub") as folder:
        dovecot = await asyncio.to_thread(Dovecot, maildir, Authority(ca))
        try:
            desk = Desk(folder, dovecot, ["INBOX", SECOND])
            await desk.start()
            try:
                names = await _first(desk, dovecot, cases, progress)
                counts = await desk.counts()
                kept, work = await desk.kept(), await desk.work()
                found = account(desk.delivered(names), kept)
                again = {"second_folder": await _second_folder(desk, dovecot, cases, progress)}
                again["uidvalidity"] = await _rebuilt(desk, dovecot, cases, progress)
            finally:
                await desk.stop()
        finally:
            await asyncio.to_thread(dovecot.stop)
    return _report(cases, counts, kept, found) | {"outbox": work, "again": again}


async def _first(desk: Desk, dovecot: Dovecot, cases: Sequence[Case], progress: Progress) -> dict[str, str]:
    """Deliver all at once, as after a long downtime; file → name."""
    names = {dovecot.deliver(USER, case.raw): case.name for case in cases}
    task = progress.add_task("mails", total=len(cases))
    settled = asyncio.create_task(desk.settle(INBOX=len(names)))
    while not (await asyncio.wait([settled], timeout=0.2))[0]:
        counts = await desk.counts()
        progress.update(task, completed=sum(counts.get(word, 0) for word in ("done", "parked", "redelivered")))
    await settled
    progress.update(task, completed=len(cases))
    return names


async def _second_folder(desk: Desk, dovecot: Dovecot, cases: Sequence[Case], progress: Progress) -> dict[str, int]:
    task = progress.add_task("again, in a second folder", total=1)
    before = await desk.counts()
    for case in cases:
        dovecot.deliver(USER, case.raw, SECOND)
    await desk.settle(**{SECOND: len(cases)})
    progress.advance(task)
    return _difference(before, await desk.counts())


async def _rebuilt(desk: Desk, dovecot: Dovecot, cases: Sequence[Case], progress: Progress) -> dict[str, int]:
    """While the hub is away; it comes back with the cursor of the old UIDVALIDITY."""
    task = progress.add_task("again, after UIDVALIDITY changed", total=1)
    before = await desk.counts()
    await desk.stop()
    await asyncio.to_thread(dovecot.forget_uids, USER)
    await desk.start()
    await desk.settle(INBOX=len(cases))
    progress.advance(task)
    return _difference(before, await desk.counts())


def _difference(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {
        "redelivered": after.get("redelivered", 0) - before.get("redelivered", 0),
        "new_envelopes": after["received"] - before["received"],
        "new_messages": after["messages"] - before["messages"],
    }


def _report(cases: Sequence[Case], counts: dict[str, int], kept: Sequence[Kept], found: Account) -> dict[str, Any]:
    messages = {name: one.messages for name, one in found.by_name.items()}
    states = Counter(one.state for one in kept)
    names = {one.id: name for name, one in found.by_name.items()}
    return {
        "delivered": len(cases),
        "mails": sum(not case.wrapped for case in cases),
        "texts": sum(case.wrapped for case in cases),
        "letters": found.letters,
        "envelopes": len(kept),
        "done": states["done"],
        "parked": states["parked"],
        "parked_causes": {names.get(one.id, str(one.uid)): one.cause for one in kept if one.state == "parked"},
        "lost": len(found.lost),
        "lost_names": found.lost,
        "doubled": len(found.doubled),
        "doubled_names": found.doubled,
        "redelivered": counts.get("redelivered", 0),
        "collisions": counts.get("collision", 0),
        "shared_ids": found.shared_ids[0],
        "sharing_letters": found.shared_ids[1],
        "identical": found.identical,
        "other_ways": found.other_ways,
        "items": Counter(outcome for one in kept for outcome, _ in one.outcomes),
        "messages": counts["messages"],
        "agreement": score(cases, messages).report(),
    }


# ---- the command -------------------------------------------------------------------------------------------


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one document for programs")
    parser.add_argument("--limit", type=int, help="only the first so many mails")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    data = manifest.folder()
    if data is None:
        print("no shared data here", file=sys.stderr)
        return 2
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger("warning"),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    cases = (manifest.mails(data) + manifest.replies(data))[: arguments.limit]
    with Progress(console=Console(stderr=True)) as progress:
        report = asyncio.run(measure(cases, progress))
    if arguments.json:
        print(json.dumps(report, ensure_ascii=False, indent=2))
    else:
        _show(report)
    new = sum(each["new_envelopes"] + each["new_messages"] for each in report["again"].values())
    return int(bool(report["lost"] or report["doubled"] or new))


def _show(report: dict[str, Any]) -> None:
    console = Console(highlight=False)
    console.print(
        _table(
            "What became of them", ("", "n"), [(key, value) for key, value in report.items() if isinstance(value, int)]
        )
    )
    console.print(
        _table(
            "Again",
            ("", "redelivered", "new envelopes", "new messages"),
            [(name, *each.values()) for name, each in report["again"].items()],
        )
    )
    agreement = report["agreement"]
    fields = [
        (name, each["n"], each["agreed"], each["percent"], len(each["explained"]), len(each["unexplained"]))
        for name, each in agreement.items()
        if isinstance(each, dict) and "n" in each
    ]
    console.print(
        _table("Agreement with the corpora", ("field", "n", "agreed", "%", "explained", "unexplained"), fields)
    )
    several = report["identical"] + report["other_ways"]
    console.print(f"{len(several)} letters came several times, as {sum(map(len, several))} mails (--json names them)")
    console.print(f"visible text by words: {agreement['visible_text_words_percent']} %")
    console.print(f"mails with hidden words of a reply: {len(agreement['reply_words_hidden'])}")
    for name, cause in report["parked_causes"].items():
        console.print(f"parked: {name}: {cause}", markup=False)


def _table(title: str, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> Table:
    table = Table(*columns, title=title, title_justify="left")
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    return table
