"""What the terminal sees: tables for people, JSON for programs, and nothing from outside that can steer a terminal."""

import re
import sys
from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

# C0 but tab and newline, DEL, C1, line and paragraph separators, the marks that reorder what stands beside them
# (CVE-2021-42574), lone surrogates, which no terminal's encoding can carry.
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")

out = Console(highlight=False)
if not out.is_terminal:
    out.width = 160  # in files and pipes lines may be long; 80 columns would crush every table
err = Console(stderr=True, highlight=False)


def visible(value: object, *, lines: bool = False) -> str:
    r"""The text with every steering character spelt out; `lines` keeps newlines, else they show as \n."""
    text = value if isinstance(value, str) else str(value)
    text = _STEERING.sub(_spelt, text.replace("\r\n", "\n"))
    return text if lines else text.replace("\n", "\\n")


def _spelt(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def say(text: str, *, style: str = "") -> None:
    """A line of ours on standard output; pass what comes from outside through `visible` first."""
    out.print(Text(text, style=style), soft_wrap=True)  # a link must stay in one piece


def progress() -> Progress:
    """For work of known length; nothing where nobody looks."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=err, transient=True, disable=not err.is_terminal)


def complain(text: str) -> None:
    """Lines on standard error, where programs that read our output don't meet them."""
    err.print(Text(visible(text, lines=True), style="red"), soft_wrap=True)


Cell = object | tuple[object, ...]
"""A value, or several that stand below each other."""

_NARROW = 120


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Cell]],
    *,
    title: str = "",
    wide: str = "",
    less: Container[str] = (),
) -> None:
    """A table. Cells are made visible here; `wide` takes the room that is left, `less` falls away in narrow windows."""
    grid = Table(
        box=SIMPLE_HEAD, title=title or None, title_justify="left", header_style="bold", pad_edge=False,
        show_header=any(columns),
    )  # fmt: skip
    kept = [number for number, name in enumerate(columns) if out.width >= _NARROW or name not in less]
    for number in kept:
        name = columns[number]
        ratio = 1 if name == wide else None
        grid.add_column(name, overflow="fold", ratio=ratio, no_wrap=name in _WHOLE)
    for row in rows:
        grid.add_row(*(_cell(row[number], _longest(columns[number])) for number in kept))
    out.print(grid)


_WHOLE = frozenset({"reference", "query", "state", "prio", "touched", "id", "opened"})


def _longest(column: str) -> int:
    """Characters of what a sender wrote that a table shows, so that one of them can't push all else aside."""
    room = max(20, out.width - 70)
    return {"subject": room, "who": 40, "name": 60}.get(column, 4000)


def _cell(value: Cell, most: int) -> Text:
    lines = value if isinstance(value, tuple) else (value,)
    texts = (visible(line) for line in lines)
    return Text("\n".join(text if len(text) <= most else text[: most - 1] + "…" for text in texts))


_NAMED = 20


def nearest(word: str, known: Iterable[str]) -> str:
    """`did you mean …? there are: …`, for a word that there is not."""
    names = list(known)
    near = get_close_matches(word, names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return visible(f"{hint}there are: {', '.join(names[:_NAMED]) or 'none'}{more}")


def as_json(value: Any) -> None:
    """One JSON document, ASCII only, on standard output; ids become strings, because 63 bits are too many for JSON."""
    sys.stdout.write(_ascii(msgspec.json.format(msgspec.json.encode(_plain(value)), indent=2).decode()) + "\n")


def when(millis: int | None) -> str:
    """UTC milliseconds as a person's local time, with its zone; "" for none."""
    if not millis:
        return ""
    return datetime.fromtimestamp(millis / 1000, tz=UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S %z")


def minute(millis: int | None) -> str:
    """The same to the minute and without its zone, for lists."""
    return when(millis)[:16]


def size(n: int) -> str:
    """Bytes for people: `812 B`, `1.4 MiB`."""
    amount = float(n)
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"


def _plain(value: Any) -> Any:
    """Structs to tables; numbers that a JSON reader would round become text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(each) for each in value]
    if isinstance(value, msgspec.Struct):
        return {name: _plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 1 << 53:
        return str(value)
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    return value


def _ascii(document: str) -> str:
    """C1 and bidi characters are legal in JSON text and steer a terminal all the same."""
    return "".join(char if char < "\x7f" else _pair(char) for char in document)


def _pair(char: str) -> str:
    units = char.encode("utf-16-be")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))
