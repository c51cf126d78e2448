"""Sample traffic over the real protocols, and what became of each message.

Every run writes from addresses of its own (`…@sample.trunkline.test`), so that its messages are found again and no
limit on acknowledgements stands between two runs.
"""

import asyncio
import secrets
import smtplib
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any

import aiohttp
import msgspec
from msgspec import Struct
from sqlalchemy import Connection

from context_store import directory, evidence, reader, views
from context_store.shapes import QueryView
from hub.cli.access import perform
from hub.cli.common import Common, Unreachable
from hub.config import Config, listen_address
from plugins import standard_sign
from plugins.instances import Configured
from plugins.testing.window import Window

DOMAIN = "sample.trunkline.test"
PATIENCE = 60.0
LOOK = 0.25
SETTLED = frozenset({"done", "parked", "cancelled", "uncertain"})


class Became(Struct, kw_only=True):
    """One message of the sample, and what is known of it."""

    instance: str
    over: str
    sender: str
    subject: str
    answer: str = ""
    """What the door said."""
    receipt: str = ""
    reference: str = ""
    triage: str = ""
    acknowledgement: str = ""


# ---- sending ---------------------------------------------------------------------------------------


async def send(config: Config, mark: str, *but: str) -> list[Became]:
    """To every instance of a kind that needs no vendor, but those kinds. Raises Unreachable."""
    ways: dict[str, Callable[[Config, Configured, str], Awaitable[Sequence[Became]]]] = {
        "email": _mails,
        "portal": _form,
        "webhook": _signed,
        "webchat": _chat,
        "desk": _recorded,
    }
    sent: list[Became] = []
    for one in config.instances:
        way = ways.get(one.instance.kind)
        if way is None or one.instance.kind in but or one.broken or not one.instance.enabled:
            continue
        try:
            sent += await way(config, one, mark)
        except (OSError, aiohttp.ClientError, smtplib.SMTPException) as error:
            raise Unreachable(f"instance {one.id} does not answer ({error}): does `trunkline serve` run?") from error
    return sent


async def _mails(_: Config, one: Configured, mark: str) -> Sequence[Became]:
    """Two mails, the second one automatic: it is recorded and never answered."""
    listen = one.settings.listen
    if listen is None or listen.protocol != "smtp":
        return []
    mails = [_mail(one.settings.address, f"ann.{mark}", "VPN down", "AnyConnect fails since 8, for all of us.")]
    away = _mail(one.settings.address, f"otto.{mark}", "Out of office", "I am back on Monday.")
    away["Auto-Submitted"] = "auto-replied"
    return [await asyncio.to_thread(_submit, one, listen, mail) for mail in (*mails, away)]


def _mail(to: str, local: str, subject: str, text: str) -> EmailMessage:
    mail = EmailMessage()
    mail["From"] = f"{local.partition('.')[0].title()} Sample <{local}@{DOMAIN}>"
    mail["To"] = to
    mail["Subject"] = subject
    mail["Date"] = datetime.now(UTC)
    mail["Message-ID"] = f"<{secrets.token_hex(8)}@{DOMAIN}>"
    mail.set_content(text)
    return mail


def _submit(one: Configured, listen: Any, mail: EmailMessage) -> Became:
    sender = str(mail["From"]).partition("<")[2].rstrip(">")
    with smtplib.SMTP(listen.host, listen.port, timeout=30) as server:
        server.ehlo()
        server.mail(sender)
        server.rcpt(one.settings.address)
        code, words = server.data(mail.as_bytes())
    answer = f"{code} {words.decode('ascii', 'replace')}"
    return Became(instance=one.id, over="SMTP", sender=sender, subject=str(mail["Subject"]), answer=answer)


def url_of(config: Config, path: str) -> str:
    """By the listening address: what stands before the hub in public may not be reachable from here."""
    host, port = listen_address(config.listen)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # compared, not bound
    return f"http://[{host}]:{port}{path}" if ":" in host else f"http://{host}:{port}{path}"


async def _form(config: Config, one: Configured, mark: str) -> Sequence[Became]:
    sender, subject = f"bob.{mark}@{DOMAIN}", "Printer on the second floor"
    form = aiohttp.FormData()
    fields = {
        "submission": secrets.token_urlsafe(18), "name": "Bob Sample", "email": sender, "subject": subject,
        "message": "Paper jam again. A photo is attached.",
    }  # fmt: skip
    for name, value in fields.items():
        form.add_field(name, value)
    form.add_field("attachments", b"not really a photo", filename="jam.txt", content_type="text/plain")
    async with aiohttp.ClientSession() as session:
        url = url_of(config, f"/in/{one.id}/")
        async with session.post(url, data=form, allow_redirects=False) as response:
            receipt = response.headers.get("Location", "").rpartition("/")[2]
            return [
                Became(
                    instance=one.id, over="HTTP form", sender=sender, subject=subject, answer=str(response.status),
                    receipt=receipt,
                )
            ]  # fmt: skip


