"""What a person does besides writing (`plugins.Act`): asks for a link, closes, reopens, says what they prefer.

Done in the pipeline like any message, each with its event. A link is mailed here and not where it is asked for, so that
neither the answer nor the time that it takes tells whether we know an address.
"""

from typing import Any

import msgspec

from context_store import tokens
from context_store.lookups import KnownIdentity, KnownQuery
from context_store.text import canonical, lane_of
from context_store.visits import CHOSEN, LINK
from hub.communicate.acknowledge import Acknowledger, Words
from hub.config import Config
from hub.draft import Draft, as_json, identity_hash
from hub.keys import Keys, query_named_by
from plugins import Act, Claim, Identity, Message, Outgoing

LINK_LIFE = 15 * 60_000
CHANNELS = ("", "email", "chat", "phone", "social")
"""What a person may prefer: the form has no way back."""

Result = tuple[str, str, KnownQuery | None]

_LETTERS = {
    "en": Words(
        subject="Sign in to {desk}",
        text="Hello,\n\nthis link signs you in, once, within 15 minutes:\n\n{link}\n\n"
        "If you did not ask for it, ignore this message: nobody else has the link.\n\n{desk}\n",
    ),
    "de": Words(
        subject="Anmelden bei {desk}",
        text="Guten Tag,\n\nmit diesem Link melden Sie sich an, einmal, in den nächsten 15 Minuten:\n\n{link}\n\n"
        "Wenn Sie ihn nicht angefordert haben, beachten Sie diese Nachricht nicht: Nur Sie haben den Link.\n\n{desk}\n",
    ),
}


def proved(item: Message, keys: Keys) -> Message:
    """A2 where the hub itself vouches for the sender; its word goes no further than here."""
    claim = item.sender
    if not claim.proof:
        return item
    sure: dict[str, Any] = {"assurance": 2} if _vouched(claim.identity, claim.proof, keys) else {}
    return msgspec.structs.replace(item, sender=msgspec.structs.replace(claim, proof="", **sure))


def carried(claim: Claim) -> Claim:
    """As it crosses the contract, where nobody says more than A1."""
    return msgspec.structs.replace(claim, assurance=min(claim.assurance, 1))


def _vouched(identity: Identity, proof: str, keys: Keys) -> bool:
    return keys.vouches(proof, identity.scheme, identity.value)


def act(draft: Draft, item: Act, instance: str, letters: Acknowledger, keys: Keys, config: Config) -> Result:
    """(outcome, reason, the root that was closed or reopened)."""
    known = draft.known.identities.get(identity_hash(item.who.identity))
    if known is None:
        return "skipped", "nobody of that name has written to us", None
    if item.what == "sign_in":
        return (*_link(draft, known, instance, letters, config), None)
    if not _vouched(item.who.identity, item.who.proof, keys):
        return "skipped", "nobody proved to be this person", None
    if item.what == "prefer":
        return (*_prefer(draft, known, item), None)
    return _set_state(draft, known, item, keys)


def _link(draft: Draft, known: KnownIdentity, instance: str, letters: Acknowledger, config: Config) -> tuple[str, str]:
    """No message of the history: an agent who reads it could sign in."""
    said_to = {"to": f"{known.scheme}:{known.value}"}
    outcome, why, where = "skipped", letters.shuns(known), letters.route(instance, known)
    if not why and where is None:
        why = "nothing that is configured reaches this address"
    elif not why:
        outcome, why = "capped", letters.links(known)
    if why or where is None:
        draft.event("user.link_not_sent", known.user_id, "hub", {**said_to, "why": why})
        return outcome, why
    secret, row = tokens.fresh(LINK, known.id, draft.now, LINK_LIFE)
    draft.batch.insert("tokens", **row)
    language = draft.known.users[known.user_id].language or config.language
    said = _LETTERS.get(language.partition("-")[0].lower(), _LETTERS["en"])
    link = f"{config.public_url}/portal/enter/{instance}/{secret}"
    number = draft.ids.next()
    work = Outgoing(
        key=f"link-{number}", to=where.to, subject=said.subject.format(desk=config.name),
        text=said.text.format(desk=config.name, link=link), author=config.name, automatic=True,
    )  # fmt: skip
    lane = lane_of("link", where.instance, str(known.id))
    draft.outbox("delivery", where.instance, lane, 0, work, horizon=LINK_LIFE / 1000)
    draft.event("user.link_sent", known.user_id, "hub", said_to)
    return "recorded", ""


def _prefer(draft: Draft, known: KnownIdentity, item: Act) -> tuple[str, str]:
    if item.channel not in CHANNELS:
        return "skipped", "there is no such channel"
    user = draft.known.users[known.user_id]
    fields: dict[str, Any] = msgspec.json.decode(user.fields)
    draft.batch.preferred.setdefault(user.id, (user.language, user.fields))
    was = {"channel": fields.pop(CHOSEN, ""), "language": user.language}
    if item.channel:
        fields[CHOSEN] = item.channel
    user.fields, user.language = as_json(fields), canonical(item.language, 35) or user.language
    draft.batch.preferences[user.id] = (user.language, user.fields)
    body = {"was": was, "is": {"channel": item.channel, "language": user.language}}
    draft.event("user.preferred", user.id, f"identity:{known.id}", body)
    return "recorded", ""


def _set_state(draft: Draft, known: KnownIdentity, item: Act, keys: Keys) -> Result:
    named = draft.known.queries.get(query_named_by(item.token) or 0)
    if named is None or not keys.proves(item.token, named.id, named.identity_id):
        return "skipped", "the query is not named", None
    root = draft.root(named)
    if {draft.known.by_id[one.identity_id].user_id for one in (named, root)} != {known.user_id}:
        return "skipped", "the query is somebody else's", None
    closes = item.what == "close"
    if closes == (root.state == "closed") or (not closes and root.state not in ("closed", "resolved")):
        return "skipped", f"the query is {root.state} already", None
    if closes:
        body = {"was": {"state": root.state}, "is": {"state": "closed"}}
        draft.event("query.set", root.id, f"identity:{known.id}", body)
    else:
        draft.event("query.reopened", root.id, f"identity:{known.id}", {"was": root.state})
    draft.touch_query(root, state="closed" if closes else "open")
    return "recorded", "", root
