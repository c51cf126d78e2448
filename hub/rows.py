"""An envelope as the journal keeps it: ids hashed, text canonical, so that both stores accept the same."""

from hashlib import sha256

import msgspec

from context_store.crashpoints import protected
from context_store.journal import NewEnvelope
from context_store.text import canonical, hash_key, lane_of
from context_store.times import to_millis
from hub.workers import Kept
from plugins import Envelope


def row_of(instance: str, envelope: Envelope, number: int, *, isolated: bool) -> NewEnvelope:
    """`number`: its id. `isolated`: it is parsed in a worker process."""
    facts = {canonical(name): canonical(value) for name, value in envelope.facts.items()}
    return NewEnvelope(
        id=number,
        instance=instance,
        key_hash=hash_key(instance, envelope.key),
        body_hash=sha256(
            (envelope.fingerprint or envelope.raw) if protected("dedupe") else str(number).encode()
        ).digest(),
        lane=lane_of("in", instance, envelope.lane),
        facts=msgspec.json.encode(Kept(key=_bounded(envelope.key), facts=facts)).decode(),
        raw=envelope.raw,
        raw_sha=None,
        size=len(envelope.raw),
        received_at=to_millis(envelope.at),
        isolated=isolated,
    )


def _bounded(key: str) -> str:
    """A delivery key of any length and any characters; parse only needs it to be stable and its own."""
    return key if len(key) <= 1024 and canonical(key) == key else hash_key(key).hex()
