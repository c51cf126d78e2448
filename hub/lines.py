"""New lines of a thread, for those who follow it live: a chat's open windows, on whatever node they are."""

from collections.abc import Iterator

from hub.draft import Draft


def thread_topic(key_hash: bytes) -> str:
    """What the followers of a thread listen to; also for signals (typing), which are never stored."""
    return f"thread:{key_hash.hex()}"


def topics_of(draft: Draft) -> Iterator[str]:
    """The topics of all threads in which the draft writes a line: to be told once it is committed."""
    written = draft.batch.threads
    return (thread_topic(key) for key, thread in draft.known.threads.items() if thread.id in written)
