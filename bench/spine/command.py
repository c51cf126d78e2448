"""`python -m bench spine`: what the hub costs, beside a bare echo and a floor in the same run.

Every figure is the median of 15 adjacent triples (5 with `--quick`, which also fills the stores with a tenth). The
report has the keys flat, with `bounds`, `met` and `details` beside them. Exit code 0: everything was measured, whether
the bounds are met or not.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.spine.measure import Figure, Run, load_average

AT_MOST, AT_LEAST = "<=", ">="
BOUNDS: dict[str, tuple[str, float] | None] = {
    "webhook_cpu_vs_floor": (AT_MOST, 1.4),
    "webhook_rate_vs_floor": (AT_LEAST, 0.8),
    "path_cpu_ratio_sqlite": (AT_MOST, 5.0),
    "path_cpu_ratio_postgresql": (AT_MOST, 7.0),
    "index_cpu_ratio": None,
    "growth_cpu_1m": (AT_MOST, 1.5),
    "growth_statements_1m": (AT_MOST, 1.25),
    "growth_pages_1m": (AT_MOST, 1.25),
    "mail_fields_ratio": (AT_MOST, 0.4),
    "mail_fold_ratio": (AT_MOST, 1.0),
    "mail_path_ratio": (AT_MOST, 1.5),
    "idle_pss_mb": (AT_MOST, 130),
    "worker_pss_mb": (AT_MOST, 60),
    "loaded_pss_mb": (AT_MOST, 300),
    "startup_vs_imports": (AT_MOST, 3.0),
    "journey_ms": (AT_MOST, 100),
    "search_ms": (AT_MOST, 100),
}
GROUPS = {
    "webhook": ("webhook_cpu_vs_floor", "webhook_rate_vs_floor"),
    "path": ("path_cpu_ratio_sqlite", "path_cpu_ratio_postgresql"),
    "index": ("index_cpu_ratio",),
    "growth": ("growth_cpu_1m", "growth_statements_1m", "growth_pages_1m"),
    "mail": ("mail_fields_ratio", "mail_fold_ratio", "mail_path_ratio"),
    "process": ("idle_pss_mb", "worker_pss_mb", "loaded_pss_mb", "startup_vs_imports"),
    "asked": ("journey_ms", "search_ms"),
}
"""Module of this folder → the keys that its `figures(run)` yields."""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quick", action="store_true", help="5 triples, a tenth of the messages stored")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", type=_keys, default=frozenset(BOUNDS), metavar="KEY,…")
    parser.set_defaults(run=_main)


def _keys(text: str) -> frozenset[str]:
    keys = frozenset(text.split(","))
    if unknown := keys - BOUNDS.keys():
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(BOUNDS)}")
    return keys


def _main(arguments: argparse.Namespace) -> int:
    found: list[Figure] = []
    for group, keys in GROUPS.items():
        wanted = arguments.only.intersection(keys)
        if not wanted:
            continue
        with TemporaryDirectory(prefix="tl-spine-") as folder:
            run = Run(Path(folder), quick=arguments.quick, keys=wanted)
            figures: Callable[[Run], Iterator[Figure]] = import_module(f"bench.spine.{group}").figures
            for figure in figures(run):
                found.append(figure)
                print(_line(figure), file=sys.stderr if arguments.json else sys.stdout, flush=True)
    if arguments.json:
        print(json.dumps(_report(found)))
    return 0 if {figure.key for figure in found} == arguments.only else 1


def _met(figure: Figure) -> bool | None:
    bound = BOUNDS[figure.key]
    if bound is None:
        return None
    return figure.value <= bound[1] if bound[0] == AT_MOST else figure.value >= bound[1]


def _line(figure: Figure) -> str:
    bound, met = BOUNDS[figure.key], _met(figure)
    verdict = "no bound" if bound is None else f"{bound[0]} {bound[1]:g}: {'met' if met else 'NOT MET'}"
    beside = ", ".join(f"{name} {value}" for name, value in figure.beside.items())
    return f"{figure.key:27} {figure.value:8.3g}  {verdict:20}  {beside}"


def _report(found: list[Figure]) -> dict[str, Any]:
    return {
        **{figure.key: round(figure.value, 3) for figure in found},
        "bounds": {
            figure.key: bound and "{} {:g}".format(*bound) for figure in found for bound in [BOUNDS[figure.key]]
        },
        "met": {figure.key: _met(figure) for figure in found},
        "details": {figure.key: figure.beside for figure in found},
        "load_average": load_average(),
    }
