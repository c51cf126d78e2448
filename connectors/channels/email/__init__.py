"""Mail: read from a mailbox, taken from a mail server, and sent. One instance is one mailbox."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import ClassVar

from connectors.channels.email.check import findings
from connectors.channels.email.compose import render
from connectors.channels.email.imap import read_mailbox
from connectors.channels.email.options import ParseOptions
from connectors.channels.email.parse import parse_mail
from connectors.channels.email.send import send
from connectors.channels.email.settings import EmailSettings
from connectors.channels.email.smtp_in import listening
from plugins import (
    Attempt,
    Capabilities,
    Channel,
    Connector,
    Done,
    Egress,
    Envelope,
    Finding,
    HubPort,
    Identity,
    Item,
    Outgoing,
    Skipped,
    Step,
    hookimpl,
)


class Email:
    """Mail in from a mailbox (IMAP) or from a mail server (SMTP, LMTP), answers out by SMTP."""

    contract: ClassVar[int] = 1
    kind: ClassVar[str] = "email"
    settings_type: ClassVar[type[EmailSettings]] = EmailSettings
    isolate: ClassVar[bool] = True
    once: ClassVar[bool] = True
    """A mailbox is read by one node; the listener goes with it, and mail servers wait for it to come back."""
    channel: ClassVar[Channel] = "email"

    def __init__(self, instance: str, settings: EmailSettings) -> None:
        self.instance = instance
        self.settings = settings
        self._options = ParseOptions(
            addresses=(settings.address, *settings.aliases),
            domains=(settings.id_domain,),
            authserv_ids=settings.authserv_ids,
            hops=settings.hops,
            fallback_charset=settings.fallback_charset,
        )

    @property
    def capabilities(self) -> Capabilities:
        """HTML beside the text, attachments as large as the mails that we take, receipts by DSN and MDN."""
        return Capabilities(
            sends_to=frozenset({"email"}),
            own=frozenset(Identity(scheme="email", value=address) for address in self._options.addresses),
            formats=("text", "html"),
            media=True,
            max_media=self.settings.max_bytes * 3 // 4,  # base64
            max_body=self.settings.max_bytes,
            verbs=frozenset({"receipts"}),
        )

    async def run(self, hub: HubPort) -> None:
        """Read and listen, as configured; what ends one side ends the other."""
        try:
            async with asyncio.TaskGroup() as sides:
                if self.settings.imap:
                    sides.create_task(read_mailbox(hub, self.settings))
                if self.settings.listen:
                    sides.create_task(self._listen(hub))
        except ExceptionGroup as group:
            raise group.exceptions[0] from None

    async def _listen(self, hub: HubPort) -> None:
        async with listening(hub, self.settings) as gate:
            await gate.lost

    def parse(self, envelope: Envelope) -> Iterable[Item]:
        """Items of one mail. Of a mail that could not be fetched whole, where it lies and why."""
        cut, place = envelope.facts.get("cut"), envelope.facts.get("place", "")
        if cut:
            size = envelope.facts.get("size", "?")
            why = f": {refused}" if (refused := envelope.facts.get("refused")) else ""
            reason = f"mail {cut}: {size} bytes, still on the server, came to {place}{why}"
            return [Skipped(reason=reason[:1024], park=True)]
        return parse_mail(envelope, self._options)

    def plan(self, work: Outgoing) -> Sequence[Step]:
        """One mail, one step, of class C: SMTP can't be asked what it took."""
        return [Step(kind="mail", body=render(work, self.settings))]

    async def perform(self, step: Step, attempt: Attempt) -> Done:
        """Send it; without a server it is caught."""
        return await send(step, attempt, self.settings)

    async def find(self, step: Step, attempt: Attempt) -> Sequence[Done]:
        """Nothing can be asked."""
        return ()

    async def check(self, egress: Egress) -> Sequence[Finding]:
        """Connect and log in wherever the settings say so."""
        return await findings(egress, self.settings)


@hookimpl
def register_connectors() -> Sequence[type[Connector]]:
    """`email`."""
    return [Email]
