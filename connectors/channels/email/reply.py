"""Where the quotations and the signature of a text stand: folded in the console, never cut.

Precision first: a quotation that stays open costs a glance, a folded word of the reply costs the matter. So only what
bears a mark is folded: `>` lines, attributions with a date or an address, header blocks, rows of dashes with the
words of a mail client, `-- `, the lines that phones append. One pass over lines, each looked at up to 500
characters; patterns are RE2, joined lines at most six: the time is linear in the text whatever it holds.
"""

from typing import Literal

import re2

from connectors.channels.email.reply_words import (
    ABOVE,
    BEGIN,
    DAYS,
    DEVICE,
    FORWARDED,
    GREETINGS,
    INLINE,
    LABELS,
    ORIGINAL,
    SENT_FROM,
    SENT_FROM_CJK,
    SENT_LAST,
    WROTE,
)
from plugins import Fold

Mark = Literal["", "quote", "signature"]
_WIDE = 500
_MAIL = r"[^\s@<>]{1,64}@[^\s@<>]{2,}"
_DATED = rf"^[\s*_>-]*(?:(?:{BEGIN})[\s,.]|(?:{DAYS})\pL*[\s,.]|\d{{1,4}}[-./\s年년]|在|于|於)"
_DIGIT_OR_MAIL = re2.compile(r"\d|@")
_DATE_ONLY = re2.compile(rf"(?i){_DATED}.{{0,40}}\d")
_FULL = re2.compile(rf"(?i){_DATED}.{{0,300}}(?:{WROTE}).{{0,80}}$")
_BARE = re2.compile(rf"(?i){_DATED}.{{0,300}}{_MAIL}[\]\s>)\x22'*]*[:：]?[\s*]*$")
_NAMED = re2.compile(rf"(?i)^.{{0,120}}{_MAIL}.{{0,60}}(?:{WROTE}).{{0,80}}$")
_ENDS = re2.compile(rf"(?i)(?:[:：]|(?:{WROTE})\s*-{{2,}})[\s*_]*$")
_VERB = re2.compile(rf"(?i)\s(?:{WROTE})[\s*_]*$")
_SURE = re2.compile(rf"\d{{1,2}}[:.h時时시]\d{{2}}|{_MAIL}")
_BRACKETED = re2.compile(rf"[<(\[]{_MAIL}")
_FORWARD = re2.compile(rf"(?i)^[\s*_>]*(?:[-_=—–]{{2,}}[\s*_]*(?:{FORWARDED})|begin forwarded message)")
_MINE = re2.compile(
    r"(?i)(?:^|[^\pL])(?:I|ich|j'ai|he escrito|ho scritto|jag|jeg|я)\s+(?:wrote|schrieb|[eé]crit|skrev|написал)\s*:$"
)
_ORIGINAL = re2.compile(rf"(?i)^[\s*_>]*[-_=—–]{{2,}}[\s*_]*(?:{ORIGINAL})[\s*_:]*[-_=—–]*[\s*_]*$")
_ABOVE = re2.compile(rf"(?i)(?:{ABOVE})")
_RULE = re2.compile(r"^[\s*]*(?:[-_=—–*]\s?){3,}[\s*]*$")
_GREETING = re2.compile(rf"(?i)^\s*(?:{GREETINGS})(?:[^\pL.!?][^.!?]{{0,40}})?[,，]\s*$")
_DELIMITER = re2.compile(r"^--[ \t\r]*$")
_FOOTER = re2.compile(r"^_{2,}$")
_INITIALS = re2.compile(r"^ ?([A-Z]{1,3})>(?:\s|$)")
_INLINE = re2.compile(rf"(?i)(?:(?:^|[^\pL])(?:{INLINE})(?:[^\pL]|$)|以下|下記|下面|如下)")
_PHONE = re2.compile(
    rf"(?i)^[\s<(*_\[]*(?:(?:{SENT_FROM})\s.{{0,60}}(?:{DEVICE}|TI-85|iOS)(?:[^\pL].{{0,60}})?|(?:{SENT_FROM})\s(?:{DEVICE})|"
    rf"(?:{SENT_FROM_CJK}).{{0,40}}|(?:von|from|vom)\s.{{1,50}}(?:{SENT_LAST}))[\s>)*_\].]*$"
)
_SENTENCE = re2.compile(r"(?i)[,;!?]\s+\S+\s+\S+\s+\S+\s+\S+|\.\s+\S+\s+\S+\s+\S+\s+\S+")
_LABEL_KINDS = {word: kind for kind, words in LABELS.items() for word in words.split()}
_BLANK, _QUOTE, _TEXT = 0, 1, 2


def folds(text: str, limit: int, *, forwarded: bool = False) -> list[Fold]:
    """Return the folds of a text in order, not overlapping; only its first `limit` characters are looked at.

    `forwarded`: the subject says so. Then the mail below is the matter itself, and only `>` lines fold.
    """
    lines = text[:limit].split("\n")
    reader = _Reader(lines)
    marks = reader.quotes(forwarded)
    reader.signatures(marks)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    found: list[Fold] = []
    for first, last, kind in _spans(marks, lines):
        found.append(Fold(start=starts[first], end=min(starts[last + 1] - 1, len(text)), kind=kind))
    if found and len(text) > limit and reader.tail and found[-1].kind == "quote":
        found[-1] = Fold(start=found[-1].start, end=len(text), kind="quote")
    return found


