"""Who sent a mail, and whether our border vouches for it (design §5: A1 only by a trusted DMARC pass)."""

import authres

from connectors.channels.email.headers import Address, Headers, addresses, canonical, clean
from connectors.channels.email.options import ParseOptions
from plugins import Claim, Envelope, Identity, canonical_domain

_EXACT = frozenset({"from", "authentication-results"})
NO_SENDER = "unknown@sender.invalid"
"""For a mail that names nobody: nobody can be answered there (RFC 2606)."""


def sender(envelope: Envelope, head: Headers, options: ParseOptions) -> Claim:
    """The From address; A1 if it is the only one, in the only From, and our border's DMARC result for it is a pass."""
    named = [address for raw in head.all("from")[:5] for address in addresses(raw, 20)]
    if not named:
        return Claim(identity=Identity(scheme="email", value=_other(envelope, head) or NO_SENDER))
    first = named[0]
    issuer = ""
    if len(named) == 1 and len(head.all("from")) == 1 and not head.cut and not head.loose & _EXACT:
        issuer = _vouched(first, head, options)
    return Claim(
        identity=Identity(scheme="email", value=first.address),
        assurance=1 if issuer else 0,
        issuer=issuer,
        evidence=f"dmarc=pass header.from={first.address.rpartition('@')[2]}" if issuer else "",
        name=first.name,
    )


def _other(envelope: Envelope, head: Headers) -> str:
    for raw in (head.raw("sender"), head.raw("return-path"), head.raw("reply-to")):
        if found := addresses(raw, 1):
            return found[0].address
    return canonical(envelope.facts.get("mail_from", "").strip("<> "))


def _vouched(author: Address, head: Headers, options: ParseOptions) -> str:
    """The authserv-id whose DMARC result covers the author, "" if none does.

    Counted are only the Authentication-Results that our border put on top, one behind the other and not below more
    `Received` than our own: whatever else the mail carries was written by others (RFC 8601 §5). All DMARC results in
    that run must be passes for the From domain.
    """
    trusted = {name.lower() for name in options.authserv_ids}
    issuer, passes = "", 0
    for raw in _top_run(head, options.hops) if trusted else ():
        try:
            parsed = authres.AuthenticationResultsHeader.parse("Authentication-Results: " + raw)
        except (authres.AuthResError, ValueError, LookupError, RecursionError):
            return ""
        if parsed.authserv_id is None or parsed.authserv_id.lower() not in trusted:
            break
        for result in parsed.results:
            if (result.method or "").lower() == "dmarc":
                if not _covers(result, author):
                    return ""
                issuer, passes = parsed.authserv_id.lower(), passes + 1
    return issuer if passes else ""


def _top_run(head: Headers, hops: int) -> list[str]:
    run: list[str] = []
    received = 0
    for name, value in head.fields:
        if name == "authentication-results":
            run.append(clean(value[:4000].decode("ascii", "replace")))
            continue
        received += name == "received"
        if run or received > hops:
            break
    return run[:10]


def _covers(result: authres.AuthenticationResult, author: Address) -> bool:
    domains = [item.value or "" for item in result.properties if (item.type, item.name) == ("header", "from")]
    named = {canonical_domain(domain.rpartition("@")[2]) for domain in domains}
    return (result.result or "").lower() == "pass" and named == {canonical_domain(author.address.rpartition("@")[2])}
