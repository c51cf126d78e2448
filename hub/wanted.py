"""Everything that the judgement of a batch may ask of the store, so that it is looked up at once."""

from collections.abc import Sequence

from context_store.crashpoints import protected
from context_store.ids import EPOCH_MS
from context_store.lookups import REPORTS, Wanted
from context_store.text import hash_key
from hub.config import Threading
from hub.draft import identity_hash, link_hashes, mailbox_hash, message_hash, thread_hash
from hub.keys import Keys, query_named_by
from hub.matter import MOST_NAMED, joins_open
from hub.recognise import MOST_CLAIMS
from hub.triage import Judging
from hub.workers import Parsed
from plugins import Act, Edited, Fact, Item, Message, Receipt, Skipped, Ticket, Touched

LATELY_MS = 3_600_000
DAY_MS = 86_400_000


def item_hash(instance: str, item: Item, parsed: Parsed) -> bytes | None:
    """What makes an item the same again. Where a delivery key came with another body, the body counts too."""
    if isinstance(item, Skipped) or not protected("items"):
        return None
    revision = str(item.revision) if isinstance(item, Ticket) else ""
    digest = item.digest if isinstance(item, Message) else ""
    body = parsed.envelope.body_hash if parsed.envelope.collision else b""
    return hash_key("item", instance, type(item).__name__, item.key, revision, digest, body)


def lately(now: int) -> int:
    """The smallest id of the last hour: ids carry time."""
    return max(0, now - LATELY_MS - EPOCH_MS) << 22


def wanted(parsed: Sequence[Parsed], keys: Keys, threading: Threading, now: int, judging: Judging) -> Wanted:
    """Everything that the judgement of these items may ask for."""
    want = Wanted(automatic_since=lately(now), asked=judging.asked)
    want.reports_since = max(0, now - DAY_MS - EPOCH_MS) << 22
    window = now - threading.window_days * 86_400_000
    for one in parsed:
        instance = one.envelope.instance
        want.envelopes.add(one.envelope.id)
        for item in one.items:
            want.items.update(filter(None, (item_hash(instance, item, one),)))
            want.receipts |= isinstance(item, Receipt)
            if isinstance(item, Message):
                _want_message(want, item, instance, keys)
                if threading.window_days and joins_open(item):
                    want.since[instance] = window
            elif isinstance(item, Act):
                _want_act(want, item)
            elif isinstance(item, Edited | Receipt):
                _want_original(want, item, instance, keys)
            elif isinstance(item, Fact):
                _want_fact(want, item)
            elif isinstance(item, Ticket | Touched):
                want.tickets.update(((instance, item.ticket), (instance, item.ext_id)))
    return want


def _want_fact(want: Wanted, item: Fact) -> None:
    want.identities.add(identity_hash(item.who))
    want.identities.update(identity_hash(claim.identity) for claim in item.claims[:MOST_CLAIMS])


def _want_act(want: Wanted, item: Act) -> None:
    key = identity_hash(item.who.identity)
    want.identities.add(key)
    if item.what == "sign_in":
        want.mailboxes.update(link_hashes(item.who.identity))
    if number := query_named_by(item.token):
        want.queries.add(number)


def _want_message(want: Wanted, item: Message, instance: str, keys: Keys) -> None:
    want.identities.add(identity_hash(item.sender.identity))
    want.identities.update(identity_hash(claim.identity) for claim in item.claims[:MOST_CLAIMS])
    if item.sender.assurance < 1:
        want.mailboxes.add(mailbox_hash(item.sender.identity))
    if item.automatic in REPORTS:
        want.reporters.add(identity_hash(item.sender.identity))
    want.keys.add(message_hash(instance, item.key))
    want.underway |= item.more or item.kind == "call"
    if item.thread:
        want.threads.add(thread_hash(instance, item.thread))
    for key in item.replies_to[:MOST_NAMED]:
        _want_key(want, key, instance, keys)
    for token in item.tokens[:MOST_NAMED]:
        want.tokens.add(hash_key("continue", token))
        if number := query_named_by(token):
            want.queries.add(number)


def _want_original(want: Wanted, item: Edited | Receipt, instance: str, keys: Keys) -> None:
    if isinstance(item, Edited) and item.by is not None:
        want.identities.add(identity_hash(item.by))
    if isinstance(item, Edited) or item.of:
        _want_key(want, item.of, instance, keys)
    else:
        want.marks.add(thread_hash(instance, item.thread))


def _want_key(want: Wanted, key: str, instance: str, keys: Keys) -> None:
    own = keys.message_of(key)
    if own is None:
        want.keys.add(message_hash(instance, key))
    else:
        want.own_messages.add(own)
