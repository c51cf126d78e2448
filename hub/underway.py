"""What becomes of a query while its sender is on the way to what it is about (`Message.more`: a caller in a menu).

The query is there from the first moment, so that agents see the call, but goes nowhere: the hub holds it. Each further
message of it is judged with all that was said before, and the first one without `more` lets it go. A token on the way
(a PIN) carries everything that was said into the query that it names. Where the end never comes the hold stays, for an
agent to let go: nothing is lost.
"""

import msgspec

from context_store.lookups import KnownQuery
from context_store.underway import HUB, Underway
from hub.draft import Draft, thread_hash
from plugins import Message

WHY = "more is coming: the sender is still on the way"


def gathered(draft: Draft, item: Message, query: KnownQuery, *, fresh: bool) -> Message | None:
    """The message with all that was said before it, to be judged; None if its query is not on the way."""
    if fresh:
        if item.more:
            draft.known.underway[query.id] = Underway([item.text], dict(item.fields))
        return item
    said = draft.known.underway.get(query.id)
    if said is None:
        return None
    said.texts.append(item.text)
    said.fields |= item.fields
    draft.touch_query(query, came_in=True)
    _end(draft, query)
    if not item.more:
        del draft.known.underway[query.id]
        draft.event("query.let_go", query.id, HUB, {"was": "hold"})
    return msgspec.structs.replace(item, text="\n".join(filter(None, said.texts)), fields=said.fields)


def carried(draft: Draft, message: Message, instance: str, named: KnownQuery, evidence: dict[str, str]) -> bool:
    """Has what the sender said on the way been joined to the query that the token names?"""
    thread = draft.known.threads.get(thread_hash(instance, message.thread)) if message.thread else None
    query = draft.known.queries[thread.query_id] if thread else None
    root = draft.root(named)
    if query is None or query.id not in draft.known.underway or query.id == root.id:
        return False
    del draft.known.underway[query.id]
    _end(draft, query)
    query.root_id = root.id
    draft.batch.rooted[query.id] = root.id
    draft.known.conversations[root.id, query.identity_id] = query.id
    draft.join(query, named, "token", evidence)
    return True


def _end(draft: Draft, query: KnownQuery) -> None:
    draft.batch.held[query.id] = ("hold", WHY, HUB, draft.now, draft.now, HUB)
