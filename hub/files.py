"""Files that an agent sends with a reply: checked, on disk before their rows, and counted like those that come in."""

import re
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import NamedTuple

from context_store.blobs import BlobStore
from context_store.text import canonical
from hub.draft import Draft
from hub.instances import Instance
from plugins import Media, MediaRef, one_line

MOST_FILES = 10
TOGETHER = 25 << 20
"""Bytes of all files of one reply."""
LONGEST_NAME = 200
_TYPE = re.compile(r"[\w.+-]{1,100}/[\w.+-]{1,100}", re.ASCII)


class Kept(NamedTuple):
    """A file whose bytes are where a delivery finds them once their row stands."""

    ref: MediaRef
    data: bytes


def most_of(instance: Instance | None) -> int:
    """Bytes of the largest file that can go out through it; 0: none can.

    None goes where an answer that nobody fetches is brought by another way (`fallback_after`), which takes text alone.
    """
    if instance is None or not instance.has("sender"):
        return 0
    able = instance.connector.capabilities
    if not able.media or able.fallback_after:
        return 0
    return min(able.max_media or TOGETHER, TOGETHER)


def checked(files: Iterable[Media], instance: Instance) -> tuple[Media, ...]:
    """With plain names and types. Raises ValueError in words for the agent if not every one can be sent."""
    found = tuple(_plain(file) for file in files)
    if not found:
        return ()
    most = most_of(instance)
    if not most:
        raise ValueError(f"nothing was sent: no files can be sent through {instance.id}. Send the text alone")
    if len(found) > MOST_FILES:
        raise ValueError(f"nothing was sent: {len(found)} files are too many, at most {MOST_FILES} go with a reply")
    for file in found:
        if not file.data:
            raise ValueError(f"nothing was sent: {file.name} is empty")
        if len(file.data) > most:
            raise ValueError(f"nothing was sent: {file.name} is too large, {instance.id} takes {_mebi(most)} at most")
    if sum(len(file.data or b"") for file in found) > TOGETHER:
        raise ValueError(f"nothing was sent: the files are too large, at most {_mebi(TOGETHER)} go with a reply")
    return found


def stowed(blobs: BlobStore, files: Sequence[Media]) -> list[Kept]:
    """Large ones are in the folder then (R4); for a thread, before the transaction."""
    kept = []
    for file in files:
        data = file.data or b""
        blobs.stow(data)
        digest = sha256(data).hexdigest()
        kept.append(Kept(MediaRef(sha256=digest, name=file.name, type=file.type, size=len(data)), data))
    return kept


def attach(draft: Draft, message: int, files: Sequence[Kept]) -> None:
    """Rows and counted references, in the transaction of the message."""
    for n, (ref, data) in enumerate(files):
        sha = bytes.fromhex(ref.sha256)
        draft.batch.keep(sha, data)
        draft.batch.insert(
            "attachments", message_id=message, n=n, sha256=sha, name=ref.name, type=ref.type, size=ref.size
        )


def _plain(file: Media) -> Media:
    """No folders in its name, nothing in its type that a header could not hold."""
    name = canonical(one_line(file.name.replace("\\", "/").rpartition("/")[2], LONGEST_NAME)) or "file"
    return Media(
        name=name, type=file.type if _TYPE.fullmatch(file.type) else "application/octet-stream", data=file.data
    )


def _mebi(n: int) -> str:
    return f"{n / (1 << 20):.1f} MiB".replace(".0 ", " ")
