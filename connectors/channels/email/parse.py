"""A mail as it arrived → items: pure, deterministic, bounded (design §3, §5)."""

from collections.abc import Iterator
from typing import Any

from msgspec import json

from connectors.channels.email.body import Body, read_body
from connectors.channels.email.headers import Headers, addresses, message_ids, sent_at
from connectors.channels.email.keys import delivery_key
from connectors.channels.email.mime import Tree
from connectors.channels.email.options import Limits, ParseOptions
from connectors.channels.email.own import answered, destinations, our_key
from connectors.channels.email.reports import Report, classify
from connectors.channels.email.trust import NO_SENDER, sender
from plugins import Claim, Envelope, Identity, Item, Message, Receipt, Skipped, canonical_email

__all__ = ["Limits", "ParseOptions", "delivery_key", "parse_mail"]

_FIELDS = (
    "from", "to", "cc", "reply-to", "sender", "date", "return-path", "list-id", "precedence", "auto-submitted",
    "importance",
    "priority", "x-priority", "sensitivity", "x-mailer", "user-agent", "content-language", "organization",
    "x-spam-flag",
    "x-spam-status", "x-auto-response-suppress", "thread-topic", "x-loop", "x-trunkline-loop",
)  # fmt: skip
_FIELD_SIZE = 500
_RECIPIENTS = ("to", "cc", "resent-to", "resent-cc")


def parse_mail(envelope: Envelope, options: ParseOptions) -> Iterator[Item]:
    """Yield the message, and a receipt if the mail reports on one of ours.

    `envelope.facts` may carry `rcpt` (SMTP recipients, separated by commas) and `mail_from` (reverse path, "" or
    "<>" for the null path). Limits that were met are named in `fields["limits"]`.
    An envelope without a byte of mail is skipped.
    """
    raw = envelope.raw
    if not raw.strip(b"\0 \t\r\n"):
        yield Skipped(reason="mail_empty")
        return
    tree = Tree(raw, options.limits)
    head = tree.root.head
    body = read_body(tree, raw, options)
    claim = sender(envelope, head, options)
    subject = head.text("subject")
    null = _null_path(envelope, head)
    address = "" if claim.identity.value == NO_SENDER else claim.identity.value
    report = classify(tree, head, address, null, subject, body.text)
    message = _message(envelope, head, body, claim, report, options)
    yield message
    if report.state and (of := our_key(report.original, options)):
        yield Receipt(key=f"{message.key}#receipt", at=message.at, state=report.state, of=of, reason=report.reason)


def _message(
    envelope: Envelope, head: Headers, body: Body, claim: Claim, report: Report, options: ParseOptions
) -> Message:
    message_id = next(iter(message_ids(head.raw("message-id"))), "")
    own, tokens = destinations(envelope, head, options)
    about = (our_key(report.original, options) or report.original,) if report.original else ()
    ours = {canonical_email(address) for address in options.addresses}
    author = canonical_email(claim.identity.value)
    reply_to = [found for found in addresses(head.raw("reply-to"), 1) if canonical_email(found.address) != author]
    return Message(
        key=delivery_key(envelope.raw)[0],
        sender=claim,
        at=sent_at(head.raw("date"), envelope.at),
        text=body.text,
        folds=body.folds,
        subject=head.text("subject"),
        html=body.html,
        kind="mail",
        automatic=report.kind or ("bulk" if author in ours else ""),
        replies_to=tuple(dict.fromkeys(about + answered(head, options))),
        tokens=tokens,
        recipients=tuple(dict.fromkeys(Identity(scheme="email", value=value) for value in _recipients(head, options))),
        fields=_fields(head, body, report),
        media=body.media,
        reply_via=_way_back(head, message_id, own),
        reply_to=Identity(scheme="email", value=reply_to[0].address) if reply_to else None,
    )


def _null_path(envelope: Envelope, head: Headers) -> bool:
    if "mail_from" in envelope.facts:
        return envelope.facts["mail_from"].strip() in {"", "<>"}
    return head.raw("return-path").replace(b" ", b"") == b"<>"


def _recipients(head: Headers, options: ParseOptions) -> list[str]:
    limit = options.limits.addresses
    found = [item.address for name in _RECIPIENTS for raw in head.all(name)[:5] for item in addresses(raw, limit)]
    return found[:limit]


def _fields(head: Headers, body: Body, report: Report) -> dict[str, str]:
    fields = {name: value for name in _FIELDS if (value := head.text(name, _FIELD_SIZE))}
    notes: dict[str, Any] = {
        "limits": ",".join(body.notes),
        "security": body.security,
        "report": report.reason,
        "decode_loss": "yes" if body.lossy else "",
        "attachments": str(len(body.media)) if body.media else "",
    }
    return fields | {name: value for name, value in notes.items() if value}


def _way_back(head: Headers, message_id: str, own: str) -> bytes:
    """What an answer needs (RFC 5322 §3.6.4): JSON with message_id, references (oldest first), subject, own."""
    references = message_ids(head.raw("references"), 20) or message_ids(head.raw("in-reply-to"))[:1]
    way = {"message_id": message_id, "references": references, "subject": head.text("subject", 500), "own": own}
    return json.encode(way)
