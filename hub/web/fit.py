"""How much of a history one page shows: whatever is stored, a page stays below about a megabyte.

A text beyond LETTERS is behind a link of its own; messages beyond PAGE_BYTES are behind "earlier" or "older".
"""

from collections.abc import Sequence
from html import escape

from context_store.shapes import MessageView

LETTERS = 20_000
FILES = 50
"""Attachments of one message in its list; the message as it came has them all."""
PAGE_BYTES = 500_000
MARKUP, FILE_MARKUP = 2000, 300
"""Bytes around a message and around an attachment in it."""


def fitting(newest_first: Sequence[MessageView]) -> int:
    """How many of these messages fit on a page, the first one in any case."""
    room = PAGE_BYTES
    for n, message in enumerate(newest_first):
        room -= _weight(message)
        if room < 0 and n:
            return n
    return len(newest_first)


def _weight(message: MessageView) -> int:
    """Bytes in the page; a quotation mark takes five."""
    person = message.person
    said = (message.text, message.subject, message.author, person.label, person.value, message.instance)
    files = message.attachments[:FILES]
    names = sum(len(escape(file.name).encode()) + FILE_MARKUP for file in files)
    return MARKUP + names + sum(len(escape(text).encode()) for text in said)
