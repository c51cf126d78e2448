"""Agreement of parsed items with what the corpora expect, field by field, each with its n."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct, field

from bench.corpus.explained import EXPLAINED
from bench.corpus.manifest import Case, Expected
from plugins import Item, Message


class Field(Struct):
    """How often one field agreed."""

    n: int = 0
    agreed: int = 0
    explained: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)

    def note(self, case: Case, name: str, agreed: bool, detail: str = "") -> None:
        self.n += 1
        self.agreed += agreed
        if not agreed:
            known = EXPLAINED.get((case.name, name)) or EXPLAINED.get((case.name.rpartition("/")[0] + "/", name))
            (self.explained if known else self.missed).append(f"{case.name}: {known or detail}")


class Score(Struct):
    """The figures of a run."""

    fields: dict[str, Field] = field(default_factory=dict)
    words_common: int = 0
    words_all: int = 0
    words_raw: tuple[int, int] = (0, 0)
    """The same with the explained misses."""
    hidden: dict[str, list[str]] = field(default_factory=dict)
    """Words of a reply that stand inside a fold, by mail: must be empty."""

    def note(self, case: Case, name: str, agreed: bool, detail: str = "") -> None:
        self.fields.setdefault(name, Field()).note(case, name, agreed, detail)

    def report(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            name: {
                "n": each.n,
                "agreed": each.agreed,
                "percent": round(100 * each.agreed / each.n, 1),
                "explained": each.explained,
                "unexplained": each.missed,
            }
            for name, each in sorted(self.fields.items())
        }
        found["visible_text_words_percent"] = round(100 * self.words_common / max(self.words_all, 1), 1)
        common, most = self.words_raw
        found["visible_text_words_percent_with_explained"] = round(100 * common / max(most, 1), 1)
        found["reply_words_hidden"] = self.hidden
        return found


def score(cases: Iterable[Case], items: Mapping[str, Iterable[Item]]) -> Score:
    """Compare; `items` by `Case.name`. A case without a message misses every field that is expected of it."""
    result = Score()
    for case in cases:
        message = next((item for item in items.get(case.name, ()) if isinstance(item, Message)), None)
        _headers(result, case, message)
        _texts(result, case, message)
        _kind(result, case, message)
        if case.expected.reply is not None:
            _reply(result, case, message)
    return result


def _headers(result: Score, case: Case, message: Message | None) -> None:
    wanted = case.expected
    if wanted.sender is not None:
        got = message.sender.identity.value if message else ""
        result.note(case, "sender", got.lower() == wanted.sender.lower(), f"{got!r}, expected {wanted.sender!r}")
    if wanted.subject is not None:
        subject = message.subject if message else ""
        result.note(
            case, "subject", _plain(subject) == _plain(wanted.subject), f"{subject!r}, expected {wanted.subject!r}"
        )
    if wanted.attachments is not None:
        names = [media.name for media in message.media] if message else []
        result.note(case, "attachments", len(names) == wanted.attachments, f"{names}, expected {wanted.attachments}")


def _plain(text: str) -> str:
    return "".join(text.split())


def _kind(result: Score, case: Case, message: Message | None) -> None:
    wanted, got = case.expected.kind, message.automatic if message else ""
    if wanted in {"bounce", "report", "reply"}:
        result.note(case, "bounce_or_auto", got == wanted, f"{got!r}, expected {wanted!r}")
    elif wanted is not None:
        result.note(case, "bounce_or_auto", bool(got) == (wanted == "automatic"), f"{got!r}, expected {wanted!r}")


def _texts(result: Score, case: Case, message: Message | None) -> None:
    wanted, text = case.expected, message.text if message else ""
    if wanted.text is not None:
        _words(result, case, text, wanted.text)
    if wanted.contains is not None:
        result.note(case, "text", wanted.contains in text)
    if wanted.begins is not None:
        result.note(
            case, "text", visible(message, wanted).lstrip().startswith(wanted.begins.strip()) if message else False
        )


def _words(result: Score, case: Case, got: str, wanted: str) -> None:
    ours, theirs = Counter(got.split()), Counter(wanted.split())
    common, most = sum((ours & theirs).values()), max(ours.total(), theirs.total())
    agreed = common == most
    result.note(case, "visible_text", agreed, f"{common} of {most} words")
    if agreed or not EXPLAINED.get((case.name, "visible_text")):
        result.words_common += common
        result.words_all += most
    result.words_raw = (result.words_raw[0] + common, result.words_raw[1] + most)


def visible(message: Message, wanted: Expected) -> str:
    """The text without its folds; with its signatures where the corpus counts them as reply."""
    pieces, place = list[str](), 0
    for fold in message.folds:
        if fold.kind == "quote" or not wanted.quotes_only:
            pieces.append(message.text[place : fold.start])
            place = fold.end
    return "".join([*pieces, message.text[place:]])


def _reply(result: Score, case: Case, message: Message | None) -> None:
    """Exact: the same lines but for white space. `>` lines that a corpus leaves in a reply are quotations there too."""
    shown = visible(message, case.expected) if message else ""
    wanted = [line for line in _lines(case.expected.reply or "") if not line.startswith(">")]
    result.note(case, "replies", _lines(shown) == wanted, f"{_lines(shown)[-3:]}")
    _words(result, case, shown, " ".join(wanted))
    hidden = Counter(" ".join(wanted).split()) - Counter(shown.split())
    if hidden:
        result.hidden[case.name] = sorted(hidden)


def _lines(text: str) -> list[str]:
    return [line for line in (" ".join(line.split()) for line in text.split("\n")) if line]
