"""The portal: forms that need no script, and a place for whoever signs in (`pages.py`).

Everything that is sent is a form post, journaled before it is answered. `/in/{instance}/` takes a message: `submission`
first (hidden, random, new for each showing of the form: the delivery's key, so that a double click is one message),
`name`, `email`, `subject`, `message`, `service`, `attachments` (files), and `website`: hidden from people, so that only
a machine fills it in. Further fields are kept as they are, for rules. `reply/{reference}` adds to a query of one's own,
`act/…` closes and reopens it, sets preferences, and asks for a link to sign in with.

Nothing that a person sent is lost for a mistake in it: without a usable address the message hangs on an identity of
this submission alone; a filled `website` marks the message as automatic: recorded, but never answered; of a
form that breaks off, what came is the message, and its field `limits` says so. A form without any content is skipped
with that reason; its bytes stay. What is no form at all (no browser sends it) is refused with a page that says so, and
nothing is kept: a stranger's garbage is not put before a person.
"""

import html
import re
from collections.abc import Iterator, Sequence
from typing import ClassVar
from urllib.parse import quote

from connectors.channels.portal import forms
from connectors.channels.portal.forms import Form
from connectors.channels.portal.pages import Pages
from connectors.channels.portal.settings import OWN, PortalSettings
from plugins import (
    Act,
    Capabilities,
    Channel,
    Claim,
    Connector,
    Desk,
    Envelope,
    Identity,
    Item,
    Message,
    Page,
    Received,
    Reply,
    Request,
    Skipped,
    VisitDesk,
    hookimpl,
    one_line,
)

_LIMIT = 25 << 20  # bytes of a whole submission, attachments included
_ADDRESS = re.compile(r"[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f]{1,255}")
_TAIL = re.compile(r"(reply)/(TL-[0-9A-Z]{8})|(act)/(close|reopen)/(TL-[0-9A-Z]{8})|(act)/(prefer|sign_in)")
_LINE = 1000  # characters of a subject or name
_PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    '<title>Not sent</title><link rel="stylesheet" href="/static/house.css">'
    '<link rel="stylesheet" href="/p/INSTANCE/portal.css"><main>'
    "<h1>Your message was not sent</h1>"
    "<p>Nothing was kept: WHY.</p></main></html>\n"
)
_AGAIN = "Please go back and send it again"
_SIGNED_OUT = "you are not signed in any more. Sign in in another window, go back here, and send it again"
_TRAP = "website"


