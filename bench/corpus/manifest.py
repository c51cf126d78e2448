"""Which files of the collected corpora are mails, and what their projects expect of them.

A mail is told by its folder and ending, never by a list of names; mbox files are split. Texts of reply parsers are no
mails: they are wrapped in a small one (`wrapped`), so that they take the same path.
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct


class Expected(Struct, frozen=True, kw_only=True):
    """None: the corpus says nothing of it."""

    sender: str | None = None
    subject: str | None = None
    attachments: int | None = None
    text: str | None = None
    """All that is shown, quotations included."""
    contains: str | None = None
    begins: str | None = None
    reply: str | None = None
    """What the sender wrote."""
    quotes_only: bool = False
    """The corpus leaves signatures in the reply."""
    kind: Literal["bounce", "report", "reply", "automatic", "person"] | None = None


class Case(Struct, frozen=True, kw_only=True):
    """One mail."""

    name: str
    """Path below `mail/`, `#n` in an mbox."""
    raw: bytes
    expected: Expected = Expected()
    wrapped: bool = False


_MAILS = (
    "sisimai/maildir/**/*.eml",
    "stalwart_mail_parser/resources/eml/**/*.eml",
    "stalwart_mail_parser/resources/maildir/**/cur/*",
    "stalwart_mail_parser/resources/maildir/**/new/*",
    "mikel_mail/spec/fixtures/**/*.eml",
    "mimekit/**/*.eml",
    "mimekit/**/*.msg",
    "mimekit/UnitTests/TestData/messages/*.txt",
    "chatwoot/**/*.eml",
    "django_helpdesk/**/*.eml",
    "cpython_test_email/msg_*.txt",
    "talon/**/*.eml",
)
_MBOXES = ("sisimai/mailbox/*", "mimekit/**/*.mbox.txt")
_FIRST_FIELD = re.compile(rb"\A(?:\xef\xbb\xbf)?(?:>?From [^\n]*\n)?[!-9;-~]+[ \t]*:|\A\s*\Z")
_MBOX = re.compile(rb"(?m)^From [^\n]*\d{2}:\d{2}[^\n]*\n")


def folder() -> Path | None:
    """The shared data, by TRUNKLINE_SHARED_DATA or beside the repository; None where it is absent."""
    named = os.environ.get("TRUNKLINE_SHARED_DATA")
    data = Path(named) if named else Path(__file__).parents[3] / "shared" / "data"
    return data if (data / "mail").is_dir() else None


def mails(data: Path) -> list[Case]:
    """Every mail of the corpora with what is expected of it, in a fixed order."""
    mail = data / "mail"
    expected = _chatwoot(mail) | _sisimai(mail) | _stalwart(mail) | _talon(mail)
    found: dict[str, bytes] = {}
    for pattern in _MAILS:
        for path in sorted(mail.glob(pattern)):
            raw = path.read_bytes() if path.is_file() else b""
            if raw and _FIRST_FIELD.match(raw):
                found[str(path.relative_to(mail))] = raw
    for pattern in _MBOXES:
        for path in sorted(mail.glob(pattern)):
            for number, raw in enumerate(_split(path.read_bytes())):
                found[f"{path.relative_to(mail)}#{number}"] = raw
    return [Case(name=name, raw=raw, expected=expected.get(name, Expected())) for name, raw in sorted(found.items())]


def _split(raw: bytes) -> Iterator[bytes]:
    starts = [
        match.start() for match in _MBOX.finditer(raw) if not match.start() or raw[match.start() - 2 :][:1] in b"\r\n"
    ]
    for start, end in zip(starts, [*starts[1:], len(raw)], strict=True):
        yield raw[start:end]


# ---- what is expected ------------------------------------------------------------------------------


def _chatwoot(mail: Path) -> dict[str, Expected]:
    """A count of attachments that is another product's quirk is still a count of parts."""
    folder = next(mail.glob("chatwoot/**/files"))
    found = {}
    for name, said in json.loads(next(mail.glob("chatwoot/**/expected.json")).read_text()).items():
        body = said.get("text") or said.get("body")
        automatic = said.get("auto_reply")
        found[str((folder / name).relative_to(mail))] = Expected(
            subject=said.get("subject"),
            attachments=said.get("attachments"),
            text=body,
            contains=said.get("body_contains"),
            begins=said.get("reply_starts_with"),
            kind=None if automatic is None else "automatic" if automatic else "person",
        )
    return found


