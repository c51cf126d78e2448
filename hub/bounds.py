"""What of an item is too large for the path behind parsing: cut, with the whole kept as an attachment.

Every channel meets the same limits here, in whatever process it was parsed in: what the event loop, rules, search,
pages and tickets see of a message is small, whatever a person or a machine sent (R10, R11). Nothing is lost: the whole
is an attachment by its hash, the text says so, and the field `limits` names what was cut. Subjects and names stand on
one line from here on, so that no line end of a sender's reaches a header of ours.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from plugins import MOST_TEXT, Claim, Edited, Item, Media, Message, Ticket, one_line

MOST_HTML = 1 << 20
MOST_SUBJECT = 1000
MOST_NAME = 1000
MOST_FIELD = 4000
"""Characters of one field's value."""
MOST_FIELD_NAME = 200
MOST_FIELDS = 200
MOST_MEDIA = 1000
MOST_KEY = 1000
"""Characters of a message's key that are shown; keys are compared by their hash, whole."""


def bounded(item: Item) -> Item:
    """The item as all that follows may have it."""
    if isinstance(item, Message):
        return _message(item)
    if isinstance(item, Edited) and len(item.text or "") > MOST_TEXT:
        return replace(item, text=_cut(item.text or "", "what arrived, which the hub keeps"))
    if isinstance(item, Ticket):
        return replace(item, fields=_fields(item.fields))
    return item


def _message(item: Message) -> Message:
    changed: dict[str, Any] = {}
    whole = [*_long_texts(item, changed), *_long_fields(item, changed)]
    _one_line(item, changed)
    if item.media:
        changed["media"] = tuple(_named(media) for media in item.media[:MOST_MEDIA])
    met = [media.name.partition(".")[0] for media in whole] + ["attachments"] * (len(item.media) > MOST_MEDIA)
    if met:
        fields = changed.get("fields", item.fields)
        before = [fields["limits"]] if fields.get("limits") else []
        changed["fields"] = {**fields, "limits": ",".join([*before, *met])}
        changed["media"] = (*whole, *changed.get("media", ()))
    return replace(item, **changed) if changed else item


def _long_texts(item: Message, changed: dict[str, Any]) -> Iterator[Media]:
    if len(item.text) > MOST_TEXT:
        changed["text"] = _cut(item.text, "the attachment message.txt")
        changed["folds"] = tuple(fold for fold in item.folds if fold.end <= MOST_TEXT - 200)
        yield _attached("message.txt", item.text)
    if len(item.html) > MOST_HTML:
        changed["html"] = ""
        yield _attached("message.html", item.html, "text/html")
    if len(item.subject) > MOST_SUBJECT:
        yield _attached("subject.txt", item.subject)


def _long_fields(item: Message, changed: dict[str, Any]) -> Iterator[Media]:
    fields = _fields(item.fields)
    if fields is not item.fields:
        changed["fields"] = fields
        yield _attached("fields.txt", "\n".join(f"{name}: {value}" for name, value in item.fields.items()))


def _one_line(item: Message, changed: dict[str, Any]) -> None:
    subject, sender = one_line(item.subject, MOST_SUBJECT), _claim(item.sender)
    if subject != item.subject:
        changed["subject"] = subject
    if sender is not item.sender:
        changed["sender"] = sender
    if item.claims:
        changed["claims"] = tuple(_claim(claim) for claim in item.claims)


def _cut(text: str, where: str) -> str:
    note = f"\n\n[The text goes on. All {len(text)} characters of it are in {where}.]"
    return text[: MOST_TEXT - len(note)] + note


def _attached(name: str, text: str, kind: str = "text/plain") -> Media:
    return Media(name=name, type=kind, data=text.encode("utf-8", "replace"))


def _fields(fields: Mapping[str, str]) -> Mapping[str, str]:
    if len(fields) <= MOST_FIELDS and all(
        len(name) <= MOST_FIELD_NAME and len(value) <= MOST_FIELD for name, value in fields.items()
    ):
        return fields
    return {name[:MOST_FIELD_NAME]: value[:MOST_FIELD] for name, value in list(fields.items())[:MOST_FIELDS]}


def _claim(claim: Claim) -> Claim:
    name = one_line(claim.name, MOST_NAME)
    return claim if name == claim.name else replace(claim, name=name)


def _named(media: Media) -> Media:
    name, kind = one_line(media.name, MOST_NAME), one_line(media.type, MOST_NAME)
    return media if (name, kind) == (media.name, media.type) else replace(media, name=name, type=kind)