class PortalConnector:
    """Posts in, pages out. Answers go by mail or as the person prefers, over other instances, and stand here too."""

    contract: ClassVar[int] = 1
    kind: ClassVar[str] = "portal"
    settings_type: ClassVar[type[PortalSettings]] = PortalSettings
    isolate: ClassVar[bool] = True  # anybody may send a form, of any size
    channel: ClassVar[Channel] = "portal"
    capabilities = Capabilities(media=True, max_media=_LIMIT, max_body=_LIMIT)
    accepted = Reply(body=b"Your message has been received.\n")

    def __init__(self, instance: str, settings: PortalSettings) -> None:
        self._instance = instance
        self._settings = settings
        self._pages = Pages(instance, settings, self.capabilities.max_body)

    def verify(self, request: Request) -> Envelope | Reply:
        """Refuses what another site sends from a visitor's browser; stores everything else, readable or not."""
        if request.method != "POST":
            return Reply(status=405, headers=(("Allow", "POST"),))
        forms.same_site(request)
        tail = request.tail if _TAIL.fullmatch(request.tail) else ""
        # a header may hold bytes that are no text; facts must be
        content_type = request.header("content-type")[:1000].encode("utf-8", "replace").decode()
        if wrong := forms.wrong(request.body, content_type):
            return self._refused(400, f"{wrong}. {_AGAIN}")
        if tail not in {"", "act/sign_in"} and request.person is None:
            return self._refused(403, _SIGNED_OUT)
        digest = forms.digest(request.body, content_type)
        key = forms.submission(request.body, content_type) or digest.hex()
        facts = {"type": content_type, "id": key, "tail": tail}
        lane = key
        if request.person is not None:
            who = request.person.identity
            facts |= {"scheme": who.scheme, "address": who.value, "proof": request.person.proof}
            lane = f"{who.scheme}:{who.value}"
            key = f"{key} {tail} {lane}"
        return Envelope(key=key, raw=request.body, at=request.at, lane=lane, facts=facts, fingerprint=digest)

    async def respond(self, envelope: Envelope, received: Received, desk: Desk) -> Reply:  # the receipt says all
        """To a page that shows what came of it: reloading that repeats nothing (303, RFC 9110 §15.4.4)."""
        receipt = quote(received.receipt, safe="")
        tail, place = envelope.facts.get("tail", ""), f"/p/{self._instance}/"
        if tail == "act/sign_in":
            place += "sign-in?sent=1"  # nothing of this person's: it is the same for every address
        elif tail == "act/prefer":
            place += f"preferences?sent={receipt}"
        elif tail:
            place += f"q/{tail.rpartition('/')[2]}?sent={receipt}&did={tail.split('/')[-2]}"
        elif "proof" in envelope.facts:
            place += f"queries?sent={receipt}"
        else:
            place = f"/portal/receipt/{receipt}"
        return Reply(status=303, headers=(("Location", place),))

    @property
    def pages(self) -> Sequence[Page]:
        """Style and script."""
        return self._pages.assets

    async def show(self, request: Request, desk: VisitDesk) -> Reply:
        """A page, for whoever asks."""
        return await self._pages.show(request, desk)

    def parse(self, envelope: Envelope) -> Iterator[Item]:
        """One message, or one act."""
        content_type = envelope.facts.get("type", "")
        if wrong := forms.wrong(envelope.raw, content_type):
            yield Skipped(reason=f"not a form: {wrong}", park=True)
            return
        form = forms.read(envelope.raw, content_type)
        tail, key = envelope.facts.get("tail", ""), envelope.facts.get("id") or envelope.key
        if tail.startswith("act/"):
            yield self._act(envelope, form, key, tail.split("/")[1])
        else:
            yield self._message(envelope, form, key)

    def _message(self, envelope: Envelope, form: Form, key: str) -> Item:
        fields = form.fields
        text, subject = fields.get("message", ""), one_line(fields.get("subject", ""))
        answers = self._answers(fields)
        if not (text or subject or form.files or answers):
            return Skipped(reason="the form was sent without a message, subject or file")
        person = self._person(envelope)
        return Message(
            key=key if person is None else envelope.key,
            sender=person or self._stranger(fields, key),
            at=envelope.at,
            text="\n\n".join(filter(None, (answers, text))),
            subject=subject,
            kind="form",
            automatic="bulk" if fields.get(_TRAP) and person is None else "",
            tokens=[fields["token"]] if fields.get("token") and person else [],
            fields=self._others(form, signed_in=person is not None),
            media=form.files,
        )

    def _act(self, envelope: Envelope, form: Form, key: str, what: str) -> Item:
        fields = form.fields
        if what == "sign_in":
            address = fields.get("email", "")
            if not _ADDRESS.fullmatch(address):
                return Skipped(reason="a link was asked for without an address")
            who = Claim(identity=Identity(scheme="email", value=address))
            return Act(key=key, at=envelope.at, who=who, what="sign_in")
        person = self._person(envelope)
        if person is None:
            return Skipped(reason="nobody was signed in")
        key, at = envelope.key, envelope.at
        if what == "prefer":
            language = fields.get("language", "")
            if language and language not in self._settings.languages:
                return Skipped(reason="there is no such language")
            return Act(key=key, at=at, who=person, what="prefer", channel=fields.get("channel", ""), language=language)
        token = fields.get("token", "")
        if what == "close":
            return Act(key=key, at=at, who=person, what="close", token=token)
        return Act(key=key, at=at, who=person, what="reopen", token=token)

    def _answers(self, fields: dict[str, str]) -> str:
        """What a service's form asked, for agents and tickets; rules see the fields."""
        asked = next((one.questions for one in self._settings.form if one.service == fields.get("service")), ())
        return "\n".join(f"{one.label}: {fields[one.name]}" for one in asked if fields.get(one.name))

    def _others(self, form: Form, *, signed_in: bool) -> dict[str, str]:
        """All that has no place of its own in the message: an address or a subject that is none stays readable here."""
        kept = {
            name: value for name, value in form.fields.items() if value and self._kept(name, value, signed_in=signed_in)
        }
        return kept | ({"limits": f"form broken off: {form.broken}"} if form.broken else {})

    def _kept(self, name: str, value: str, *, signed_in: bool) -> bool:
        if name == "email":
            return not signed_in and not _ADDRESS.fullmatch(value)
        if name in {"subject", "name"}:
            return len(value) > _LINE
        return name not in OWN or name == "service" or (name == _TRAP and not signed_in)

    def _stranger(self, fields: dict[str, str], key: str) -> Claim:
        """Who fills in a form can claim any address: A0."""
        name, address = one_line(fields.get("name", "")), fields.get("email", "")
        if not _ADDRESS.fullmatch(address):
            return Claim(identity=Identity(scheme="portal", value=f"{self._instance}:{key}"[:1024]), name=name)
        return Claim(identity=Identity(scheme="email", value=address), name=name)

    @staticmethod
    def _person(envelope: Envelope) -> Claim | None:
        """Who was signed in: the hub itself vouches for it."""
        facts = envelope.facts
        if not facts.get("proof"):
            return None
        return Claim(
            identity=Identity(scheme=facts["scheme"], value=facts["address"]), assurance=1, proof=facts["proof"]
        )

    def _refused(self, status: int, why: str) -> Reply:
        page = _PAGE.replace("INSTANCE", self._instance).replace("WHY", html.escape(why))
        return Reply(status=status, type="text/html; charset=utf-8", body=page.encode())


@hookimpl
def register_connectors() -> Sequence[type[Connector]]:
    """Kind `portal`."""
    return [PortalConnector]
