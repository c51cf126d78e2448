"""`python -m bench rules`: what a decision costs, beside a loop over compiled `re` and beside bare passes, in one run.

Microseconds are CPU time per message, the median over rounds in which all contestants take turns over the same unseen
messages (each turn begins with others that are not timed). What is compared:

- `loop`: for each rule the cheap conditions first, then `re.search`; first setter wins. It matches what the engine
  matches: the run fails where they differ (`agree` counts the messages that were compared).
- `bare_aho`: one Aho-Corasick pass for all words over the folded text. `bare_set`: one pass of `re2.Set` for
  all patterns over the text. `bare_all`: one `re2.Set` for words and patterns alike. None of them decides anything.
  `vs_bare_pass_10000` is the engine against `bare_aho` + `bare_set`: the least that finds both words and patterns.
- `growth_100k`: 100,000 rules against 10,000 over the same messages, with the same hits.
- `growth_text`: a text of 100 kB against one of 10 kB, divided by ten.
- `us_backtest_1000`: one message of a backtest over 1,000 rules; 100,000 of them in under 60 s are 600.
- `compile_s`, `compile_mb`: `load_rules` of 10,000 rules in a process of its own, by its high-water mark.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from tempfile import NamedTemporaryFile
from typing import Any

import re2
from ahocorasick_rs import AhoCorasick
from msgspec import structs

from bench import rule_sets
from routing import Facts, decide, fold, load_rules
from routing.backtest import Past, backtest
from routing.matrix import DEFAULT as MATRIX

Judge = Callable[[Facts], Any]

_COMPILE = """
import json, sys, time
from pathlib import Path
import routing
def highest():
    return int(Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0]) / 1024
data = Path(sys.argv[1]).read_bytes()
routing.load_rules(b'[[rule]]\\nname="a"\\nwhen.text.any="b"\\nwhen.text.matches="c"\\nset.type="incident"\\n'
    b'[default]\\nset.type="unknown"\\nset.impact="person"\\nset.urgency="low"\\nset.target="q"')
