"""Acknowledgements: one per query where the sender is proved, one per address and day where not, never to machines.

To an address that is only claimed (A0) goes a fixed subject, our reference and none of the sender's words: whoever
fills a form with somebody else's address can't make the desk say anything (S10).
"""

import re2
from msgspec import Struct

from context_store.lookups import KnownIdentity
from plugins import Message

DAY_MS = 86_400_000
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


def may_acknowledge(message: Message, sender: KnownIdentity, standing: str, now: int) -> str:
    """Nothing if an acknowledgement may go out, else the reason why not (R16)."""
    if message.direction != "in" or message.automatic:
        return "automatic mail is never answered"
    if message.settled:
        return "the desk has answered it already"
    if standing == "third_party":
        return "an unverified third party is answered with nothing"
    return may_answer(sender, message.sender.assurance, now)


def may_answer(sender: KnownIdentity, assurance: int, now: int) -> str:
    """Nothing if this address may get one (more), else the reason why not."""
    if sender.barred:
        return f"the user has {sender.barred}"
    if sender.scheme == "email" and _MACHINE.search(sender.value):
        return "this is the address of a machine"
    if assurance < 1 and sender.last_ack_at is not None and now - sender.last_ack_at < DAY_MS:
        return "this unverified address had one within 24 hours"
    if sender.acknowledged_lately >= MOST_AN_HOUR:
        return f"this address had {MOST_AN_HOUR} within an hour: it may be a loop"
    return ""


def words(language: str, reference: str, desk: str, subject: str, *, proved: bool) -> Words:
    """In the user's language where we have it. `subject` is used only for a proved sender."""
    said = _words.get(language.partition("-")[0].lower(), _words["en"])
    shown = f"Re: {subject} [{reference}]" if proved and subject else f"{said.subject} [{reference}]"
    return Words(shown, said.text.format(reference=reference, desk=desk))
