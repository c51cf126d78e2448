"""The kit as a pytest plugin (entry point group `pytest11`): failures that show their values, and a report card.

The first is not decoration: without it a failing check in a subclass shows a bare AssertionError, because pytest
rewrites assertions only in test files and in modules that are named here before their import.
"""

from collections import defaultdict
from typing import Any

import pytest

pytest.register_assert_rewrite(
    *(f"plugins.testing.{name}" for name in ("conformance", "fetching", "secrecy", "site", "vendor"))
)

CARD, PAYLOADS, SAID = "trunkline.kind", "trunkline.payloads", "Skipped: it "


def pytest_report_teststatus(report: Any) -> tuple[str, str, str] | None:
    """A check that a connector has no part in, by its own declaration, is counted apart: nothing was left out."""
    if report.skipped and _reason(report).startswith(SAID):
        return "declared", "d", "DECLARED"
    return None


def _reason(report: Any) -> str:
    return str(report.longrepr[2] if isinstance(report.longrepr, tuple) else "")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """One card for each kind that was held against the kit: what passed, what failed, what it declares it can't."""
    cards: defaultdict[str, _Card] = defaultdict(_Card)
    for outcome in ("passed", "failed", "error", "declared"):
        for report in terminalreporter.stats.get(outcome, ()):
            said = dict(getattr(report, "user_properties", ()))
            if CARD in said:
                cards[said[CARD]].add(outcome, report, said.get(PAYLOADS, ()))
    if cards:
        terminalreporter.section("report card of the conformance kit")
    for kind, card in sorted(cards.items()):
        for line in card.lines(kind):
            terminalreporter.line(line)


class _Card:
    def __init__(self) -> None:
        self.passed = 0
        self.failed: list[str] = []
        self.cannot: set[str] = set()
        self.payloads: dict[str, int] = {}

    def add(self, outcome: str, report: Any, payloads: Any) -> None:
        """A check's result; `payloads` are (what became of them, how many)."""
        self.payloads |= dict(payloads)
        if outcome == "passed":
            self.passed += report.when == "call"
        elif outcome == "declared":
            self.cannot.add(_reason(report).removeprefix(SAID))
        else:
            self.failed.append(report.nodeid.rpartition("::")[2])

    def lines(self, kind: str) -> list[str]:
        """For people."""
        head = f"{kind}: {self.passed} passed, {len(self.failed)} failed"
        return [
            head,
            *(f"  failed   {name}" for name in self.failed),
            *(f"  declared it {what}" for what in sorted(self.cannot)),
            *(f"  payloads {number:4} {word[:100]}" for word, number in sorted(self.payloads.items())),
        ]