async def _signed(config: Config, one: Configured, mark: str) -> Sequence[Became]:
    sender, subject = f"eve.{mark}@{DOMAIN}", "Forgot my password"
    said = {
        "sender": {"scheme": "email", "value": sender, "name": "Eve Sample"},
        "subject": subject,
        "text": "I am locked out of my account.",
    }
    body = msgspec.json.encode(said)
    key = f"msg_{secrets.token_hex(12)}"
    headers = standard_sign(one.settings.secrets[:1], key=key, at=datetime.now(UTC), body=body)
    async with aiohttp.ClientSession() as session:
        url = url_of(config, f"/in/{one.id}/")
        async with session.post(url, data=body, headers={**headers, "Content-Type": "application/json"}) as response:
            return [
                Became(
                    instance=one.id, over="signed webhook", sender=sender, subject=subject,
                    answer=f"{response.status} {(await response.text()).strip()}",
                )
            ]  # fmt: skip


async def _chat(config: Config, one: Configured, _: str) -> Sequence[Became]:
    """As a visitor's window: the hub's acknowledgement of the line is its receipt."""
    url = url_of(config, f"/ws/{one.id}")
    async with aiohttp.ClientSession() as session, Window(session, lambda: url, origin=url_of(config, "")) as window:
        return [await chatted(one.id, window)]


async def chatted(instance: str, window: Window) -> Became:
    """One line, as far as its acknowledgement."""
    text = "My mailbox is full."
    cid = await window.say(text)
    async with asyncio.timeout(PATIENCE):
        while cid not in window.acks:  # noqa: ASYNC110  # frames come from outside
            await asyncio.sleep(LOOK / 10)
    receipt = window.acks[cid]
    return Became(instance=instance, over="WebSocket", sender="a visitor", subject=text, answer="ack", receipt=receipt)


async def _recorded(config: Config, one: Configured, mark: str) -> Sequence[Became]:
    """By an agent, as `trunkline record` does it."""
    sender, about = f"zoe.{mark}@{DOMAIN}", "Broken screen"
    done = await asyncio.to_thread(
        perform,
        Common(config=config.file),
        "record_contact",
        instance=one.id,
        who=f"Zoe Sample <{sender}>",
        about=about,
    )
    return [
        Became(
            instance=one.id, over="an agent", sender=sender, subject=about, answer="recorded", receipt=done["receipt"]
        )
    ]


# ---- what became of them -----------------------------------------------------------------------------


def look(config: Config, each: Became) -> bool:
    """Read what is recorded of it; True when nothing more is to come."""
    with reader.reading(config.store) as conn:
        view = _view(conn, each)
    if view is None:
        return False
    row = view.query
    each.reference = row.reference
    by = msgspec.json.decode(view.decisions[-1].outcome).get("rules", []) if view.decisions else []
    each.triage = " ".join(part for part in (row.priority, row.type, row.service, row.target) if part)
    each.triage += f" (by {', '.join(by) or 'default'})"
    deliveries = [work for work in view.outbox if work.kind == "delivery"]
    if row.automatic:
        each.acknowledgement = "none: automatic mail is never answered"
        return True
    if not deliveries:
        each.acknowledgement = _why_not(view)
        return bool(each.acknowledgement)
    caught = _kept(config, {work.id for work in deliveries})
    state = deliveries[-1].state
    each.acknowledgement = "caught: read it in the console" if caught else state
    return state in SETTLED


def _why_not(view: QueryView) -> str:
    """Why nobody is told; "" as long as it may still come (somebody is on the telephone)."""
    if view.hold:
        return f"none: held as {view.hold.kind}"
    said = [event.body.get("why", "") for event in view.events if event.kind == "query.not_acknowledged"]
    return f"none: {said[0]}" if said else ""


def _kept(config: Config, ids: set[int]) -> bool:
    """Was one of these kept in the house, because no server is configured?"""
    with reader.reading(config.store) as conn:
        return any(each.outbox_id in ids for each in evidence.caught(conn))


def _view(conn: Connection, each: Became) -> QueryView | None:
    if each.reference:
        return views.show_query(conn, views.find_query(conn, each.reference) or 0)
    if each.receipt:
        found = evidence.receipt(conn, each.receipt)
        root = views.find_query(conn, found[1]) if found and found[1] else None
        return None if root is None else views.show_query(conn, root)
    user = directory.find_user(conn, "email", each.sender)
    journey = views.show_user(conn, user, limit=1) if user is not None else None
    if journey is None or not journey.queries:
        return None
    return views.show_query(conn, journey.queries[-1].id)
