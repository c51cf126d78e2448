"""A mail as bytes: pure, the same for the same work, and without any value that could start a header of its own.

Header fields are written here and not by `email`: 3.11.7 decodes encoded words that it is given and writes the line
feeds which it finds in them (CVE-2024-6923). `email` only encodes the body parts, whose headers we choose.
"""

import re
from base64 import b64encode
from email.header import Header
from email.message import EmailMessage
from email.policy import SMTP
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import quote

from msgspec import Struct, json

from connectors.channels.email.settings import EmailSettings
from plugins import MediaRef, Outgoing, Refuse, canonical_domain, one_line

_POLICY = SMTP.clone(cte_type="7bit", max_line_length=78)
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]"
_ADDRESS = re.compile(rf"{_ATOM}{{1,128}}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*")
_ID = re.compile(r"[!-;=?-~]{1,500}@[!-;=?-~]{1,400}")
_TYPE = re.compile(r"[A-Za-z0-9][\w.+-]{0,60}/[A-Za-z0-9][\w.+-]{0,100}", re.ASCII)
_REFERENCES = 20
"""Ids in References at most: the whole line stays short of the 998 bytes that RFC 5322 §2.1.1 allows per line."""
_BLOB = b"X-Trunkline-Blob: "
_SURROGATE = re.compile("[\ud800-\udfff]")


class Addressed(NamedTuple):
    """The SMTP envelope of a rendered mail."""

    sender: str
    """"" for automatic mail: it can't be answered, so it can't loop (RFC 3834 §3.3)."""
    to: str


def render(work: Outgoing, settings: EmailSettings) -> bytes:
    """The mail without Date, and with attachments named by hash: what a step stores and the console shows."""
    way = _way(work)
    own = way.own if way.own in settings.aliases else settings.address
    lines = [
        header("From", mailbox(_display(work, settings), own)),
        header("To", address(work.to.value)),
        header("Subject", encoded(work.subject or f"Re: {way.subject}".strip())),
        header("Message-ID", f"<{message_id(work.key, settings)}>"),
        *_threading(work, way, settings),
        *_reply_to(work, settings),
        *(_automatic(work) if work.automatic else ()),
        header("MIME-Version", "1.0"),
    ]
    return b"".join(lines) + _body(work)


def message_id(key: str, settings: EmailSettings) -> str:
    """Without brackets; the same on every try, so that the far side can drop a second copy."""
    identity = f"{key}@{settings.id_domain}"
    if not _ID.fullmatch(identity):
        raise Refuse("bad_key", "the key can't stand in a Message-ID")
    return identity


def key_of(mail: bytes) -> str:
    """`Outgoing.key` of a rendered mail: what `parse` makes of its Message-ID in an answer or a bounce."""
    return mail.partition(b"\r\nMessage-ID: <")[2].partition(b">")[0].rpartition(b"@")[0].decode("ascii")


def addressed(mail: bytes, settings: EmailSettings) -> Addressed:
    """From the mail itself, as `render` wrote it."""
    head = mail.partition(b"\r\n\r\n")[0].split(b"\r\n")
    to = next(line for line in head if line.startswith(b"To: "))[4:].decode("ascii")
    automatic = any(line.startswith(b"Auto-Submitted: ") for line in head)
    return Addressed("" if automatic else settings.address, to)


# ---- header values ---------------------------------------------------------------------------------


def header(name: str, value: str) -> bytes:
    """One field, from an ASCII value whose long lines `encoded` and the callers have folded.

    Raises:
        Refuse: the value would end the field, or is longer than a line may be.
    """
    line = f"{name}: {value}"
    unfolded = line.replace("\r\n ", "  ")
    if not (unfolded.isascii() and unfolded.isprintable()):
        raise Refuse("bad_header", f"{name} can't hold control characters")
    if any(len(part) > 998 for part in line.split("\r\n")):
        raise Refuse("bad_header", f"{name} has a word that is too long for a line")
    return line.encode("ascii") + b"\r\n"


def plain(text: str) -> str:
    """Text on one line, from people: line ends and other control characters become blanks."""
    return one_line(_SURROGATE.sub("\ufffd", text), 2000)


def encoded(text: str) -> str:
    """Unstructured text as RFC 5322 folds and RFC 2047 encodes it. What looks like an encoded word becomes one."""
    text = plain(text).strip()[:900]
    if text.isascii() and "=?" not in text:
        return _folded(text)
    return Header(text, "utf-8", maxlinelen=75, header_name="Subject").encode(linesep="\r\n")


def _folded(text: str) -> str:
    lines, line = [], ""
    for word in text.split(" "):
        if line and len(line) + len(word) > 65:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return "\r\n ".join([*lines, line])


def address(text: str) -> str:
    """An addr-spec that can stand in a header and in RCPT TO; a domain of other scripts goes as IDNA (S40)."""
    local, _, domain = text.rpartition("@")
    spec = f"{local}@{canonical_domain(domain)}"
    if len(spec) > 254 or not _ADDRESS.fullmatch(spec):
        raise Refuse("bad_address", "not an address that mail can be sent to")
    return spec


def mailbox(name: str, spec: str) -> str:
    """`"Ann Lee" <ann@acme.test>`."""
    name = plain(name).strip()[:200]
    if not name:
        return spec
    if name.isascii() and "=?" not in name:
        quoted = name.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{quoted}"\r\n <{spec}>'
    return f"{encoded(name)}\r\n <{spec}>"


def _display(work: Outgoing, settings: EmailSettings) -> str:
    if work.author and settings.display_name:
        return f"{work.author} ({settings.display_name})"
    return work.author or settings.display_name


