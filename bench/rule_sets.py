"""Rule sets and messages as a large desk has them, from a seed: words, patterns and fields mixed.

Each rule has a list of channels, an organisation or a number, and words (60 of 100), a pattern (25), or one more field
(15), as in the measurements that the bounds come from. Words of messages follow Zipf's law over a vocabulary of 20,000,
those of rules are drawn from all but its commonest 200. What comes after the first 10,000 rules speaks of other sites'
things (another vocabulary, other domains), so that a larger set has no more hits in the same messages.
"""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

from msgspec import Struct

from routing import Facts, Person, Sender

CHANNELS = ("email", "chat", "phone", "social", "portal", "walk-in")
FIRST = 10_000
_COMMON, _WORDS, _ORGANISATIONS, _DOMAINS = 200, 20_000, 200, 2_000
_ONSETS = (
    "b",
    "br",
    "c",
    "cl",
    "d",
    "dr",
    "f",
    "g",
    "h",
    "j",
    "k",
    "l",
    "m",
    "n",
    "p",
    "pr",
    "r",
    "s",
    "st",
    "t",
    "tr",
    "v",
)
_NUCLEI = ("a", "e", "i", "o", "u", "ai", "ea", "ü", "é")
_CODAS = ("", "", "n", "r", "s", "t", "l", "ck", "nd", "x")
_FAULTS = ("error", "failed", "timeout", "down", "not working")
DEFAULT = {"type": "unknown", "impact": "person", "urgency": "medium", "target": "querylog"}
_TYPES = ("incident", "request", "consultation", "complaint")


class Rule(Struct, frozen=True, kw_only=True):
    """One rule in a form of its own, from which the file and the loop over `re` are made."""

    name: str
    words: tuple[str, ...] = ()
    pattern: str = ""
    channels: tuple[str, ...] = ()
    organisation: str = ""
    domain: str = ""
    form: str = ""
    assurance: int = 0
    sets: Mapping[str, Any]


def vocabulary(seed: int, size: int = _WORDS) -> list[str]:
    """Pronounceable words of two or three syllables, each once; one in 200 has an accent or umlaut in it."""
    rng = random.Random(seed)
    words = dict[str, None]()
    while len(words) < size:
        syllables = rng.choice((2, 2, 3))
        words["".join(rng.choice(_ONSETS) + rng.choice(_NUCLEI[: 7 if rng.random() < 0.99 else 9]) + rng.choice(_CODAS)
                      for _ in range(syllables))] = None  # fmt: skip
    return list(words)


def rules(count: int) -> Iterator[Rule]:
    """The first 10,000 are the same for each count above."""
    for site in range(-(-count // FIRST)):
        rng, words = (
            random.Random(site + 1),
            [f"{'' if site == 0 else f'q{chr(96 + site)}'}{word}" for word in vocabulary(site)],
        )
        for number in range(min(FIRST, count - site * FIRST)):
            yield _rule(rng, words, site, site * FIRST + number)


def _rule(rng: random.Random, words: Sequence[str], site: int, number: int) -> Rule:
    def word() -> str:
        return words[rng.randrange(_COMMON, _WORDS)]

    kind = rng.random()
    asked: dict[str, Any] = {}
    if kind < 0.6:
        asked["words"] = tuple(f"{word()} {word()}" if rng.random() < 0.2 else word() for _ in range(rng.randint(1, 4)))
    elif kind < 0.85:
        asked["pattern"] = _pattern(rng, word, "" if site == 0 else f"Q{site}")
    elif kind < 0.95:
        asked["domain"] = f"d{rng.randrange(_DOMAINS)}.site{site}.test"
    else:
        asked["form"] = f"site{site}-form-{rng.randrange(500)}"
    asked["channels"] = tuple(sorted(rng.sample(CHANNELS, rng.randint(1, 3))))
    if rng.random() < 0.5:
        asked["organisation"] = f"org-{rng.randrange(_ORGANISATIONS)}"
    else:
        asked["assurance"] = rng.randint(1, 2)
    sets = {
        "type": rng.choice(_TYPES),
        "service": f"service-{rng.randrange(300)}",
        "urgency": rng.choice(("low", "high")),
        "team": f"team-{rng.randrange(40)}",
        "tags": [f"t{number}"],  # so that none takes all from another, which would be refused
    }
    return Rule(name=f"rule-{number}", sets=sets, **asked)


def _pattern(rng: random.Random, word: Any, code: str) -> str:
    shape = rng.randrange(5)
    if shape == 0:
        return rf"(?i)\b{word()}[- ]?[0-9]{{2,4}}\b"
    if shape == 1:
        return rf"(?i){word()}\s+(?:{'|'.join(_FAULTS)})"
    if shape == 2:
        return rf"(?i)^(?:re: |fwd?: )?{word()} {word()}"
    if shape == 3:
        return rf"(?i)(?:{word()}|{word()}|{word()})(?: is)? (?:broken|gone)"
    return rf"\b{code}[A-Z]{{2}}{rng.randrange(10, 99)}-{rng.randrange(100, 999)}[A-Z]?\b"


def file_of(drawn: Sequence[Rule]) -> str:
    """As an administrator would write it."""
    lines: list[str] = []
    for rule in drawn:
        lines += ["[[rule]]", f'name = "{rule.name}"']
        said: dict[str, Any] = {
            "channel": rule.channels, "text.any": rule.words, "user.organisation": rule.organisation,
            "sender.domain": rule.domain, "fields.form": rule.form, "assurance.min": rule.assurance,
        }  # fmt: skip
        lines += [f"when.{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in said.items() if value]
        if rule.pattern:
            lines.append(f"when.text.matches = '{rule.pattern}'")
        lines += [f"set.{key} = {json.dumps(value)}" for key, value in rule.sets.items()] + [""]
    lines += ["[default]", *(f'set.{key} = "{value}"' for key, value in DEFAULT.items())]
    return "\n".join(lines) + "\n"


def messages(count: int) -> list[Facts]:
    """Of 40 to 120 words, every one distinct; a third of them meet a code, a fault or a form that rules ask for."""
    rng, words = random.Random(0), vocabulary(0)
    weights = list(accumulate(1 / (rank + 10) for rank in range(_WORDS)))
    made = []
    for _ in range(count):
        drawn = rng.choices(words, cum_weights=weights, k=rng.randint(40, 120))
        for place in range(7, len(drawn), 9):
            drawn[place] += rng.choice((",", ".", ".\n", "?", ":"))
        if rng.random() < 0.3:
            drawn.insert(rng.randrange(8, 30), rng.choice((f"{rng.choice(words)} {rng.choice(_FAULTS)}", "AB12-345")))
        made.append(Facts(
            channel=rng.choice(CHANNELS),
            subject=" ".join(drawn[:5]).capitalize(),
            body=" ".join(drawn[5:]).capitalize(),
            sender=Sender(address=f"p{rng.randrange(500)}@d{rng.randrange(_DOMAINS)}.site0.test", scheme="email"),
            user=Person(organisation=f"org-{rng.randrange(_ORGANISATIONS)}", vip=False),
            assurance=rng.randrange(3),
            attachments=(),
            automatic="",
            fields={"form": f"site0-form-{rng.randrange(500)}"} if rng.random() < 0.2 else {},
        ))  # fmt: skip
    return made
