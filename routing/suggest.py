"""Rules and examples from agents' corrections: proposals for a person to read, never taken by themselves. Pure.

A word or pair of words is proposed where enough corrected messages with the same outcome have it, and hardly any other
message does. What comes out is TOML; `load_rules` and a backtest judge it as they judge everything.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from routing.classify import features
from routing.facts import Facts
from routing.text import fold

FEWEST = 3
"""Corrections that a proposal needs: two may be chance."""
PUREST = 0.9
"""Share of the messages with the word that agents gave this outcome."""
SHOWN = 200
"""Characters of a message in an example."""
WORDS = 5
"""Of one rule."""
FIELDS = ("type", "service", "team", "target", "impact", "urgency", "priority", "value_stream")


class Judged(Struct, frozen=True, kw_only=True):
    """A message with what it was in the end: by an agent's correction, or as the rules had it and nobody objected."""

    facts: Facts
    outcome: Mapping[str, str]
    """Fields of the outcome that stand now."""
    corrected: frozenset[str] = frozenset()
    """Those of them that an agent changed."""


class Suggestion(Struct, frozen=True, kw_only=True):
    """One rule with examples."""

    rule: str
    """A `[[rule]]` and its `[[example]]`s, as TOML."""
    words: tuple[str, ...]
    sets: Mapping[str, str]
    corrections: int
    """Corrected messages that it would have settled."""
    others: int
    """Other messages that it would match as well."""


def suggest(judged: Sequence[Judged], at_most: int = 20) -> list[Suggestion]:
    """The most useful first: by the corrections that each would have made needless, each counted for one proposal."""
    texts = [_words(each.facts.subject, each.facts.body) for each in judged]
    having = defaultdict[str, list[int]](list)
    for number, words in enumerate(texts):
        for word in words:
            having[word].append(number)
    groups = defaultdict[tuple[tuple[str, str], ...], list[int]](list)
    for number, each in enumerate(judged):
        sets = tuple(
            (field, each.outcome[field]) for field in FIELDS if field in each.corrected and field in each.outcome
        )
        if sets:
            groups[sets].append(number)
    made = [_propose(dict(sets), numbers, texts, having, judged) for sets, numbers in groups.items()]
    useful = [suggestion for suggestion in made if suggestion]
    return sorted(useful, key=lambda one: (-one.corrections, one.others))[:at_most]


def _propose(sets: dict[str, str], numbers: list[int], texts: Sequence[set[str]], having: Mapping[str, list[int]],
             judged: Sequence[Judged]) -> Suggestion | None:  # fmt: skip
    """Words that together cover these corrections: each next one the word that covers most of what is left."""
    agreeing = {number for number, each in enumerate(judged) if sets.items() <= dict(each.outcome).items()}
    frequent = Counter(word for number in numbers for word in texts[number])
    pure = [
        word for word, count in frequent.items()
        if count >= FEWEST and sum(n in agreeing for n in having[word]) >= PUREST * len(having[word])
    ]  # fmt: skip
    left, words = set(numbers), list[str]()
    while pure and len(words) < WORDS:
        best = max(pure, key=lambda word: (len(left.intersection(having[word])), len(word), word))
        covered = left.intersection(having[best])
        if len(covered) < FEWEST:
            break
        words.append(best)
        left -= covered
    if not words:
        return None
    matched = {number for word in words for number in having[word]}
    settled = [number for number in numbers if number not in left]
    examples = [judged[number].facts for number in settled if _shows(judged[number].facts, words)][:3]
    return Suggestion(rule=_toml(words, sets, examples, len(settled)), words=tuple(words), sets=sets,
                      corrections=len(settled), others=len(matched) - len(settled))  # fmt: skip


def _toml(words: Sequence[str], sets: Mapping[str, str], examples: Iterable[Facts], count: int) -> str:
    name = "-".join(["suggested", *words[0].split(), *list(sets.values())[:1]])[:100]
    lines = [
        "[[rule]]",
        f"name = {_quoted(name)}",
        f"note = {_quoted(f'Suggested from {count} corrections')}",
        f"when.text.any = [{', '.join(map(_quoted, words))}]",
        *(f"set.{field} = {_quoted(value)}" for field, value in sets.items()),
    ]
    for facts in examples:
        said = {"channel": facts.channel, "subject": facts.subject, "text": facts.body}
        message = ", ".join(f"{key} = {_quoted(value)}" for key, value in said.items() if value and value.strip())
        expected = ", ".join(f"{field} = {_quoted(value)}" for field, value in sets.items())
        lines += ["", "[[example]]", f"message = {{ {message} }}", f"expect = {{ {expected} }}"]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A TOML basic string: JSON's, once what can't be printed is out."""
    return json.dumps(_clean(text), ensure_ascii=False)


def _words(*parts: str | None) -> set[str]:
    """Words, and pairs that stand next to each other as a phrase of a rule would: subject and body apart."""
    found = set[str]()
    for part in filter(None, parts):
        folded = fold(part)
        found.update(word for word in features(part) if " " not in word or word in folded)
    return found


def _clean(text: str) -> str:
    """What an example shows of it: a line, without what can't be printed."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())[:SHOWN]


def _shows(facts: Facts, words: Sequence[str]) -> bool:
    """Whether one of the words is left in what an example shows."""
    return not _words(_clean(facts.subject or ""), _clean(facts.body or "")).isdisjoint(words)