class Way(Struct, frozen=True, kw_only=True):
    """`reply_via` as `parse` writes it: the newest mail of the thread."""

    message_id: str = ""
    references: tuple[str, ...] = ()
    subject: str = ""
    own: str = ""
    """Which of our addresses it came to."""


def _way(work: Outgoing) -> Way:
    return json.decode(work.reply_via, type=Way) if work.reply_via else Way()


def _threading(work: Outgoing, way: Way, settings: EmailSettings) -> list[bytes]:
    """In-Reply-To and References (RFC 5322 §3.6.4), oldest first; what is no id is left out, not repaired."""
    answers = [_full(text, settings) for text in work.replies_to] or [way.message_id]
    parent = answers[0]
    known = (*way.references, parent) if parent == way.message_id else tuple(reversed(answers))
    ids = [identity for identity in dict.fromkeys(known) if _ID.fullmatch(identity)]
    if not _ID.fullmatch(parent):
        return []
    references = "\r\n ".join(f"<{identity}>" for identity in ids[-_REFERENCES:])
    return [header("In-Reply-To", f"<{parent}>"), header("References", references)]


def _full(key: str, settings: EmailSettings) -> str:
    """A key of ours as the Message-ID that it stands for; mails without an id have a key with a colon instead."""
    return key if "@" in key or ":" in key else f"{key}@{settings.id_domain}"


def _reply_to(work: Outgoing, settings: EmailSettings) -> list[bytes]:
    if not (work.token and settings.plus):
        return []
    local, _, domain = settings.address.rpartition("@")
    return [header("Reply-To", address(f"{local}+{work.token}@{domain}"))]


def _automatic(work: Outgoing) -> list[bytes]:
    """RFC 3834 §5; Exchange wants its own word."""
    kind = "auto-replied" if work.replies_to else "auto-generated"
    return [header("Auto-Submitted", kind), header("X-Auto-Response-Suppress", "All")]


# ---- body and attachments ----------------------------------------------------------------------------


def _boundary(work: Outgoing, level: str) -> str:
    """No text can hold it: it is a digest of that text."""
    parts = (level, work.key, work.subject, work.text, work.html)
    return "=_" + sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:40]


def _body(work: Outgoing) -> bytes:
    message = EmailMessage(policy=_POLICY)
    del message["MIME-Version"]
    message.set_content(_text(work.text), charset="utf-8")
    if work.html:
        message.add_alternative(_text(work.html), subtype="html", charset="utf-8")
        message.set_boundary(_boundary(work, "alternative"))
    del message["MIME-Version"]
    body = message.as_bytes()
    if not work.media:
        return body
    mark = _boundary(work, "mixed")
    opening = f'Content-Type: multipart/mixed; boundary="{mark}"\r\n\r\n'.encode()
    parts = [body.rstrip(b"\r\n") + b"\r\n", *(_attachment(media) for media in work.media)]
    line = f"--{mark}".encode()
    return opening + b"".join(line + b"\r\n" + part for part in parts) + line + b"--\r\n"


def _text(text: str) -> str:
    """Any line end is one; what no charset has is replaced."""
    return "\n".join(text.replace("\0", "").encode("utf-8", "replace").decode().splitlines()) + "\n"


def _attachment(media: MediaRef) -> bytes:
    kind = media.type if _TYPE.fullmatch(media.type) else "application/octet-stream"
    if kind.lower().startswith(("message/", "multipart/")):  # may not be base64 (RFC 2046 §5)
        kind = "application/octet-stream"
    name = quote(plain(media.name).encode()[:240].decode("utf-8", "ignore") or "attachment", safe="")
    lines = [
        header("Content-Type", kind),
        header("Content-Disposition", f"attachment;\r\n filename*=utf-8''{name}"),
        header("Content-Transfer-Encoding", "base64"),
        _BLOB + re.sub(r"[^0-9a-f]", "", media.sha256).encode() + b"\r\n",
    ]
    return b"".join(lines) + b"\r\n\r\n"


def blobs(mail: bytes) -> list[str]:
    """Hashes of the attachments that `fill` needs, in order."""
    return [part.partition(_BLOB)[2].partition(b"\r\n")[0].decode() for part in _parts(mail) if _is_blob(part)]


def fill(mail: bytes, data: list[bytes]) -> bytes:
    """The mail with the bytes of its attachments, in the order of `blobs`."""
    rest = iter(data)
    parts = [_filled(part, next(rest)) if _is_blob(part) else part for part in _parts(mail)]
    return _mark(mail).join(parts)


def _mark(mail: bytes) -> bytes:
    found = re.search(rb'\r\nContent-Type: multipart/mixed; boundary="([^"]+)"', mail.partition(b"\r\n\r\n")[0])
    return b"\r\n--" + found[1] if found else b""


def _parts(mail: bytes) -> list[bytes]:
    mark = _mark(mail)
    return mail.split(mark) if mark else [mail]


def _is_blob(part: bytes) -> bool:
    """Only what stands between two boundaries, which no text can hold, and in its headers."""
    return _BLOB in part.partition(b"\r\n\r\n")[0] and part.startswith(b"\r\nContent-Type: ")


def _filled(part: bytes, data: bytes) -> bytes:
    head = re.sub(rb"\r\n" + _BLOB + rb"[0-9a-f]*", b"", part.partition(b"\r\n\r\n")[0])
    text = b64encode(data)
    return head + b"\r\n\r\n" + b"\r\n".join(text[at : at + 76] for at in range(0, len(text), 76))
