"""The closed list of what a condition can ask about: field, type, where in `Facts` it is read.

The types decide which operators a field has (`OPERATORS`). docs/rules.md has both tables, held equal by a test.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Literal

from msgspec import Struct

from plugins import canonical_domain, canonical_email
from routing.facts import Attachment, Facts, History, Person, Sender
from routing.text import fold

Type = Literal["text", "name", "names", "free", "flag", "number", "counts", "hours"]
Value = str | tuple[str, ...] | bool | float | tuple[int, ...] | datetime

OPERATORS: Mapping[str, tuple[str, ...]] = {
    "text": ("any", "all", "none", "in", "matches"),
    "name": ("is", "in", "matches"),
    "names": ("any", "all", "none", "in"),
    "free": ("is", "any", "all", "none", "in", "matches"),
    "flag": ("is",),
    "number": ("min", "max"),
    "counts": ("days", "min", "max"),
    "hours": ("is",),
}
SHORT: Mapping[str, str] = {"name": "is", "names": "any", "free": "is", "flag": "is", "hours": "is"}
"""The operator that a bare value stands for: `channel = ["email"]` is `channel.is = ["email"]`."""


class Field(Struct, frozen=True):
    """One thing that conditions can ask about."""

    type: Type
    doc: str
    read: Callable[[Facts], Value | None]
    allowed: tuple[str, ...] = ()
    """Where the values form a closed list."""
    lowest: int = 0
    highest: int = 1 << 62
    fits: Callable[[str], bool] = bool
    """Whether a value in this form may ever be met; else it is no `wants`, which looks `like` this."""
    wants: str = ""
    like: str = ""
    since: int = 1
    """`Facts.version` that it came with: of older facts it is not known whether they had it."""
    form: Callable[[str], str] = fold
    """How its values are compared."""
    counted: bool = False
    """Counted only where a rule in force asks for it: none is then unknown, never zero and never missing."""


_NOBODY, _STRANGER, _NO_HISTORY = Sender(), Person(), History()

KINDS: Mapping[str, tuple[str, ...]] = {
    "pdf": ("application/pdf",),
    "calendar": ("text/calendar", "application/ics"),
    "contact": ("text/vcard", "text/x-vcard"),
    "mail": ("message/",),
    "image": ("image/",),
    "audio": ("audio/",),
    "video": ("video/",),
    "office": ("application/msword", "application/vnd.ms-", "application/vnd.openxmlformats-",
               "application/vnd.oasis."),
    "archive": ("application/zip", "application/x-7z-", "application/x-rar", "application/vnd.rar", "application/gzip",
                "application/x-tar", "application/x-gzip", "application/x-zip-"),
    "program": ("application/x-msdownload", "application/x-msdos-program", "application/vnd.microsoft.portable-"),
    "text": ("text/",),
}  # fmt: skip
"""Attachment kind → how its media type begins (IANA); the first that fits."""

_ENDINGS = {
    "pdf": ("pdf",), "calendar": ("ics",), "contact": ("vcf",), "mail": ("eml", "msg"),
    "image": ("png", "jpg", "jpeg", "gif", "webp", "heic", "bmp", "tif", "tiff", "svg"),
    "audio": ("mp3", "wav", "ogg", "m4a", "amr"), "video": ("mp4", "mov", "avi", "mkv", "webm"),
    "office": ("doc", "docx", "docm", "xls", "xlsx", "xlsm", "ppt", "pptx", "odt", "ods", "odp", "rtf"),
    "archive": ("zip", "7z", "rar", "gz", "tgz", "tar", "bz2", "xz", "iso"),
    "program": ("exe", "msi", "bat", "cmd", "com", "scr", "ps1", "vbs", "js", "jar", "apk", "dmg", "lnk", "sh"),
    "text": ("txt", "log", "csv", "md"),
}  # fmt: skip
_BY_ENDING = {ending: kind for kind, endings in _ENDINGS.items() for ending in endings}


def kinds_of(attachment: Attachment) -> set[str]:
    """By media type and by file name: `invoice.exe` that is sent as a PDF is both, so neither label hides the other."""
    media = attachment.type.lower()
    by_type = next((kind for kind, starts in KINDS.items() if media.startswith(starts)), None)
    by_name = _BY_ENDING.get(attachment.name.rpartition(".")[2].lower().strip()) if "." in attachment.name else None
    return {kind for kind in (by_type, by_name) if kind} or {"other"}


def _text(facts: Facts) -> str | None:
    parts = [part for part in (facts.subject, facts.body) if part and not part.isspace()]
    return "\n".join(parts) if parts else None


def _domain(facts: Facts) -> str | None:
    address = (facts.sender or _NOBODY).address
    return address.rpartition("@")[2] if address and "@" in address else None


def _attachment_kinds(facts: Facts) -> tuple[str, ...] | None:
    if facts.attachments is None:
        return None
    return tuple(sorted(set[str]().union(*map(kinds_of, facts.attachments))))


def _bytes(facts: Facts) -> float | None:
    sizes = [attachment.size for attachment in facts.attachments or ()]
    known = [size for size in sizes if size is not None]
    return None if facts.attachments is None or len(known) < len(sizes) else sum(known)


def _address_form(text: str) -> str:
    """As the hub knows identities: `Bücher.example` in the file is `xn--bcher-kva.example` in the mail."""
    return fold(canonical_email(text))


def _is_domain(text: str) -> bool:
    return not any(char in "@*/:" or char.isspace() for char in text)


def _is_language(text: str) -> bool:
    """BCP 47, loosely: providers write `pt_BR` as well."""
    return _LANGUAGE.fullmatch(text) is not None


def _domain_form(text: str) -> str:
    return fold(canonical_domain(text))


_LANGUAGE = re.compile(r"[a-z]{2,3}([-_][a-z0-9]{1,8})*")
CHANNELS = ("email", "chat", "phone", "social", "portal", "walk-in")
MESSAGE_KINDS = ("mail", "chat", "call", "form", "post", "sms", "note")
AUTOMATIC = ("reply", "bounce", "receipt", "report", "list", "bulk")

FIELDS: Mapping[str, Field] = {
    "channel": Field("name", "family of contact", lambda f: f.channel, CHANNELS),
    "instance": Field("name", "configured connector it came through", lambda f: f.instance),
    "direction": Field("name", "`out`: our side wrote it; without this condition a rule sees `in` only",
                       lambda f: f.direction, ("in", "out")),
    "kind": Field("name", "form of the message", lambda f: f.kind, MESSAGE_KINDS),
    "text": Field("text", "subject and the new part of the body", _text),
    "subject": Field("text", "subject alone", lambda f: f.subject),
    "quoted": Field("text", "the quoted part of the body", lambda f: f.quoted),
    "sender.address": Field("name", "address the message came from", lambda f: (f.sender or _NOBODY).address,
                            form=_address_form),
    "sender.domain": Field("name", "what follows `@` in it", _domain, form=_domain_form,
                           fits=_is_domain, wants="domain", like='"acme.test"; each subdomain is one of its own'),
    "sender.scheme": Field("name", "kind of address: `email`, `tel`, `slack`, …",
                           lambda f: (f.sender or _NOBODY).scheme),
    "sender.name": Field("text", "name the sender gives; anybody can write any", lambda f: (f.sender or _NOBODY).name),
    "user.organisation": Field("name", "organisation of the recognised user",
                               lambda f: (f.user or _STRANGER).organisation),
    "user.groups": Field("names", "groups of the user", lambda f: (f.user or _STRANGER).groups),
    "user.vip": Field("flag", "user is marked as VIP", lambda f: (f.user or _STRANGER).vip),
    "user.language": Field("name", "language of the user", lambda f: (f.user or _STRANGER).language,
                           fits=_is_language, wants="language tag (BCP 47)", like='"en" or "pt-BR"'),
    "user.region": Field("name", "region of the user", lambda f: (f.user or _STRANGER).region),
    "user.contract": Field("name", "contract of the user", lambda f: (f.user or _STRANGER).contract),
    "assurance": Field("number", "how sure we are of the sender, 0 to 3", lambda f: f.assurance, highest=3),
    "attachments.any": Field("flag", "there is an attachment",
                             lambda f: None if f.attachments is None else bool(f.attachments)),
    "attachments.kinds": Field("names", "kinds of the attachments, by media type and by file name", _attachment_kinds,
                               (*KINDS, "other")),
    "attachments.count": Field("number", "number of attachments",
                               lambda f: None if f.attachments is None else len(f.attachments)),
    "attachments.bytes": Field("number", "size of all attachments together", _bytes),
    "automatic": Field("flag", "a machine wrote it", lambda f: None if f.automatic is None else bool(f.automatic)),
    "automatic_kind": Field("name", "which machine wrote it", lambda f: f.automatic, AUTOMATIC),
    "language": Field("name", "language of the message", lambda f: f.language,
                      fits=_is_language, wants="language tag (BCP 47)", like='"en" or "pt-BR"'),
    "tags": Field("names", "tags of the query before this message", lambda f: f.tags),
    "recipients": Field("names", "addresses that it was sent to", lambda f: f.recipients, since=2,
                        form=_address_form),
    "service": Field("name", "service that the user chose, or that the query has", lambda f: f.service, since=2),
    "history.open_queries": Field("number", "open queries of the user",
                                  lambda f: (f.history or _NO_HISTORY).open_queries, since=2, counted=True),
    "history.contacts": Field("counts", "earlier messages of the user in the last `days` days",
                              lambda f: (f.history or _NO_HISTORY).contacts, since=2, counted=True),
    "history.same_subject": Field("number", "earlier messages of the user with this subject",
                                  lambda f: (f.history or _NO_HISTORY).same_subject, since=2, counted=True),
    "announced": Field("names", "services with an active announcement", lambda f: f.announced, since=2),
    "major_incidents": Field("names", "services with a major incident", lambda f: f.major_incidents, since=2),
}  # fmt: skip

NAMESPACES: Mapping[str, tuple[str, Callable[[Facts], Mapping[str, str]]]] = {
    "fields": ("form field, IVR choice or chosen mail header of this name", lambda f: f.fields),
    "user.fields": ("field of this name in the directory's record of the user",
                    lambda f: (f.user or _STRANGER).fields),
}  # fmt: skip
"""Fields whose last part the site names: `fields.<name>`."""

HOURS = "hours"
"""The space whose last part names a calendar of the file: `hours.<name>`."""


@lru_cache(maxsize=4096)
def field_of(path: str) -> Field | None:
    """The field that `path` names, or None."""
    if path in FIELDS:
        return FIELDS[path]
    for space, (doc, read) in NAMESPACES.items():
        name = path.removeprefix(space + ".")
        if name not in {path, ""}:
            return Field("free", doc, lambda facts: read(facts).get(name))  # noqa: B023  returned at once
    name = path.removeprefix(HOURS + ".")
    if name not in {path, ""}:
        return Field("hours", "the calendar of this name was open when the message came", lambda f: f.at, since=2)
    return None


def paths() -> tuple[str, ...]:
    """All that may be asked, as an administrator writes it."""
    return (*FIELDS, *(f"{space}.<name>" for space in (*NAMESPACES, HOURS)))