before, begun = highest(), time.process_time()
rules = routing.load_rules(data)
print(json.dumps([time.process_time() - begun, highest() - before]))
"""


def text_of(facts: Facts) -> str:
    return f"{facts.subject}\n{facts.body}"


def loop(drawn: Sequence[rule_sets.Rule]) -> Callable[[Facts], tuple[list[str], dict[str, Any]]]:
    """What somebody would write in an afternoon: conditions in order of cost, compiled patterns, first setter wins."""
    compiled = [(rule, _compiled(rule)) for rule in drawn]

    def judge(facts: Facts) -> tuple[list[str], dict[str, Any]]:
        text, address = text_of(facts), facts.sender.address if facts.sender else ""
        domain = (address or "").partition("@")[2]
        organisation, assurance = facts.user.organisation if facts.user else "", facts.assurance or 0
        matched, outcome, tags = list[str](), dict[str, Any](), list[str]()
        for rule, pattern in compiled:
            if (
                (rule.channels and facts.channel not in rule.channels)
                or (rule.organisation and rule.organisation != organisation)
                or assurance < rule.assurance
                or (rule.domain and rule.domain != domain)
                or (rule.form and facts.fields.get("form") != rule.form)
            ):
                continue
            if pattern is None or pattern.search(text):
                matched.append(rule.name)
                for field, value in rule.sets.items():
                    outcome.setdefault(field, value)
                tags += rule.sets["tags"]
        outcome = {**rule_sets.DEFAULT, **outcome, "tags": tuple(dict.fromkeys(tags))}
        outcome["priority"] = MATRIX[outcome["impact"]][outcome["urgency"]]
        return matched, outcome

    return judge


def _compiled(rule: rule_sets.Rule) -> re.Pattern[str] | None:
    if rule.words:
        return re.compile(_as_pattern(rule.words))
    return re.compile(rule.pattern) if rule.pattern else None


def _as_pattern(words: Sequence[str]) -> str:
    """Spaces of a phrase may be line breaks."""
    return rf"(?i)\b(?:{'|'.join(map(re.escape, words))})\b".replace("\\ ", r"\s+")


def bare_passes(drawn: Sequence[rule_sets.Rule]) -> dict[str, Judge]:
    """Passes that only find. The texts are in the form that each engine needs beforehand."""
    words = sorted({fold(word) for rule in drawn for word in rule.words})
    automaton = AhoCorasick(words or ["nothing"])
    patterns = sorted({rule.pattern for rule in drawn if rule.pattern})
    everything = patterns + [f"(?i){re2.escape(word)}" for word in words]
    one, other = _set(patterns), _set(everything)
    return {
        "bare_aho": lambda text: automaton.find_matches_as_indexes(text, overlapping=True),
        "bare_set": one.Match,
        "bare_all": other.Match,
    }


def _set(patterns: Sequence[str]) -> Any:
    options = re2.Options()
    options.log_errors, options.max_mem = False, 256 << 20
    made = re2.Set.SearchSet(options)
    for pattern in patterns:
        made.Add(pattern)
    made.Compile()
    return made


def cost(contestants: Mapping[str, tuple[Judge, Sequence[Any]]], warm: int, rounds: int) -> dict[str, float]:
    """Microseconds of CPU per input: the median over rounds, in which everybody takes his turn."""
    spent: dict[str, list[float]] = {name: [] for name in contestants}
    size = {name: (len(inputs) - warm) // rounds for name, (_, inputs) in contestants.items()}
    for judge, inputs in contestants.values():
        for each in inputs[:warm]:
            judge(each)
    for number in range(rounds):
        for name, (judge, inputs) in contestants.items():
            part = inputs[warm + number * size[name] : warm + (number + 1) * size[name]]
            for each in inputs[: min(warm, 100)]:  # the one before has left the caches cold
                judge(each)
            begun = time.process_time()
            for each in part:
                judge(each)
            spent[name].append((time.process_time() - begun) / len(part) * 1e6)
    return {name: statistics.median(times) for name, times in spent.items()}


def measure(count: int, facts: Sequence[Facts], rounds: int, loops: int) -> dict[str, float]:
    """One size: the engine, the loop over `loops` messages a round, and the bare passes."""
    drawn = list(rule_sets.rules(count))
    rule_set, naive = load_rules(rule_sets.file_of(drawn)), loop(drawn)
    compared = facts[:: max(1, len(facts) // (loops * rounds))]
    for each in compared[:50]:
        decision, (matched, outcome) = decide(rule_set, each), naive(each)
        if list(decision.rules) != matched or any(getattr(decision.outcome, k) != v for k, v in outcome.items()):
            raise SystemExit(f"the loop and the engine differ: {matched} {decision.rules} {each}")
    warm = len(facts) // 2
    folded, plain = [fold(text_of(each)) for each in facts], [text_of(each) for each in facts]
    texts = {"bare_aho": folded, "bare_set": plain, "bare_all": plain}
    contestants: dict[str, tuple[Judge, Sequence[Any]]] = {"engine": (lambda one: decide(rule_set, one), facts)}
    contestants |= {name: (judge, texts[name]) for name, judge in bare_passes(drawn).items()}
    found = cost(contestants, warm, rounds)
    short = facts[: 2 + loops * rounds]
    return found | cost({"loop": (naive, short)}, 2, rounds) | {
        "hits": sum(len(decide(rule_set, each).rules) for each in facts[:500]) / len(facts[:500]),
        "agree": len(compared[:50]),
    }  # fmt: skip


def growth(small: int, large: int, facts: Sequence[Facts], rounds: int) -> tuple[float, dict[str, float]]:
    """Two sizes in turns over the same messages; fails if they don't hit the same rules."""
    sets = {str(size): load_rules(rule_sets.file_of(list(rule_sets.rules(size)))) for size in (small, large)}
    for each in facts[:200]:
        if len({decide(rule_set, each).rules for rule_set in sets.values()}) != 1:
            raise SystemExit("the sets don't hit the same rules")
    judges = {name: (_judge(rule_set), facts) for name, rule_set in sets.items()}
    found = cost(judges, len(facts) // 2, rounds)
    texts = {str(size): [_long(each, size) for each in facts[:12]] for size in (10_000, 100_000)}
    long = cost({name: (_judge(sets[str(small)]), long) for name, long in texts.items()}, 2, 5)
    return found[str(large)] / found[str(small)], {
        "us_100000": found[str(large)], "us_text_10k": long["10000"], "us_text_100k": long["100000"],
        "growth_text": long["100000"] / long["10000"] / 10,
    }  # fmt: skip


def _judge(rule_set: Any) -> Judge:
    return lambda facts: decide(rule_set, facts)


def _long(facts: Facts, size: int) -> Facts:
    body = facts.body or ""
    return structs.replace(facts, body=(body * (size // len(body) + 1))[:size])


def compiling(count: int) -> tuple[float, float]:
    """(seconds of CPU, MiB at its highest) of `load_rules`: the least of three processes, and the most memory."""
    with NamedTemporaryFile(suffix=".toml") as file:
        file.write(rule_sets.file_of(list(rule_sets.rules(count))).encode())
        file.flush()
        runs = [
            json.loads(
                subprocess.run([sys.executable, "-c", _COMPILE, file.name], check=True, capture_output=True).stdout
            )
            for _ in range(3)
        ]
    return min(seconds for seconds, _ in runs), max(mebibytes for _, mebibytes in runs)


def replaying(facts: Sequence[Facts]) -> float:
    """Microseconds per message of a backtest over 1,000 rules."""
    live = load_rules(rule_sets.file_of(list(rule_sets.rules(1000))))
    past = [Past(key=str(number), decision=decide(live, each)) for number, each in enumerate(facts)]
    begun = time.process_time()
    backtest(live, past, time.process_time)
    return (time.process_time() - begun) / len(past) * 1e6


def run(arguments: argparse.Namespace) -> int:
    quick = arguments.quick
    facts = rule_sets.messages(1200 if quick else 3000)
    rounds = 5 if quick else 9
    ten = measure(10, facts, rounds, 50)
    large = measure(10_000, facts, rounds, 3 if quick else 8)
    grown, more = growth(10_000, 100_000, facts, rounds)
    seconds, mebibytes = compiling(10_000)
    bare = large["bare_aho"] + large["bare_set"]
    report = {
        "ratio_10_vs_re": ten["engine"] / ten["loop"],
        "us_10": ten["engine"],
        "us_10_re": ten["loop"],
        "us_10000": large["engine"],
        "speedup_vs_re_10000": large["loop"] / large["engine"],
        "vs_bare_pass_10000": large["engine"] / bare,
        "vs_bare_all_10000": large["engine"] / large["bare_all"],
        **{f"us_10000_{name}": large[name] for name in ("loop", "bare_aho", "bare_set", "bare_all")},
        "hits_10000": large["hits"],
        "agree": ten["agree"] + large["agree"],
        "growth_100k": grown,
        **more,
        "us_backtest_1000": replaying(facts),
        "compile_s": seconds,
        "compile_mb": mebibytes,
    }
    rounded = {name: round(value, 2) for name, value in report.items()}
    print(json.dumps(rounded, indent=None if arguments.json else 2))
    return 0


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one line")
    parser.add_argument("--quick", action="store_true", help="fewer messages and rounds")
    parser.set_defaults(run=run)
