"""The command `trunkline`. Commands are named here and loaded only when they are called, so that `--help` is fast."""

import sys
from collections.abc import Sequence

from hub import __version__
from hub.packages_check import foreign_packages

CODES = """Exit codes: 0 all is well · 1 a check found something · 2 wrong usage
3 the configuration is refused · 4 there is no such thing
5 the hub or its store can't be reached, or refused"""

# (group, command, where it is, one line)
COMMANDS = (
    ("", "init", "hub.cli.init:init", "Write a commented configuration and what it needs."),
    ("", "serve", "hub.cli.serve:serve", "Run the hub."),
    ("", "sample", "hub.cli.sample:sample", "Send sample traffic and show what became of it."),
    ("", "check", "hub.cli.check:check", "Test configuration, connections, rules and store."),
    ("", "doctor", "hub.cli.doctor:doctor", "Examine the machine and the store beneath the hub."),
    ("", "backup", "hub.cli.backup:backup", "Copy the store while the hub runs."),
    ("", "explain", "hub.cli.explain:explain_", "Why a query was triaged as it was, and why not otherwise."),
    ("", "search", "hub.cli.search:search", "Messages that have all the words, the newest first."),
    ("", "reprocess", "hub.cli.parked:reprocess", "Derive everything anew from the raw bytes; send nothing."),
    ("", "record", "hub.cli.record:record", "Write down who came or rang, about what, and how it ended."),
    ("query", "list", "hub.cli.queries:list_", "Queries, the last touched first."),
    ("query", "show", "hub.cli.queries:show", "One query: its messages, decisions, tickets and what was sent."),
    ("query", "reply", "hub.cli.queries:reply", "Answer the user; says first who would get it."),
    ("query", "set", "hub.cli.queries:set_", "Change state, triage, tags, team or assignee."),
    ("query", "held", "hub.cli.holds:held", "Queries that wait for a person before they go on, the oldest first."),
    ("query", "hold", "hub.cli.holds:hold", "Stop a query; `let-go` undoes it."),
    ("query", "let-go", "hub.cli.holds:let_go", "A held query goes on: dispatched, and acknowledged if it was not."),
    ("query", "send", "hub.cli.holds:send", "Another target works on it from now on."),
    ("query", "pin", "hub.cli.pins:pin", "A PIN with which somebody continues a query by telephone."),
    ("user", "list", "hub.cli.users:list_", "Users, the newest first."),
    ("user", "show", "hub.cli.users:show", "One user's journey over all channels."),
    ("user", "set", "hub.cli.user_set:set_", "Set what the directory says of a user."),
    ("announce", "add", "hub.cli.announce:add", "Tell users something."),
    ("announce", "list", "hub.cli.announce:list_", "Announcements in force."),
    ("announce", "end", "hub.cli.announce:end", "It is over now."),
    ("parked", "list", "hub.cli.parked:list_", "What needs a person, with its cause."),
    ("parked", "show", "hub.cli.parked:show", "One parked envelope or piece of work, with its trace."),
    ("parked", "release", "hub.cli.parked:release", "Try parked envelopes or work again."),
    (
        "agent",
        "add",
        "hub.cli.agents:add",
        "Let somebody work in the console: prints the one-time link that sets their password.",
    ),
    ("agent", "list", "hub.cli.agents:list_", "Who may log in to the console, with their roles."),
    ("agent", "disable", "hub.cli.agents:disable", "Keep an agent out from now on: ends all sessions and links"),
    ("agent", "reset-link", "hub.cli.agents:reset_link", "A new one-time link that sets an agent's password"),
    ("rules", "check", "hub.cli.rules:check", "Test a file of rules, with the examples in it."),
    ("rules", "edit", "hub.cli.rules_edit:edit", "Change a rule and put it in force; shows what has changed."),
    ("rules", "backtest", "hub.cli.backtest:backtest", "What a candidate file would have decided otherwise."),
    ("rules", "shadow", "hub.cli.shadow:shadow", "What ran beside the rules without effect would have decided."),
    ("rules", "suggest", "hub.cli.rules:suggest", "Propose rules and examples from agents' corrections."),
    ("plugins", "list", "hub.cli.plugins:list_", "Kinds of connectors and targets, with their settings."),
    ("plugins", "new", "hub.cli.scaffold:new", "Write a connector to start from, with tests and a page."),
)
GROUPS = {
    "query": "Read, answer and change queries.",
    "user": "Users and their journeys.",
    "announce": "What users are told of services.",
    "parked": "What needs a person.",
    "agent": "Who works in the console.",
    "rules": "Test, try and improve the triage rules.",
    "plugins": "What the hub can talk to.",
}
HELP = """Trunkline: every contact recorded before it is acknowledged.

  trunkline init desk && cd desk   write a configuration
  trunkline serve                  run the hub
  trunkline sample                 in a second terminal: try it out
  trunkline query list --json      for programs
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    foreign = foreign_packages()
    if foreign:
        sys.stderr.write("\n".join(foreign) + "\n")
        return 3
    from hub.cli.run import run  # noqa: PLC0415  # only now is it certain whose code this loads

    return run(sys.argv[1:] if argv is None else argv, __version__)
