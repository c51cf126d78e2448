"""What the desk's own history suggests for type and service: beside the rules, never instead of them.

Learnt anew once a day from what agents corrected and what they left as it was; no network, no model from elsewhere.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from context_store import CommitUnknown, Store, StoreAway, decided
from context_store.opinions import Offer
from hub import replay
from plugins import Clock
from routing import Facts
from routing.classify import Classifier, train

log = structlog.get_logger("trunkline.offers")

FIELDS = ("type", "service")
MOST = 5000
"""Messages that are learnt from, the newest: seconds of work, and memory that stays small."""
FEWEST = 50
"""Messages below which nothing is learnt."""
AGAIN = 86_400.0
"""Seconds until the next lesson."""


@dataclass(frozen=True, slots=True)
class Offers:
    """One lesson."""

    model: str
    classifiers: dict[str, Classifier]

    def offer(self, facts: Facts) -> dict[str, Offer]:
        """Field → what it suggests."""
        text = f"{facts.subject or ''}\n{facts.body or ''}"
        guesses = {field: one.guess(text) for field, one in self.classifiers.items()}
        return {
            field: Offer(guess.label, round(guess.confidence, 3), guess.because)
            for field, guess in guesses.items()
            if guess
        }


def learn(conn: Connection, most: int = MOST) -> Offers | None:
    """From the newest decisions and what agents made of them; None where there are too few."""
    history = list(replay.judged(conn, decided.newest(conn, 0, most)))
    if len(history) < FEWEST:
        return None
    made, digest = {}, hashlib.sha256()
    for field in FIELDS:
        examples = [
            (f"{each.facts.subject or ''}\n{each.facts.body or ''}", each.outcome[field])
            for each in history
            if each.outcome.get(field) and not each.facts.automatic
        ]
        digest.update(msgspec.json.encode(examples))
        if len({label for _, label in examples}) > 1:
            made[field] = train(examples)
    return Offers(digest.hexdigest(), made) if made else None


@dataclass(slots=True)
class Learner:
    """Runs until cancelled, in a reader's thread."""

    store: Store
    take: Callable[[Offers | None], None]
    clock: Clock

    async def run(self) -> None:
        """Learn, then again every day."""
        while True:
            try:
                found = await self.store.read(learn)
                self.take(found)
                log.info("offers.learnt", fields=sorted(found.classifiers) if found else [])
                pause = AGAIN
            except (StoreAway, CommitUnknown, OperationalError) as error:
                log.warning("offers.later", why=str(error))
                pause = 60.0
            await self.clock.sleep(pause)
