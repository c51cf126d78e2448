"""Web chat: a widget that a site embeds, over WebSockets or plain HTTP. The protocol stands in `frames.py`.

A line is acknowledged when it is on disk. What the desk answers stands in the conversation as soon as it is recorded,
and every open window of the visitor follows that, on whatever node: so a delivery has nothing to send, and its state
comes from the widget's receipts. What nobody fetches goes to the address that the visitor left (`fallback_after`).
"""

from collections.abc import Iterator, Sequence
from typing import ClassVar

import msgspec

from connectors.channels.webchat import frames
from connectors.channels.webchat.assets import pages_of
from connectors.channels.webchat.frames import Msg, Seen
from connectors.channels.webchat.sessions import read_ticket
from connectors.channels.webchat.settings import WebchatSettings
from connectors.channels.webchat.talk import Talk, may_embed
from plugins import (
    Attempt,
    Capabilities,
    Channel,
    Claim,
    Connector,
    Done,
    Egress,
    Envelope,
    Finding,
    HubPort,
    Identity,
    Item,
    Malformed,
    Media,
    Message,
    NotAuthentic,
    Outgoing,
    Page,
    Receipt,
    Refuse,
    Reply,
    Request,
    Skipped,
    SocketLink,
    Step,
    hookimpl,
)

SCHEME = "webchat"
_OPEN = (("Access-Control-Allow-Origin", "*"),)
"""Any site may read the answers: no cookie is looked at, what counts stands in the request itself."""
_PREFLIGHT = Reply(
    status=204,
    headers=(*_OPEN, ("Access-Control-Allow-Headers", "x-ticket, content-type"), ("Access-Control-Max-Age", "7200")),
)


