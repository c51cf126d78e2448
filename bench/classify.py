"""`python -m bench classify`: accuracy and calibration of the classifier on the shared texts, on rows held back.

banking77 comes as one file: every fifth row is held back. clinc150 has its own test rows; its `oos` texts, which are
about nothing that was learnt, are judged apart. `baseline` always says the most frequent label. `ece` is the expected
calibration error over ten bins of confidence; `sure` are the guesses with at least 0.8.
"""

import argparse
import csv
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from routing.classify import train

Rows = Sequence[tuple[str, str]]


def folder() -> Path | None:
    given = os.environ.get("TRUNKLINE_SHARED_DATA")
    data = Path(given) if given else Path(__file__).parents[2] / "shared" / "data"
    return data / "texts" if (data / "texts").is_dir() else None


def banking77(texts: Path) -> tuple[Rows, Rows, Rows]:
    with (texts / "polyai" / "banking_data" / "train.csv").open(encoding="utf-8", newline="") as file:
        rows = [(row["text"], row["category"]) for row in csv.DictReader(file)]
    return [row for number, row in enumerate(rows) if number % 5], rows[::5], ()


def clinc150(texts: Path) -> tuple[Rows, Rows, Rows]:
    data = json.loads((texts / "clinc150" / "data" / "data_small.json").read_text("utf-8"))
    rows = {name: [(text, label) for text, label in each] for name, each in data.items()}
    return rows["train"], rows["test"], rows["oos_test"]


def measure(learnt: Rows, held: Rows, strange: Rows) -> dict[str, float]:
    begun = time.process_time()
    classifier = train(learnt)
    trained = time.process_time()
    guesses = [(classifier.guess(text), label) for text, label in held]
    asked = time.process_time()
    judged = [(guess.confidence if guess else 0.0, bool(guess and guess.label == label)) for guess, label in guesses]
    sure = [right for confidence, right in judged if confidence >= 0.8]
    frequent = Counter(label for _, label in learnt).most_common(1)[0][0]
    others = [classifier.guess(text) for text, _ in strange]
    found = {
        "rows": len(learnt),
        "held_back": len(held),
        "labels": len(classifier.labels),
        "accuracy": sum(right for _, right in judged) / len(judged),
        "baseline": sum(label == frequent for _, label in held) / len(held),
        "ece": calibration(judged),
        "sure": len(sure) / len(judged),
        "accuracy_sure": sum(sure) / max(1, len(sure)),
        "temperature": classifier.temperature,
        "train_s": trained - begun,
        "us_per_guess": (asked - trained) / len(held) * 1e6,
    }
    if others:
        found["strange_sure"] = sum(bool(guess and guess.confidence >= 0.8) for guess in others) / len(others)
    return {name: round(value, 3) for name, value in found.items()}


def calibration(judged: Sequence[tuple[float, bool]]) -> float:
    """Mean distance of confidence from accuracy, weighted by bin."""
    bins: dict[int, list[tuple[float, bool]]] = {}
    for confidence, right in judged:
        bins.setdefault(min(9, int(confidence * 10)), []).append((confidence, right))
    return sum(abs(sum(c for c, _ in each) - sum(r for _, r in each)) for each in bins.values()) / len(judged)


def run(arguments: argparse.Namespace) -> int:
    texts = folder()
    if texts is None:
        print("no shared data here", file=sys.stderr)
        return 2
    report = {read.__name__: measure(*read(texts)) for read in (banking77, clinc150)}
    print(json.dumps(report, indent=None if arguments.json else 2))
    return 0


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one line")
    parser.set_defaults(run=run)
