"""One message as conditions see it: each comparing form and each pass over a text is made once, when first asked."""

from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache

from routing.conditions import Counts, Leaf, Node
from routing.facts import Facts
from routing.fields import Value, field_of
from routing.finders import Pattern, PatternSet, Terms
from routing.text import fold, forms

SHORT = 64
"""Characters of a name that is remembered folded: channels, domains and organisations come again and again."""


@lru_cache(maxsize=4096)
def _folded(name: str) -> frozenset[str]:
    return frozenset((fold(name),))


class Lexicon:
    """What the texts of a rule set are searched for. Immutable but for patterns that compile when first asked."""

    __slots__ = ("parts", "patterns", "sets", "terms")

    def __init__(self, terms: Terms, patterns: Mapping[str, Pattern], sets: Mapping[str, PatternSet],
                 parts: Sequence[Node]) -> None:  # fmt: skip
        self.terms = terms
        self.patterns = patterns
        """Those that have literals among the terms."""
        self.sets = sets
        """By field: those that have none."""
        self.parts = parts
        """All conditions, each once: a rule knows them by their numbers."""


class _Truth(dict[int, bool]):
    """Number of a condition → whether it holds: many rules share a condition, and it is asked once."""

    __slots__ = ("parts", "view")

    def __init__(self, parts: Sequence[Node], view: "MessageView") -> None:
        self.parts, self.view = parts, view

    def __missing__(self, number: int) -> bool:
        self[number] = holds = self.parts[number].holds(self.view)
        return holds


class MessageView:
    """One message against one rule set."""

    __slots__ = ("_data", "_facts", "_lexicon", "_literals", "_loose", "_names", "_scans", "_values", "_words", "truth")

    def __init__(self, lexicon: Lexicon, facts: Facts) -> None:
        """Does no work yet."""
        self._lexicon, self._facts = lexicon, facts
        self._values: dict[str, Value | None] = {}
        self._names: dict[str, AbstractSet[str] | None] = {}
        self._scans: dict[str, _Scan] = {}
        self._words: dict[str, set[str]] = {}
        self._literals: dict[str, list[int]] = {}
        self._loose: dict[str, frozenset[str]] = {}
        self._data: dict[str, bytes] = {}
        self.truth = _Truth(lexicon.parts, self)

    def value(self, field: str) -> Value | None:
        """The fact itself; None is missing, and so is an empty text."""
        values = self._values
        if field not in values:
            known = field_of(field)
            value = known.read(self._facts) if known else None
            values[field] = None if isinstance(value, str) and not (value and not value.isspace()) else value
        return values[field]

    def captured(self, leaf: Leaf) -> bool:
        """Whether the facts can answer: what was not captured, or not counted as far back, is unknown, not missing."""
        known = field_of(leaf.field)
        if known is None or not known.counted:
            return known is None or known.since <= self._facts.version
        value = self.value(leaf.field)
        return len(value) >= leaf.days if isinstance(leaf, Counts) and isinstance(value, tuple) else value is not None

    def names(self, field: str) -> AbstractSet[str] | None:
        """Its names, folded."""
        names = self._names
        if field not in names:
            value = self.value(field)
            if isinstance(value, str):
                names[field] = _folded(value) if len(value) <= SHORT else {fold(value)}
            else:
                names[field] = set(map(fold, map(str, value))) if isinstance(value, tuple) else None
        return names[field]

    def words(self, field: str) -> AbstractSet[str]:
        """The words and phrases that stand whole in the text."""
        if field not in self._words:
            terms = self._lexicon.terms.terms
            self._words[field] = {terms[number] for number in self.whole(field)}
        return self._words[field]

    def whole(self, field: str) -> Collection[int]:
        """Numbers of the terms that stand whole in the text."""
        if field == "subject":
            scan = self._scan("text")
            return [number for number, end in scan.whole.items() if end <= scan.subject]
        return self._scan(field).whole

    def literals(self, field: str) -> Sequence[int]:
        """Numbers of the terms that stand anywhere in the text, or in the other form where folding hides one."""
        if field not in self._literals:
            scan = self._scan("text" if field == "subject" else field)
            found = [place[0] for place in scan.places]
            for other in scan.others:
                found += [place[0] for place in self._lexicon.terms.find(other)[1]]
            self._literals[field] = found
        return self._literals[field]

    def _scan(self, field: str) -> "_Scan":
        """`text` and `subject` share one pass."""
        if field not in self._scans:
            if field == "text":
                texts = [self._facts.subject or "", self._facts.body or ""]
            else:
                value = self.value(field)
                texts = [value if isinstance(value, str) else ""]
            self._scans[field] = _Scan(self._lexicon.terms, texts)
        return self._scans[field]

    def matches(self, field: str, pattern: str) -> bool:
        """Whether the pattern matches: asked of the NFKC form, case as it is."""
        known = self._lexicon.patterns.get(pattern)
        return known.found_in(self._bytes(field)) if known else pattern in self.loose(field)

    def loose(self, field: str) -> AbstractSet[str]:
        """Those that match of the patterns without a literal."""
        if field not in self._loose:
            patterns = self._lexicon.sets.get(field)
            self._loose[field] = patterns.match(self._bytes(field)) if patterns else frozenset()
        return self._loose[field]

    def _bytes(self, field: str) -> bytes:
        """What patterns see."""
        if field not in self._data:
            seen = (
                self._scan("text").seen[0]
                if field == "subject"
                else "\n".join(filter(str.strip, self._scan(field).seen))
            )
            self._data[field] = seen.encode()
        return self._data[field]


class _Scan:
    """A text in its forms, and all terms in it: subject and body are folded apart and searched together."""

    __slots__ = ("others", "places", "seen", "subject", "whole")

    def __init__(self, terms: Terms, texts: Sequence[str]) -> None:
        made = [forms(text) for text in texts]
        self.seen = [each[0] for each in made]
        self.others = [each[2] for each in made if each[2]]
        # a line break stands in no folded phrase: none reaches from the subject into the body
        self.whole, self.places = terms.find("\n".join([each[1] for each in made]))
        self.subject = len(made[0][1]) + 1
        """Where places of the first text end."""
