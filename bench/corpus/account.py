"""Whether each mail that was delivered is kept exactly once.

A *letter* is one content: mails with the same bytes, or with the same bytes but for the headers that a path of
delivery adds (a copy that took another way). What the connector's key calls the same is believed only where the
standard library finds the same body and the same headers of the sender too.
"""

import email
from collections import Counter
from collections.abc import Iterable, Sequence
from hashlib import sha256

from msgspec import Struct

from connectors.channels.email.keys import delivery_key
from plugins import Message


class Delivered(Struct, frozen=True):
    """A mail as Dovecot gives it out: line ends are CR LF there, whatever the file had."""

    name: str
    uid: int
    raw: bytes

    @property
    def sha(self) -> bytes:
        return sha256(self.raw).digest()


class Kept(Struct, frozen=True, kw_only=True):
    """An envelope of the store, and what became of it."""

    id: int
    uid: int
    sha: bytes
    state: str
    cause: str
    outcomes: Sequence[tuple[str, str]]
    """(outcome, reason) of each item."""
    messages: Sequence[Message]


class Account(Struct, frozen=True, kw_only=True):
    """Names of mails, by what became of them."""

    letters: int
    lost: list[str]
    doubled: list[str]
    identical: list[list[str]]
    """Mails with the same bytes, which are one letter."""
    other_ways: list[list[str]]
    """Mails with the same bytes but for headers of the path."""
    shared_ids: tuple[int, int]
    """How many delivery keys (Message-IDs) stand for several letters, and for how many."""
    by_name: dict[str, Kept]


def account(delivered: Iterable[Delivered], kept: Iterable[Kept]) -> Account:
    """Compare what was delivered with what the store holds.

    Lost: a letter without an envelope, or one that is done without a message and without a reason for it. Doubled: two
    envelopes for one letter, or two messages of one envelope.
    """
    by_sha: dict[bytes, list[Kept]] = {}
    for one in kept:
        by_sha.setdefault(one.sha, []).append(one)
    letters = _letters(delivered)
    lost, doubled, by_name = list[str](), list[str](), dict[str, Kept]()
    for letter in letters:
        found = [one for sha in dict.fromkeys(mail.sha for mail in letter) for one in by_sha.get(sha, ())]
        if not found or _unexplained(found[0]):
            lost.append(letter[0].name)
        if len(found) > 1 or any(len(one.messages) > 1 for one in found):
            doubled.append(letter[0].name)
        by_name |= {mail.name: found[0] for mail in letter if found}
    groups = [letter for letter in letters if len(letter) > 1]
    shared = [n for n in Counter(delivery_key(letter[0].raw)[0] for letter in letters).values() if n > 1]
    return Account(
        letters=len(letters),
        lost=lost,
        doubled=doubled,
        identical=[_names(letter) for letter in groups if len({mail.sha for mail in letter}) == 1],
        other_ways=[_names(letter) for letter in groups if len({mail.sha for mail in letter}) > 1],
        shared_ids=(len(shared), sum(shared)),
        by_name=by_name,
    )


def _names(letter: Iterable[Delivered]) -> list[str]:
    return [mail.name for mail in letter]


def _unexplained(one: Kept) -> bool:
    """Done, no message, and not because the parser said why there is none."""
    told = one.outcomes and all(outcome == "skipped" for outcome, _ in one.outcomes)
    return one.state == "pending" or (one.state == "done" and not one.messages and not told)


def _letters(delivered: Iterable[Delivered]) -> list[list[Delivered]]:
    groups: dict[tuple[str, bytes], list[list[Delivered]]] = {}
    for mail in delivered:
        alike = groups.setdefault(delivery_key(mail.raw), [])
        letter = next((letter for letter in alike if _same(letter[0], mail)), None)
        if letter is None:
            alike.append([mail])
        else:
            letter.append(mail)
    return [letter for alike in groups.values() for letter in alike]


def _same(first: Delivered, second: Delivered) -> bool:
    if first.raw == second.raw:
        return True
    one, other = email.message_from_bytes(first.raw), email.message_from_bytes(second.raw)
    fields = ("from", "to", "cc", "subject", "date", "message-id", "content-type", "content-transfer-encoding")
    said = [[str(value) for field in fields for value in mail.get_all(field, [])] for mail in (one, other)]
    return said[0] == said[1] and _body(first.raw) == _body(second.raw)


def _body(raw: bytes) -> bytes:
    return raw.partition(b"\r\n\r\n")[2]
