"""Who is speaking: identities, and the few links that may be made without a person.

Nothing links by equal e-mail text alone. A link is automatic only where the channel authenticated both sides (A1) and
the claim comes from an issuer that the administrator trusts for that domain; anything weaker is a suggestion that an
agent sees (design §5, reliability.md §4.3).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from context_store.lookups import KnownIdentity
from hub.draft import Draft, as_json, identity_hash
from plugins import Claim, Message, canonical_address, canonical_domain

MOST_CLAIMS = 20
"""Further identities of one message that are looked at."""


class Directory:
    """Which organisation a mail domain belongs to, and who may vouch for its addresses."""

    def __init__(self, organisations: Mapping[str, tuple[int, Sequence[str], Sequence[str]]]) -> None:
        """`organisations`: slug → (id, domains, trusted issuers)."""
        self._of = {
            canonical_domain(domain): (number, slug)
            for slug, (number, domains, _) in organisations.items()
            for domain in domains
        }
        self._trusted = {
            (issuer, canonical_domain(domain))
            for _, domains, issuers in organisations.values()
            for issuer in issuers
            for domain in domains
        }

    def organisation(self, claim: Claim) -> tuple[int, str] | None:
        """(id, slug) by the domain of a mail address. It routes; it never reveals anything."""
        return self._of.get(_domain(claim)) if claim.identity.scheme == "email" else None

    def vouched(self, claim: Claim) -> bool:
        """Is the claim authenticated by an issuer that is trusted for its domain?"""
        return claim.assurance >= 1 and (claim.issuer, _domain(claim)) in self._trusted


def _domain(claim: Claim) -> str:
    return canonical_address(claim.identity).rpartition("@")[2]


def recognise(draft: Draft, message: Message, directory: Directory) -> KnownIdentity:
    """The sender's identity; further claims are linked, suggested, or left alone."""
    sender = draft.identity(message.sender, directory.organisation(message.sender))
    follow(draft, sender, message.sender.assurance, message.claims, directory)
    return sender


def follow(draft: Draft, sender: KnownIdentity, assurance: int, claims: Sequence[Claim], directory: Directory) -> None:
    """What else the channel calls somebody whom it knows by `assurance`."""
    for claim in claims[:MOST_CLAIMS]:
        known = draft.known.identities.get(identity_hash(claim.identity))
        if known is not None and known.user_id == sender.user_id:
            continue
        if assurance >= 1 and directory.vouched(claim):
            _link(draft, sender, draft.identity(claim, directory.organisation(claim)), claim)
        elif known is not None:
            _suggest(draft, sender, known, claim)


def _link(draft: Draft, sender: KnownIdentity, other: KnownIdentity, claim: Claim) -> None:
    """Join the sender's user to the other identity's: one row, which `unmerge` revokes."""
    if other.user_id == sender.user_id:
        return
    link, joined = draft.ids.next(), {sender.user_id, other.user_id}
    stays = min(joined)  # as the store works it out
    evidence: dict[str, Any] = {"via": "issuer", "issuer": claim.issuer, "says": claim.evidence}
    draft.batch.insert(
        "links", id=link, identity_id=sender.id, user_id=other.user_id, assurance=1, evidence=as_json(evidence),
        author="hub", created_at=draft.now,
    )  # fmt: skip
    draft.batch.relinked.add(sender.id)
    for identity in draft.known.by_id.values():
        if identity.user_id in joined:
            identity.user_id = stays
    draft.event(
        "user.linked", stays, "hub", {"identity": f"{sender.scheme}:{sender.value}", "link": str(link), **evidence}
    )


def _suggest(draft: Draft, sender: KnownIdentity, known: KnownIdentity, claim: Claim) -> None:
    body = {
        "identity": f"{sender.scheme}:{sender.value}",
        "other": f"{known.scheme}:{known.value}",
        "why": f"{sender.scheme} names this address, {claim.issuer or 'nobody'} vouches for it",
    }
    draft.event("user.suggested", known.user_id, "hub", body)
