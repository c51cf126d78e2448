"""`trunkline rules backtest`: what a candidate would have made of history, without any effect."""

import re
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from cyclopts import Parameter
from cyclopts.validators import Number

from context_store import decided
from context_store.times import to_millis
from hub import replay
from hub.cli.access import reading
from hub.cli.common import DEFAULT, UNWELL, WELL, Common, Usage
from hub.cli.output import as_json, complain, progress, say, table, visible
from hub.clock import SystemClock
from hub.rules import read_rules
from routing import backtest as routed

Gate = Literal[
    "unmatched", "moved", "changed", "unknown", "never-hit",
    "type", "impact", "urgency", "priority", "target", "service", "value_stream", "team", "tags", "language", "hold",
    "acknowledgement", "article", "park", "spam", "validation",
]  # fmt: skip
MOVED = ("team", "target", "value_stream")
"""Fields that say who gets a query."""
ROWS = 10
"""Of each field, on a terminal; JSON has them all."""
_AGO = re.compile(r"(\d{1,5})([hdw])")
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}

Since = Annotated[str, Parameter(help="How far back: 12h, 30d, 8w, or a date such as 2026-11-21.")]


def backtest(
    candidate: Annotated[Path, Parameter(help="The rules to try.")],
    *,
    since: Since = "30d",
    fail_on: Annotated[
        tuple[Gate, ...],
        Parameter(help="End with 1 if any message would be so; `moved`: team, target or value stream differ."),
    ] = (),
    samples: Annotated[int, Parameter(help="Messages to read, for each kind of change.", validator=Number(gte=0))] = 5,
    common: Common = DEFAULT,
) -> int:
    """What a candidate file would have decided otherwise, from history and without any effect.

    trunkline rules backtest candidate.toml
    trunkline rules backtest candidate.toml --since 90d --fail-on unmatched --fail-on priority

    A message of which a rule asks for what was not captured at its time is counted as unknown, never as unchanged.
    """
    after = decided.before(moment(since))
    rules = read_rules(candidate)
    with reading(common) as conn, progress() as bar:
        task = bar.add_task("Replaying", total=decided.how_many(conn, after))
        report = routed.backtest(
            rules, replay.past(conn, after), time.perf_counter,
            lambda count: bar.update(task, completed=count), samples=samples,
        )  # fmt: skip
    failed = _failed(report, fail_on)
    if common.json:
        figures = {"never_hit": report.never_hit, "microseconds": report.microseconds, "failed": failed}
        as_json(msgspec.structs.asdict(report) | figures)
    else:
        show(report, since)
    for words in failed:
        complain(words)
    return UNWELL if failed else WELL


def moment(since: str) -> int:
    """UTC milliseconds of `30d` ago, or of a date in this machine's zone."""
    ago = _AGO.fullmatch(since)
    try:
        if ago:
            return to_millis(SystemClock().now() - timedelta(**{_UNITS[ago[2]]: int(ago[1])}))
        given = datetime.fromisoformat(since)
        return to_millis((given if given.tzinfo else given.astimezone()).astimezone(UTC))
    except (ValueError, OverflowError) as error:
        raise Usage(f"--since {visible(since)}: expected hours, days, weeks (12h, 30d, 8w) or a date") from error


def _failed(report: routed.Report, gates: Iterable[Gate]) -> list[str]:
    """Words for each gate that does not hold. An empty history proves nothing, so no gate holds on it."""
    counts = {
        "unmatched": report.newly_unmatched, "changed": report.changed, "unknown": report.unknown,
        "never-hit": len(report.never_hit), "moved": sum(_moves(report, field) for field in MOVED),
    }  # fmt: skip
    wanted = dict.fromkeys(gates)
    if wanted and not report.messages:
        return ["nothing was replayed, so --fail-on can't tell anything"]
    found = {str(gate): counts[gate] if gate in counts else _moves(report, gate) for gate in wanted}
    return [f"--fail-on {gate}: {count}" for gate, count in found.items() if count]


def _moves(report: routed.Report, field: str) -> int:
    return sum(report.moves.get(field, {}).values())


def show(report: routed.Report, since: str) -> None:
    """For people."""
    if not report.messages:
        say(f"No rules have judged anything since {visible(since)}: there is nothing to replay.")
        return
    say(f"{report.messages:,} messages: {report.changed:,} would be judged otherwise, {report.unknown:,} can't be told",
        style="bold")  # fmt: skip
    cost = f"; {report.microseconds:.0f} µs per message" if report.seconds else ""
    lost, won = f"{report.newly_unmatched:,}", f"{report.newly_matched:,}"
    say(f"{lost} would be matched by no rule any more, {won} by one at last{cost}")
    _tabulate(("field", "change", "messages"), changes(report), "What would change", "change")
    _tabulate(("rule", "then", "now", "can't be told"), _rules(report), "Rules with the greatest differences", "rule")
    if report.never_hit:
        more = f" and {len(report.never_hit) - ROWS:,} more" if len(report.never_hit) > ROWS else ""
        say(f"Would match nothing: {visible(', '.join(report.never_hit[:ROWS]))}{more}")
    read = to_read(report)
    _tabulate(("query", "message", "was", "would be", "rules"), read, "To read", "message")
    if read:
        say("`trunkline explain QUERY --rules CANDIDATE` says why.", style="dim")


def _tabulate(columns: tuple[str, ...], rows: list[tuple[Any, ...]], title: str, wide: str) -> None:
    if rows:
        table(columns, rows, title=title, wide=wide)


def changes(report: routed.Report) -> list[tuple[str, str, int]]:
    """(field, `from → to`, messages): the most frequent of each field, and the rest in one row."""
    rows = []
    for field, moves in report.moves.items():
        sorted_ = sorted(moves.items(), key=lambda move: (-move[1], move[0]))
        rows += [(field, move, count) for move, count in sorted_[:ROWS]]
        if rest := sorted_[ROWS:]:
            rows.append((field, f"{len(rest):,} other changes", sum(count for _, count in rest)))
    return rows


def to_read(report: routed.Report) -> list[tuple[Any, ...]]:
    """Samples as rows, each once, however many kinds of change it stands for."""
    once = {(one.key, one.says): one for kept in report.samples.values() for one in kept}
    return [(one.key, one.says, _pairs(one.was), _pairs(one.would_be), one.rules_after) for one in once.values()]


def _rules(report: routed.Report) -> list[tuple[str, int, int, int]]:
    names = dict.fromkeys([*report.hits, *report.hits_before])
    rows = [
        (name, report.hits_before.get(name, 0), report.hits.get(name, 0), report.unknown_by_rule.get(name, 0))
        for name in names
    ]
    told = sorted(rows, key=lambda row: -abs(row[1] - row[2]) - row[3])
    return [row for row in told if row[1] != row[2] or row[3]][: ROWS * 3]


def _pairs(values: Any) -> tuple[str, ...]:
    return tuple(f"{field} {routed.shown(value)}" for field, value in values.items())
