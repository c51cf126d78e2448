"""Which help article may answer what somebody writes: by its words, the rare ones first."""

import time
from collections.abc import Sequence
from math import log

from msgspec import Struct

from context_store.terms import terms
from hub.texts import Article, Texts

FRESH = 5.0
"""Seconds for which the shelf is taken as it was: people type faster than articles are edited."""
MOST, MOST_WORDS, SHORTEST = 5, 40, 3
TITLE = 4
"""A word of the title tells as much as so many of the text."""


class _Indexed(Struct, frozen=True):
    article: Article
    title: frozenset[str]
    text: frozenset[str]


class Shelf:
    """All articles, by language."""

    def __init__(self, texts: Texts) -> None:
        self._texts = texts
        self._indexed: dict[str, tuple[float, list[_Indexed]]] = {}

    def find(self, words: str, language: str) -> Sequence[Article]:
        """The best first, five at most; without words all of them by title. Reads files: call it in a thread."""
        shelf = self._all(language)
        if not words.strip():
            return [one.article for one in sorted(shelf, key=lambda one: one.article.title.casefold())]
        asked = [word for word in terms(words[:2000]) if len(word) >= SHORTEST or not word.isascii()][-MOST_WORDS:]
        weights = {word: self._weight(word, shelf) for word in asked}
        scored = [(_score(one, weights), one.article) for one in shelf]
        best = max((score for score, _ in scored), default=0)
        hits = [(score, article) for score, article in scored if score > 0 and score >= best / 3]
        return [article for _, article in sorted(hits, key=lambda hit: (-hit[0], hit[1].title))[:MOST]]

    def named(self, name: str, language: str) -> Article | None:
        """The article of that name."""
        return next((one.article for one in self._all(language) if one.article.name == name), None)

    def _all(self, language: str) -> list[_Indexed]:
        until, shelf = self._indexed.get(language, (0.0, []))
        if time.monotonic() > until:
            articles = self._texts.everything(language)
            shelf = [_Indexed(one, frozenset(terms(one.title)), frozenset(terms(one.text))) for one in articles]
            self._indexed[language] = (time.monotonic() + FRESH, shelf)
        return shelf

    @staticmethod
    def _weight(word: str, shelf: Sequence[_Indexed]) -> float:
        """Nothing for what stands in most articles."""
        have = sum(_among(word, one.title) or _among(word, one.text) for one in shelf)
        return 0.0 if have == 0 or (have > len(shelf) / 2 and len(shelf) > 3) else log(1 + len(shelf) / have)


def _score(one: _Indexed, weights: dict[str, float]) -> float:
    return sum(
        weight * (TITLE if _among(word, one.title) else 1 if _among(word, one.text) else 0)
        for word, weight in weights.items()
    )


def _among(word: str, words: frozenset[str]) -> bool:
    """Also as the beginning of a word: it may not be typed to its end."""
    return word in words or (len(word) > SHORTEST and any(each.startswith(word) for each in words))
