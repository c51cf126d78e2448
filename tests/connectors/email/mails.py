"""Mails written for these tests, and the one way to parse them."""

from datetime import UTC, datetime

from connectors.channels.email.parse import ParseOptions, parse_mail
from plugins import Envelope, Item, Message

AT = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
OPTIONS = ParseOptions(
    addresses=("support@hub.example", "help@hub.example"), domains=("hub.example",), authserv_ids=("mx.hub.example",)
)


def items(raw: bytes | str, options: ParseOptions = OPTIONS, **facts: str) -> list[Item]:
    data = raw.encode() if isinstance(raw, str) else raw
    return list(parse_mail(Envelope(key="k", raw=data, at=AT, facts=facts), options))


def message(raw: bytes | str, options: ParseOptions = OPTIONS, **facts: str) -> Message:
    found = items(raw, options, **facts)[0]
    assert isinstance(found, Message)
    return found


def mail(*fields: str, body: str = "hello") -> str:
    """A mail of Ann's with these further fields."""
    named = {field.partition(":")[0].lower() for field in fields}
    own = [
        field
        for field in ("From: Ann Lee <ann@acme.test>", "To: support@hub.example", "Message-ID: <m1@acme.test>")
        if field.partition(":")[0].lower() not in named
    ]
    return "\r\n".join([*own, *fields, "", body])


def parts(kind: str, *each: str, fields: tuple[str, ...] = ()) -> str:
    """A multipart mail; every part is its header, an empty line and its body."""
    inner = "".join(f"--b1\r\n{part}\r\n" for part in each)
    return mail(*fields, f'Content-Type: multipart/{kind}; boundary="b1"', body=f"{inner}--b1--\r\n")


def visible(found: Message) -> str:
    pieces, place = [], 0
    for fold in found.folds:
        pieces.append(found.text[place : fold.start])
        place = fold.end
    return "".join([*pieces, found.text[place:]]).strip()