def _sisimai(mail: Path) -> dict[str, Expected]:
    """One file name stands for one mail, stored with three kinds of line ends."""
    said = json.loads((mail / "sisimai/expected.json").read_text())
    found = {}
    for path in mail.glob("sisimai/maildir/*/*.eml"):
        if results := said.get(path.name):
            kind: Any = "report" if results[0].get("feedbacktype") else "bounce"
            kind = "reply" if results[0]["reason"] == "vacation" else kind
            found[str(path.relative_to(mail))] = Expected(kind=kind)
    return found


def _stalwart(mail: Path) -> dict[str, Expected]:
    found = {}
    for path in mail.glob("stalwart_mail_parser/resources/eml/**/*.eml"):
        tree = json.loads(path.with_suffix(".json").read_text())
        fields = {
            field["name"]: field["value"] for field in tree["parts"][0]["headers"] if isinstance(field["name"], str)
        }
        text = [tree["parts"][index]["body"].get("Text") for index in tree["text_body"]]
        shown = [words for words in text if words is not None]
        found[str(path.relative_to(mail))] = Expected(
            sender=_first_address(fields.get("from")),
            subject=_text(fields.get("subject")),
            attachments=len(tree["attachments"]),
            text="\n".join(shown) if shown and len(shown) == len(text) else None,
        )
    return found


def _first_address(value: Any) -> str | None:
    if not isinstance(value, dict):
        return None
    listed = value.get("Address", {}).get("List") or []
    return listed[0].get("address") if listed else None


def _text(value: Any) -> str | None:
    return value.get("Text") if isinstance(value, dict) else None


def _talon(mail: Path) -> dict[str, Expected]:
    """`Hello`, or the text beside the mail; its signature belongs to the reply there."""
    found = {}
    for path in mail.glob("talon/tests/fixtures/standard_replies/*.eml"):
        beside = path.with_name(f"{path.stem}_reply_text")
        reply = beside.read_text() if beside.exists() else "Hello"
        found[str(path.relative_to(mail))] = Expected(reply=reply, quotes_only=True)
    return found


# ---- texts of replies ------------------------------------------------------------------------------


def replies(data: Path) -> list[Case]:
    """Texts of reply parsers with the reply that is expected, each wrapped in a mail."""
    mail, cases = data / "mail", list[Case]()
    for path in sorted(mail.glob("email_reply_trimmer/test/emails/*.txt")):
        wanted = path.parents[1] / "trimmed" / path.name
        cases.append(_wrapped(mail, path, wanted.read_text(), "plain"))
    said = json.loads((mail / "crisp_email_reply_parser/expected.json").read_text())
    for path in sorted(mail.glob("crisp_email_reply_parser/test/fixtures/*.txt")):
        tests = said.get(path.name, [])
        reply = next((test["first_fragment"] for test in tests if test.get("first_fragment")), None)
        visible = [
            claim[1] for test in tests for claim in test.get("asserts", []) if claim[0] == "email.getVisibleText()"
        ]
        if any("fragments[2]" in claim[0] for test in tests for claim in test.get("asserts", [])):
            reply = None  # an answer between quotations: the first fragment is only its beginning
        cases.append(_wrapped(mail, path, visible[0] if visible else reply, "plain"))
    for pattern in ("github_email_reply_parser/test/emails/*.txt", "zapier_email_reply_parser/test/emails/*.txt"):
        cases += [_wrapped(mail, path, None, "plain") for path in sorted(mail.glob(pattern))]
    for path in sorted(mail.glob("talon/tests/fixtures/html_replies/*.html")):
        cases.append(_wrapped(mail, path, "Hi. I am fine.\n\nThanks,\nAlex", "html"))
    return cases


def _wrapped(mail: Path, path: Path, reply: str | None, kind: str) -> Case:
    name = str(path.relative_to(mail))
    head = f"From: ann@acme.test\r\nMessage-ID: <{name}@acme.test>\r\nContent-Type: text/{kind}; charset=utf-8\r\n\r\n"
    return Case(name=name, raw=head.encode() + path.read_bytes(), expected=Expected(reply=reply), wrapped=True)
