"""`trunkline check` for a mailbox: every configured side is tried, and what fails is said with its fix.

Whether the listener's port is free is the hub's to say, which knows whether it holds that port itself.
"""

import imaplib

from connectors.channels.email.imap import session
from connectors.channels.email.send import connection
from connectors.channels.email.settings import EmailSettings, Listen
from connectors.channels.email.smtp_in import server_context
from plugins import BadConfig, Egress, Finding, Pause, TrunklineError


async def findings(egress: Egress, settings: EmailSettings) -> list[Finding]:
    """One finding for each side and folder."""
    found: list[Finding] = []
    if settings.imap:
        found += await _imap(egress, settings)
    if settings.listen:
        found += [_listener(settings.listen)]
    found += [await _smtp(egress, settings)]
    if not (settings.imap or settings.listen):
        found.append(Finding(ok=True, what="no mail comes in here", fix="set imap or listen if it should"))
    return found


async def _imap(egress: Egress, settings: EmailSettings) -> list[Finding]:
    imap = settings.imap
    assert imap
    found = []
    try:
        async with session(egress, settings) as (mailbox, worker):
            found.append(Finding(ok=True, what=f"logged in at {imap.host} as {imap.user}"))
            for folder in imap.folders:
                try:
                    opened = await worker.call(imap.timeouts.select, mailbox.select, folder)
                except imaplib.IMAP4.abort:
                    raise
                except imaplib.IMAP4.error as error:
                    fix = "create it, or correct imap.folders"
                    found.append(Finding(ok=False, what=f"folder {folder} can't be opened: {error}", fix=fix))
                else:
                    found.append(Finding(ok=True, what=f"folder {folder} can be read; its next UID is {opened.next}"))
    except (TrunklineError, OSError, imaplib.IMAP4.error) as error:
        found.append(_problem(f"imap: {error}", error, "imap"))
    return found


async def _smtp(egress: Egress, settings: EmailSettings) -> Finding:
    if settings.smtp is None:
        return Finding(ok=True, what="outgoing mail is caught and shown in the console", fix="set smtp to send it")
    try:
        async with connection(settings, egress):
            how = {"tls": "by TLS", "starttls": "by STARTTLS", "none": "without encryption"}[settings.smtp.tls]
            return Finding(ok=True, what=f"{settings.smtp.host} takes mail from us, {how}")
    except (TrunklineError, OSError) as error:
        return _problem(f"smtp: {error}", error, "smtp")


def _listener(listen: Listen) -> Finding:
    where = f"{listen.protocol} listener on {listen.host}:{listen.port}"
    try:
        server_context(listen)
    except OSError as error:  # ssl.SSLError is one
        what = f"{where}: {error.strerror or error}"
        return Finding(ok=False, what=what, fix="correct listen.cert_file and listen.key_file")
    how = "STARTTLS is offered" if listen.cert_file else "without encryption"
    return Finding(ok=True, what=f"{where}: {how}")


def _problem(what: str, error: Exception, side: str) -> Finding:
    if "ca_file" in what:
        return Finding(ok=False, what=what, fix=f"correct {side}.ca_file")
    if "certificate" in what:
        return Finding(ok=False, what=what, fix=f"set {side}.ca_file for an own authority, {side}.host to a name in it")
    if "STARTTLS" in what:
        return Finding(ok=False, what=what, fix=f'set {side}.tls = "tls", or ask the server\'s administrator')
    if isinstance(error, Pause):
        return Finding(ok=False, what=what, fix=f"correct {side}.user, {side}.password or oauth")
    if isinstance(error, BadConfig):
        return Finding(ok=False, what=what)
    return Finding(ok=False, what=what, fix=f"correct {side}.host, {side}.port and {side}.tls; is a firewall between?")
