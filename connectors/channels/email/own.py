"""What in a mail is ours: the address it was sent to, the continuation tokens in it, the messages it answers."""

from collections.abc import Iterator

from connectors.channels.email.headers import Headers, addresses, message_ids
from connectors.channels.email.options import ParseOptions
from plugins import Envelope, canonical_domain, canonical_email

_TO = ("delivered-to", "x-original-to", "envelope-to", "x-envelope-to", "to", "cc", "resent-to")
_TOKENS = 16
_REFERENCES = 50


def destinations(envelope: Envelope, head: Headers, options: ParseOptions) -> tuple[str, tuple[str, ...]]:
    """Return (which of our addresses the mail came to, the plus suffixes of our addresses in it).

    Read from the SMTP recipients (`facts["rcpt"]`, separated by commas) and the fields that name recipients: a
    suffix is proof of nothing until the hub has checked it.
    """
    own, tokens = "", dict[str, None]()
    ours = {canonical_email(address): address for address in options.addresses}
    for address in _named(envelope, head, options.limits.addresses):
        local, _, domain = address.rpartition("@")
        base, plus, token = local.partition("+")
        whole = canonical_email(address)
        known = ours.get(whole) or ours.get(canonical_email(f"{base}@{domain}"))
        if known is None:
            continue
        own = own or known
        if plus and token and whole not in ours and len(tokens) < _TOKENS:
            tokens[token[:200]] = None
    return own or next(iter(options.addresses), ""), tuple(tokens)


def _named(envelope: Envelope, head: Headers, limit: int) -> Iterator[str]:
    for raw in (
        envelope.facts.get("rcpt", "").encode("utf-8", "replace"),
        *(v for name in _TO for v in head.all(name)[:20]),
    ):
        for _, address in addresses(raw, limit):
            yield address


def our_key(message_id: str, options: ParseOptions) -> str:
    """The key in a Message-ID that we made (`key@our.domain`), "" for another's."""
    key, _, domain = message_id.rpartition("@")
    return key if canonical_domain(domain) in {canonical_domain(name) for name in options.domains} else ""


def answered(head: Headers, options: ParseOptions) -> tuple[str, ...]:
    """What the mail replies to: In-Reply-To, then References newest first; ids of ours as their keys alone."""
    ids = message_ids(head.raw("in-reply-to"))
    ids += reversed(message_ids(head.raw("references"), _REFERENCES))
    return tuple(dict.fromkeys(our_key(identity, options) or identity for identity in ids))[:_REFERENCES]