def _spans(marks: list[Mark], lines: list[str]) -> list[tuple[int, int, Literal["quote", "signature"]]]:
    """Runs of equal marks; blank lines inside and between them go along."""
    spans: list[tuple[int, int, Literal["quote", "signature"]]] = []
    for index, mark in enumerate(marks):
        if not mark:
            continue
        if spans and spans[-1][2] == mark and not any(line.strip() for line in lines[spans[-1][1] + 1 : index]):
            spans[-1] = (spans[-1][0], index, mark)
        else:
            spans.append((index, index, mark))
    return spans


class _Reader:
    """The lines of one text and what they look like."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = [line[:_WIDE].replace("\xa0", " ").replace("\u202f", " ") for line in lines]
        self.kinds = [_kind(line) for line in self.lines]
        self._initialled()
        self.tail = False
        """Everything from some line on is a quotation."""

    def _initialled(self) -> None:
        """Two lines or more with the same initials before `>` (The Bat, Supercite) are a quotation too."""
        marks = [_INITIALS.match(line) if ">" in line[:5] else None for line in self.lines]
        for index in range(1, len(marks)):
            one, two = marks[index - 1], marks[index]
            if one and two and one[1] == two[1]:
                self.kinds[index - 1] = self.kinds[index] = _QUOTE

    def quotes(self, open_: bool) -> list[Mark]:
        """Mark the lines of quotations, "" elsewhere; `open_`: unmarked quotations stay open."""
        marks: list[Mark] = ["quote" if kind == _QUOTE else "" for kind in self.kinds]
        index, said = 0, len(marks)
        while index < len(self.lines):
            begin, end, sure = self._opening(index) if self.kinds[index] == _TEXT else (index, -1, False)
            if end < 0:
                open_ = open_ or (self._ruled(index) and _FORWARD.search(self.lines[index]) is not None)
                said = min(said, index) if self._words(index) else said
                index += 1
                continue
            after = self._next(end + 1)
            if self.kinds[after : after + 1] == [_QUOTE] or _piped(self.lines, after):
                marks[begin:after] = ["quote"] * (after - begin)
                said = said if said < begin else len(marks)
                index = self._piped_run(marks, after)
                continue
            open_ = open_ or (sure and said < begin and self._inline(begin))
            if sure and said < begin and not open_:
                begin = self._rules_above(begin)
                marks[begin:] = ["quote"] * (len(marks) - begin)
                self.tail = True
                break
            index = end + 1
        return marks

    def _opening(self, index: int) -> tuple[int, int, bool]:
        """Where an attribution ends or a header block begins: (first line, last line, certain), else (_, -1, _)."""
        line = self.lines[index]
        if (self._ruled(index) and _ORIGINAL.search(line)) or (len(line) < 120 and _ABOVE.search(line)):
            return index, index, True
        if (end := self._block(index)) >= 0:
            return index, end, True
        if _ENDS.search(line) or _VERB.search(line) or self._before_quote(index):
            return self._attribution(index)
        return index, -1, False

    def _before_quote(self, index: int) -> bool:
        after = self._next(index + 1)
        return after - index <= 2 and (self.kinds[after : after + 1] == [_QUOTE] or _piped(self.lines, after))

    def _attribution(self, index: int) -> tuple[int, int, bool]:
        joined, windows = "", []
        for first in range(index, max(index - 5, -1), -1):
            if self.kinds[first] != _TEXT:
                break
            joined = f"{self.lines[first].strip()} {joined}".strip()
            if len(joined) > _WIDE:
                break
            windows.append((first, joined))
        for pattern in (_FULL, _BARE, _NAMED):
            for first, window in windows:
                if pattern.search(window) and _DIGIT_OR_MAIL.search(window) and not _MINE.search(window):
                    sure = _certain(window) and (pattern is not _BARE or _BRACKETED.search(window) is not None)
                    return self._widened(first), index, sure
        return index, -1, False

    def _widened(self, first: int) -> int:
        """An attribution that was wrapped behind a comma of its date (`On Nov 21, 2014,`) begins a line higher."""
        above = self.lines[first - 1].rstrip() if first and self.kinds[first - 1] == _TEXT else ""
        return first - 1 if above.endswith(",") and len(above) < 60 and _DATE_ONLY.search(above) else first

    def _block(self, index: int) -> int:
        """The last line of a header block that begins at `index`, or -1."""
        kinds, last, strays = set[str](), index, 0
        if not _label(self.lines[index]):
            return -1
        for at in range(index, min(index + 16, len(self.lines))):
            kind = _label(self.lines[at])
            if kind:
                kinds.add(kind)
                last = at
            else:
                strays += 1
            if strays > (3 if len(kinds) < 3 else 1):
                break
        whole = {"from", "to"} <= kinds and kinds & {"sent", "subject"} and len(kinds) >= 3
        whole = whole or ({"from", "subject"} <= kinds and bool(kinds & {"sent", "date"}))
        return last if whole else -1

    def _next(self, index: int) -> int:
        """The next line that is not blank."""
        while index < len(self.lines) and self.kinds[index] == _BLANK:
            index += 1
        return index

    def _piped_run(self, marks: list[Mark], index: int) -> int:
        """Mark the quoted lines that follow an attribution, also those with `|` or initials (`C>`)."""
        while index < len(self.lines) and (
            self.kinds[index] != _TEXT or self.lines[index].startswith("|") or _initials(self.lines[index])
        ):
            marks[index] = "quote" if self.kinds[index] != _BLANK else ""
            index += 1
        return index

    def _ruled(self, index: int) -> bool:
        """Can the line be a separator at all? Most can't: spares two searches."""
        return self.lines[index].lstrip(" \t*>")[:1] in {"-", "_", "=", "—", "–", "b", "B"}

    def _words(self, index: int) -> bool:
        """Does the sender say something in this line? If nothing is said above, the reply may stand below."""
        line = self.lines[index]
        said = self.kinds[index] == _TEXT and any(char.isalnum() for char in line)
        return said and not (len(line) < 60 and _GREETING.search(line))

    def _inline(self, end: int) -> bool:
        above = " ".join(self.lines[at] for at in range(max(end - 60, 0), end) if self.kinds[at] == _TEXT)
        return _INLINE.search(above[-2000:]) is not None

    def _rules_above(self, index: int) -> int:
        """A row of dashes or underscores above a header block belongs to it."""
        at = index - 1
        while at >= 0 and (self.kinds[at] == _BLANK or _RULE.search(self.lines[at])):
            at -= 1
        return at + 1

    def signatures(self, marks: list[Mark]) -> None:
        """Mark signatures: behind `-- ` at the end of what the sender wrote, and what phones append."""
        end = len(marks)
        while end > 0 and (marks[end - 1] == "quote" or self.kinds[end - 1] == _BLANK):
            end -= 1
        first = next((index for index, mark in enumerate(marks) if mark == "quote"), end)
        said = next((index for index, mark in enumerate(marks) if not mark and self._words(index)), len(marks))
        for last in sorted({end, min(first, end)}, reverse=True):
            self._delimited(marks, said, last)
            self._phones(marks, said, last)

    def _delimited(self, marks: list[Mark], said: int, end: int) -> None:
        """From the first delimiter that leaves at most 12 lines to the end: more may be a text with a rule in it."""
        count = sum(kind == _TEXT for kind in self.kinds[max(end - 40, 0) : end])
        for index in range(max(end - 40, 0), end):
            if self.kinds[index] == _TEXT:
                count -= 1
                last = _DELIMITER.search(self.lines[index]) or self._list_footer(index)
                if last and count <= 12 and said < index and not any(marks[index:end]):
                    marks[index:end] = ["signature"] * (end - index)
                    return

    def _list_footer(self, index: int) -> bool:
        following = " ".join(self.lines[index + 1 : index + 3]).lower()
        return _FOOTER.search(self.lines[index].strip()) is not None and "mailing list" in following

    def _phones(self, marks: list[Mark], said: int, end: int) -> None:
        while end > 0 and (self.kinds[end - 1] == _BLANK or marks[end - 1] == "signature"):
            end -= 1
        while end > 0:
            line = self.lines[end - 1].strip()
            if line and not (
                len(line) <= 120 and _PHONE.search(line) and not _SENTENCE.search(line.partition("lease excuse")[0])
            ):
                break
            if said >= end - 1:
                break
            marks[end - 1] = "signature" if line else ""
            end -= 1


def _certain(attribution: str) -> bool:
    """Enough of an attribution to fold what follows without a mark of its own: ended by a colon, or complete."""
    marks = {"@" if "@" in mark else ":" for mark in _SURE.findall(attribution)}
    return bool(marks) if _ENDS.search(attribution) else len(marks) == 2 and _VERB.search(attribution) is not None


def _kind(line: str) -> int:
    stripped = line.lstrip(" \t\u200b\ufeff\r")
    if not stripped:
        return _BLANK
    return _QUOTE if stripped[0] == ">" else _TEXT


def _piped(lines: list[str], index: int) -> bool:
    """Two lines that begin with a bar, or with somebody's initials and `>`."""
    two = lines[index : index + 2]
    return len(two) == 2 and (all(line.startswith("|") for line in two) or _initials(two[0]))


def _initials(line: str) -> bool:
    mark, angle, _ = line[:40].partition(">")
    return bool(angle) and mark.isalpha() and len(mark) <= 12


def _label(line: str) -> str:
    """The kind of a header block's label that a line begins with, or ""."""
    head, colon, _ = line[:60].replace("：", ":").partition(":")
    word = "".join(head.strip(" \t*_>\u200b").split()).lower()
    return _LABEL_KINDS.get(word, "") if colon else ""
