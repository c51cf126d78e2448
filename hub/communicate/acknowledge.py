"""Acknowledgements: one per query where the sender is proved, one per mailbox and day where not, never to machines.

Whoever asks for a link to sign in only claims the address too: such links count by mailbox, and all of this together by
the hour. One count for both, because it is one harm: letters that nobody asked for, in the desk's name.

To an address that is only claimed (A0) goes a fixed subject, our reference and none of the sender's words: whoever
fills a form with somebody else's address can't make the desk say anything (S10).
"""

from collections.abc import Mapping
from functools import cached_property

import re2
from msgspec import Struct

from context_store.alarms import UNPROVED
from context_store.lookups import KnownIdentity, KnownQuery
from hub.communicate.compose import Answer, Answered, compose
from hub.communicate.route import Route, route
from hub.config import Config
from hub.draft import MOST_LINKS, Draft, link_hashes, mailbox_hash
from hub.instances import Instance
from hub.keys import Keys
from plugins import Identity, Message

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
MOST_AN_HOUR = 20
"""Acknowledgements to one proved address; more of them mean that a machine answers which does not say so."""

_MACHINE = re2.compile(
    r"(?i)^(?:mailer-?_?daemon|mail-?daemon|postmaster|no-?_?reply|do-?_?not-?_?reply|bounces?|nobody)(?:[-+._].*)?@"
)
"""Mailboxes that no customer writes from (RFC 2142, RFC 3834 §2); a form can name them, and a mail says so itself."""


class Words(Struct, frozen=True):
    """A text to send."""

    subject: str
    text: str


_words = {
    "en": Words(
        subject="We have received your message",
        text="Hello,\n\nwe have received your message and will take care of it. Your reference is {reference}.\n\n"
        "Please reply to this message if you want to add something.\n\n{desk}\n",
    ),
    "de": Words(
        subject="Wir haben Ihre Nachricht erhalten",
        text="Guten Tag,\n\nwir haben Ihre Nachricht erhalten und kümmern uns darum. Ihr Zeichen ist {reference}.\n\n"
        "Wenn Sie etwas ergänzen möchten, antworten Sie bitte auf diese Nachricht.\n\n{desk}\n",
    ),
}


class Acknowledger:
    """Says to whom, within what bounds, of one draft; sends and counts."""

    def __init__(self, draft: Draft, instances: Mapping[str, Instance], keys: Keys, config: Config) -> None:
        self._draft = draft
        self._instances = instances
        self._keys = keys
        self._config = config

    @cached_property
    def _own(self) -> frozenset[bytes]:
        return frozenset(mailbox_hash(own) for instance in self._instances.values() for own in instance.own)

    def is_desk(self, identity: Identity) -> bool:
        """Whether it is an address of ours, whatever its suffix."""
        return mailbox_hash(identity) in self._own

    def refuses(self, message: Message, sender: KnownIdentity, standing: str) -> str:
        """Nothing if an acknowledgement may go out, else the reason why not (R16)."""
        if message.direction != "in" or message.automatic:
            return "automatic mail is never answered"
        if message.settled:
            return "the desk has answered it already"
        if standing == "third_party":
            return "an unverified third party is answered with nothing"
        return self.spares(sender, message.sender.assurance)

    def spares(self, sender: KnownIdentity, assurance: int) -> str:
        """Nothing if this address may get one (more), else the reason why not."""
        if why := self.shuns(sender):
            return why
        if sender.acknowledged_lately >= MOST_AN_HOUR:
            return f"this address had {MOST_AN_HOUR} within an hour: it may be a loop"
        if assurance >= 1:
            return ""
        if self._had_within(DAY_MS, mailbox_hash(identity_of(sender))):
            return "this unproved address had one within 24 hours"
        return self._used_up()

    def shuns(self, sender: KnownIdentity) -> str:
        """Why nothing that is automatic ever goes to this address, "" if something may."""
        if sender.barred:
            return f"the user has {sender.barred}"
        if sender.scheme == "email" and _MACHINE.search(sender.value):
            return "this is the address of a machine"
        if self.is_desk(identity_of(sender)):
            return "this is an address of the desk itself"
        return ""

    def links(self, sender: KnownIdentity) -> str:
        """Count a link to sign in that goes out now; or why it is one too many."""
        free = [key for key in link_hashes(identity_of(sender)) if not self._had_within(HOUR_MS, key)]
        if not free:
            return f"this mailbox had {MOST_LINKS} links within an hour"
        if why := self._used_up():
            return why
        self._draft.wrote(free[0])
        return ""

    def _had_within(self, period: int, key: bytes) -> bool:
        had = self._draft.known.acknowledged.get(key)
        return had is not None and self._draft.now - had < period

    def _used_up(self) -> str:
        most = self._config.delivery.unproved_an_hour
        if self._draft.known.acknowledged_lately < most:
            return ""
        why = f"{most} letters to unproved addresses within the hour (delivery.unproved_an_hour)"
        self._draft.batch.raised[UNPROVED] = f"no acknowledgement or sign-in link beyond {why}; queries are recorded"
        return why

    def route(self, instance: str, sender: KnownIdentity) -> Route | None:
        """The way to the sender of a message that came through `instance`."""
        return route(self._instances, instance, identity_of(sender))

    def send(
        self, query: KnownQuery, sender: KnownIdentity, assurance: int, where: Route, answered: Answered, said: Words
    ) -> None:  # fmt: skip
        """Compose it, and count it."""
        config = self._config
        answer = Answer(subject=said.subject, text=said.text, author="hub", shown_author=config.name, automatic=True)
        channel = self._instances[where.instance].channel
        compose(self._draft, self._keys, query, channel, where, answered, answer, config.delivery.horizon)
        self._draft.acknowledged(sender, where.to, assurance)


def identity_of(sender: KnownIdentity) -> Identity:
    """As the contract has it."""
    return Identity(scheme=sender.scheme, value=sender.value)


def words(language: str, reference: str, desk: str, subject: str, *, proved: bool) -> Words:
    """In the user's language where we have it. `subject` is used only for a proved sender."""
    said = _words.get(language.partition("-")[0].lower(), _words["en"])
    shown = f"Re: {subject} [{reference}]" if proved and subject else f"{said.subject} [{reference}]"
    return Words(shown, said.text.format(reference=reference, desk=desk))
