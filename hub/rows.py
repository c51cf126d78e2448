"""An envelope as the journal keeps it: ids hashed, text canonical, so that both stores accept the same."""

from functools import lru_cache
from hashlib import sha256

import msgspec

from context_store.crashpoints import protected
from context_store.journal import NewEnvelope
from context_store.text import canonical, framed, hash_after, hash_key, lane_in
from context_store.times import to_millis
from hub.workers import Kept
from plugins import Envelope


def row_of(instance: str, envelope: Envelope, number: int, *, isolated: bool) -> NewEnvelope:
    """`number`: its id. `isolated`: it is parsed in a worker process."""
    key, lane = _begins(instance)
    body = (envelope.fingerprint or envelope.raw) if protected("dedupe") else str(number).encode()
    return NewEnvelope(  # by position: names cost as much as a hash, and this is done for each webhook
        number,
        instance,
        hash_after(key, envelope.key),
        sha256(body).digest(),
        lane_in(hash_after(lane, envelope.lane)),
        _facts(envelope),
        envelope.raw,
        None,
        len(envelope.raw),
        to_millis(envelope.at),
        isolated,
    )


@lru_cache(maxsize=1024)
def _begins(instance: str) -> tuple[bytes, bytes]:
    """Of the keys and of the lanes of its envelopes."""
    return framed(instance), framed("in", instance)


def _facts(envelope: Envelope) -> str:
    key, facts = envelope.key, dict(envelope.facts)
    said = "".join((key, *facts, *facts.values()))
    if not said.isascii() or "\x00" in said:
        facts = {canonical(name): canonical(value) for name, value in facts.items()}
    return msgspec.json.encode(Kept(key=_bounded(key), facts=facts)).decode()


def _bounded(key: str) -> str:
    """A delivery key of any length and any characters; parse only needs it to be stable and its own."""
    return key if len(key) <= 1024 and canonical(key) == key else hash_key(key).hex()
