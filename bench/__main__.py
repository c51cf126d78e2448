"""`python -m bench COMMAND`: each command is a module with `add(parser)`, which sets `run(arguments) -> exit code`."""

import argparse
import sys
from importlib import import_module

COMMANDS = {
    "faults": (
        "bench.faults.campaign",
        "kills, stops, power cuts, lost answers, full disks, overload: what is left afterwards",
    ),
    "hostile-mail": ("bench.hostile_mail", "acknowledgement latency while hostile mails arrive"),
    "drivers": ("bench.drivers", "psycopg against asyncpg for the journal"),
    "mail-corpus": ("bench.mail_corpus", "the shared corpora through a real Dovecot, a real hub and its store"),
    "backtest": ("bench.backtest", "a candidate of 1,000 rules over 100,000 stored messages, on one core"),
    "classify": ("bench.classify", "accuracy and calibration of the classifier on held-back texts"),
    "reload": ("bench.reload", "from saving 10,000 rules until they are in force on two nodes"),
    "rules": ("bench.rules", "what a decision costs, from ten rules to 100,000"),
    "spine": ("bench.spine.command", "what the hub costs, beside a bare echo and a floor"),
    "search": ("bench.search", "search and journey in a full store"),
    "webchat": ("bench.webchat", "ten thousand idle chat widgets on one process, and a kill -9 among them"),
    "parse-corpus": ("bench.parse_corpus", "agreement of the mail parser with the shared corpora"),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    chosen = next((word for word in sys.argv[1:] if word in COMMANDS), None)
    for name, (module, about) in COMMANDS.items():
        command = commands.add_parser(name, help=about)
        if name == chosen:
            import_module(module).add(command)  # the others' servers and drivers stay unloaded
    arguments = parser.parse_args()
    return int(arguments.run(arguments))


if __name__ == "__main__":
    sys.exit(main())