class Webchat:
    """A chat widget for web sites: lines and files in, answers out while the visitor is there, by mail afterwards."""

    contract: ClassVar[int] = 1
    kind: ClassVar[str] = "webchat"
    settings_type: ClassVar[type[WebchatSettings]] = WebchatSettings
    isolate: ClassVar[bool] = False
    channel: ClassVar[Channel] = "chat"
    accepted = Reply(body=b"stored\n", headers=_OPEN)

    def __init__(self, instance: str, settings: WebchatSettings) -> None:  # the contract's arguments
        self._instance, self._settings = instance, settings
        self._asked = frozenset(question.name for question in settings.form) | {"email", "name"}

    @property
    def capabilities(self) -> Capabilities:
        """Receipts come from the widget; nothing of a visitor's file is lost on the way; the desk's lines are text."""
        return Capabilities(
            sends_to=frozenset({SCHEME}),
            max_body=self._settings.max_file + frames.LARGEST,
            verbs=frozenset({"typing", "receipts"}),
            fallback_after=self._settings.fallback_after,
        )

    def verify(self, request: Request) -> Envelope | Reply:
        """One file, by the ticket that the socket gave for it, and behind it the form, if that was not said yet."""
        if request.method == "OPTIONS":
            return _PREFLIGHT
        if request.method != "POST" or request.tail != "upload":
            return Reply(status=404)
        if not may_embed(request, self._settings.origins):
            raise NotAuthentic("the widget may not stand on that site")
        secrets = self._settings.secrets
        ticket = read_ticket(request.header("x-ticket"), self._instance, secrets, request.at.timestamp())
        file, behind = request.body[: ticket.size], request.body[ticket.size :]
        try:
            form = frames.read_form(behind)
        except frames.UNREADABLE:
            raise Malformed("what stands behind the file is no form") from None
        if len(file) < ticket.size or len(behind) > frames.LARGEST:
            raise Malformed("this is not the whole file, or more than it")
        facts = {"what": "file", "thread": ticket.thread, "who": ticket.who, "cid": ticket.cid, "file": ticket.name,
                 "type": ticket.type, "form": msgspec.json.encode(form).decode()}  # fmt: skip
        key = f"{ticket.thread}/{ticket.cid}"
        return Envelope(key=key, raw=file, at=request.at, lane=ticket.thread, facts=facts)

    async def serve(self, link: SocketLink, hub: HubPort) -> None:
        """One widget."""
        await Talk(link, hub, self._instance, self._settings).run()

    @property
    def pages(self) -> Sequence[Page]:
        """The widget's script, and a page of ours that holds nothing but the chat."""
        return pages_of(self._instance, self._settings)

    def parse(self, envelope: Envelope) -> Iterator[Item]:
        """One line, file or mark."""
        if not envelope.facts.get("thread") or not envelope.facts.get("who"):
            yield Skipped(reason="it came from no conversation", park=True)
            return
        try:
            yield self._item(envelope)
        except frames.UNREADABLE as error:
            # A person looks at lines alone: of a mark nothing is lost, and what nests so deeply no window has made.
            park = envelope.facts.get("what") != "seen" and not isinstance(error, RecursionError)
            yield Skipped(reason=f"not a frame of the chat: {str(error)[:500]}", park=park)

    def _item(self, envelope: Envelope) -> Item:
        facts = envelope.facts
        if facts.get("what") == "file":
            form = msgspec.json.decode(facts.get("form") or "{}", type=dict[str, str])
            media = Media(name=facts.get("file", "")[:1024], type=facts.get("type", "")[:1024], data=envelope.raw)
            return self._message(envelope, facts.get("cid", "file"), form, media=(media,))
        said = frames.read(envelope.raw)
        if isinstance(said, Seen):
            return _receipt(said, envelope)
        if not isinstance(said, Msg):
            return Skipped(reason=f"a {type(said).__name__.lower()} frame is nothing to keep")
        fields = {"page": said.page} if said.page else {}
        tokens = (said.token,) if said.token else ()
        return self._message(envelope, said.cid, said.form, text=said.text, tokens=tokens, fields=fields)

    def _message(
        self, envelope: Envelope, cid: str, form: dict[str, str], *, text: str = "", tokens: Sequence[str] = (),
        media: Sequence[Media] = (), fields: dict[str, str] | None = None,
    ) -> Message:  # fmt: skip
        """A session is as good as a channel's own account (A1); what its visitor fills in is claimed (A0)."""
        facts, thread = envelope.facts, envelope.facts["thread"]
        issuer = facts.get("issuer", "")
        asked = {name: value.strip() for name, value in form.items() if name in self._asked and value.strip()}
        email = _address(facts.get("email") or asked.get("email", ""))
        claims: list[Claim] = []
        if email and (form or fields):  # the first line of a window; each further one would only say it again
            claims = [Claim(identity=email, assurance=1 if facts.get("email") else 0, issuer=issuer)]
        return Message(
            key=f"{thread}/{cid}",
            thread=thread,
            sender=Claim(
                identity=Identity(scheme=SCHEME, value=facts["who"][:1024]),
                assurance=1,
                issuer=issuer[:1024] or self._instance,
                evidence="jwt" if issuer else "session",
                name=" ".join((facts.get("name") or asked.get("name", "")).split())[:1024],
            ),
            at=envelope.at,
            text=text,
            claims=claims,
            tokens=tokens,
            fallback=email,
            fields=asked | (fields or {}),
            media=media,
        )

    def plan(self, work: Outgoing) -> Sequence[Step]:
        """The line stands in its conversation, where the widget fetches it; a second time changes nothing."""
        if not work.thread:
            raise Refuse("no_way_back", "the visitor has no conversation")
        return (Step(kind="line", body=work.key.encode(), harmless=True),)

    async def perform(self, step: Step, attempt: Attempt) -> Done:
        """Nothing is left to do: whoever follows the conversation has it, whoever comes back gets it."""
        return Done(ref=step.body.decode())

    async def find(self, step: Step, attempt: Attempt) -> Sequence[Done]:
        """It is where the hub recorded it."""
        return (Done(ref=step.body.decode()),)

    async def check(self, egress: Egress) -> Sequence[Finding]:
        """Nothing is far away; what is missing is a site."""
        if self._settings.origins:
            return (Finding(ok=True, what=f"the widget may stand on {', '.join(self._settings.origins)}"),)
        fix = 'name your site: origins = ["https://www.example.org"]'
        return (Finding(ok=True, what="the widget may stand on the hub's own pages only", fix=fix),)


def _receipt(said: Seen, envelope: Envelope) -> Receipt:
    thread, at = envelope.facts["thread"], min(said.at, envelope.at)
    return Receipt(key=f"{thread}/{said.state}/{said.seq}", at=at, state=said.state, thread=thread)


def _address(text: str) -> Identity | None:
    """A mail address as people type it, or None."""
    local, at, domain = text.strip().rpartition("@")
    whole = bool(at and 0 < len(local) <= 64 and 0 < len(domain) <= 255)
    if not whole or not text.isprintable() or any(each.isspace() for each in text.strip()):
        return None
    return Identity(scheme="email", value=f"{local}@{domain.lower()}")


@hookimpl
def register_connectors() -> Sequence[type[Connector]]:
    """Kind `webchat`."""
    return [Webchat]
