"""A guess at type or service from what agents decided before: a suggestion beside the rules, never instead of them.

Naive Bayes over words and pairs of words, each counted once per text. Its raw probabilities are far too sure, so they
are flattened by one temperature, chosen on a fifth of the examples that was kept out of training. No network, no model:
everything comes from the examples that are given.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise

from msgspec import Struct

from routing.text import JOINS, fold

SMOOTHING = 0.1
"""Added to every count, so that a new word rules nothing out. Held against banking77 and clinc150: `bench classify`."""
LONGEST = 2000
"""Characters of a text that are read: what a message is about stands at its beginning."""
FEWEST = 5
"""Examples of a label below which it is never guessed."""

_TEMPERATURES = tuple(1.2**step for step in range(-4, 21))


class Guess(Struct, frozen=True, kw_only=True):
    """What the text is about, as far as earlier ones tell."""

    label: str
    confidence: float
    """Of a hundred guesses with 0.8, about eighty are right: measured, not promised."""
    because: tuple[str, ...]
    """Words that spoke for it most."""


class Classifier(Struct, frozen=True, kw_only=True):
    """What was learnt; plain data, so that it can be stored as JSON."""

    labels: tuple[str, ...]
    start: tuple[float, ...]
    """By label: the logarithm of how frequent it is."""
    unseen: tuple[float, ...]
    """By label: the logarithm of the chance of a word that it never had."""
    words: Mapping[str, Mapping[int, float]]
    """Word → label → what it adds to `unseen`."""
    temperature: float = 1.0

    def guess(self, text: str) -> Guess | None:
        """None where no word of the text is known, or nothing was learnt."""
        known = [word for word in features(text) if word in self.words]
        if not known or not self.labels:
            return None
        scores = self._scores(known)
        best = max(range(len(scores)), key=scores.__getitem__)
        chances = [math.exp((score - scores[best]) / self.temperature) for score in scores]
        telling = sorted(known, key=lambda word: -self.words[word].get(best, 0.0))[:3]
        return Guess(
            label=self.labels[best],
            confidence=1 / sum(chances),
            because=tuple(word for word in telling if best in self.words[word]),
        )

    def _scores(self, known: Sequence[str]) -> list[float]:
        scores = [start + len(known) * unseen for start, unseen in zip(self.start, self.unseen, strict=True)]
        for word in known:
            for label, more in self.words[word].items():
                scores[label] += more
        return scores


def features(text: str) -> list[str]:
    """Words and pairs of neighbours, once each; in scripts without spaces the pairs of characters."""
    words, word = list[str](), ""
    for char in fold(text[:LONGEST]) + " ":
        if JOINS[char]:
            word += char
            continue
        if word:
            words.append(word)
        word = ""
        if char.isalnum():  # Han, Kana, Thai, …
            words.append(char)
    return list(dict.fromkeys([*words, *(f"{one} {other}" for one, other in pairwise(words))]))


def train(examples: Sequence[tuple[str, str]]) -> Classifier:
    """(text, label) each, in any order; labels with fewer than five examples are left out."""
    counts = Counter(label for _, label in examples)
    sound = [(features(text), label) for text, label in examples if counts[label] >= FEWEST]
    kept, held = [each for n, each in enumerate(sound) if n % 5], sound[::5]
    return _learn(sound, _best_temperature(_learn(kept, 1.0), held))


def _learn(examples: Sequence[tuple[list[str], str]], temperature: float) -> Classifier:
    frequent = Counter(label for _, label in examples)
    labels = tuple(sorted(frequent))
    numbers = {label: number for number, label in enumerate(labels)}
    seen: dict[str, Counter[int]] = defaultdict(Counter)
    totals = Counter[int]()
    for words, label in examples:
        totals[numbers[label]] += len(words)
        for word in words:
            seen[word][numbers[label]] += 1
    size = SMOOTHING * len(seen)
    return Classifier(
        labels=labels,
        start=tuple(math.log(frequent[label] / len(examples)) for label in labels),
        unseen=tuple(math.log(SMOOTHING / (totals[number] + size)) for number in range(len(labels))),
        words={
            word: {label: math.log1p(count / SMOOTHING) for label, count in each.items()} for word, each in seen.items()
        },
        temperature=temperature,
    )


def _best_temperature(classifier: Classifier, held: Sequence[tuple[list[str], str]]) -> float:
    """The one that makes what was held back least surprising (Guo et al. 2017, On Calibration of Modern Networks)."""
    numbers = {label: number for number, label in enumerate(classifier.labels)}
    judged = []
    for words, label in held:
        known = [word for word in words if word in classifier.words]
        if known and label in numbers:
            judged.append((classifier._scores(known), numbers[label]))  # noqa: SLF001  its own module

    def surprise(temperature: float) -> float:
        total = 0.0
        for scores, label in judged:
            top = max(scores)
            total += math.log(sum(math.exp((score - top) / temperature) for score in scores))
            total -= (scores[label] - top) / temperature
        return total

    return min(_TEMPERATURES, key=surprise)
