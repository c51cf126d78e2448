"""A second opinion where a corpus expects nothing: what the standard library reads, as far as it reads anything."""

import email
from collections.abc import Iterator
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message as Parsed
from email.utils import getaddresses

from bench.corpus.manifest import Case
from bench.corpus.score import Score
from plugins import Message

_KEPT_ELSEWHERE = {"message/rfc822", "application/ms-tnef", "application/pkcs7-mime", "application/x-pkcs7-mime"}
"""Attached whole, or unpacked: their bytes differ by intention."""


def compare(result: Score, case: Case, message: Message | None) -> None:
    """Note `sender_stdlib`, `subject_stdlib` and `files_stdlib` (every named file, by its bytes)."""
    if message is None or case.wrapped:
        return
    parsed = email.message_from_bytes(case.raw)
    address = _address(parsed)
    if address is not None:
        got = message.sender.identity.value
        result.note(case, "sender_stdlib", got.lower() == address.lower(), f"{got!r}, stdlib {address!r}")
    subject = _subject(parsed)
    if subject is not None:
        same = "".join(message.subject.split()) == "".join(subject.split())[:1000]
        result.note(case, "subject_stdlib", same, f"{message.subject!r}, stdlib {subject!r}")
    files = list(_files(parsed))
    if files:
        ours = {(media.data or b"").strip() for media in message.media}
        missing = [len(data) for data in files if data not in ours]
        result.note(case, "files_stdlib", not missing, f"bytes missing: {missing}")


def _address(parsed: Parsed) -> str | None:
    try:
        found = getaddresses([str(parsed.get("from", ""))])
    except (IndexError, ValueError, RecursionError):
        return None
    return found[0][1] if len(found) == 1 and "@" in found[0][1] else None


def _subject(parsed: Parsed) -> str | None:
    if "subject" not in parsed:
        return None
    try:
        text = str(make_header(decode_header(str(parsed.get("subject", "")))))
    except (MessageError, LookupError, ValueError):
        return None
    return None if "\ufffd" in text or "\0" in text else text


def _files(parsed: Parsed) -> Iterator[bytes]:
    sealed = {"multipart/signed", "multipart/encrypted"} & {part.get_content_type() for part in parsed.walk()}
    stack = [parsed]
    while stack and not sealed:
        part = stack.pop()
        payload = part.get_payload()
        if part.get_content_maintype() == "multipart" and isinstance(payload, list):
            stack.extend(each for each in payload if isinstance(each, Parsed))
        elif part.get_filename() and part.get_content_type() not in _KEPT_ELSEWHERE and not isinstance(payload, list):
            data = part.get_payload(decode=True)
            yield data.strip() if isinstance(data, bytes) else b""
