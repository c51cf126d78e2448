"""What becomes of each item: the judgement of a batch, item by item, in intake order.

Pure over a `Draft`: nothing here waits or writes. Every item ends with an outcome and, if it is not recorded, with its
reason: nothing is skipped silently (R5).
"""

from collections.abc import Mapping
from functools import partial
from hashlib import sha256
from typing import Any

from msgspec.structs import replace

from context_store.ids import EPOCH_MS
from context_store.lookups import REPORTS, KnownIdentity, KnownMessage
from context_store.text import canonical, lane_of
from context_store.times import from_millis
from hub import apply
from hub.acts import act, carried, proved
from hub.bounds import MOST_KEY
from hub.communicate.acknowledge import Acknowledger
from hub.communicate.compose import Answered
from hub.config import Config
from hub.draft import Draft, as_json, identity_hash, kept_fields, message_hash, names
from hub.instances import Instance
from hub.keys import Keys
from hub.matter import MOST_NAMED, Place, find_matter
from hub.pins import drawn
from hub.recognise import Directory, recognise
from hub.texts import Texts, acknowledgement
from hub.triage import Judging, Triaged, answered, facts_of, remember, triage
from hub.underway import gathered
from hub.wanted import item_hash
from hub.workers import Parsed
from plugins import (
    Act,
    Edited,
    Fact,
    Item,
    Media,
    Message,
    Open,
    Receipt,
    Say,
    Skipped,
    Ticket,
    Touched,
)

AUTOMATIC_MOST = 20
"""Automatic messages of one identity within an hour; more are a loop (R16)."""
REPORTS_MOST = 200
"""Reports (bounces, receipts) of one address within a day that are messages. Never a loop: one daemon speaks for all of
a provider (`mailer-daemon@googlemail.com`), each time of another mail; beyond, what it says of ours still counts."""

Outcome = tuple[str, str, int | None]


def _too_many(item: Message, sender: KnownIdentity) -> str:
    """Why this automatic message is one too many of its sender, "" if it is not (R16)."""
    if item.automatic in REPORTS:
        if sender.reported_today >= REPORTS_MOST:
            return f"more than {REPORTS_MOST} reports of this address within a day"
        sender.reported_today += 1
    elif item.automatic:
        if sender.automatic_lately >= AUTOMATIC_MOST:
            return f"more than {AUTOMATIC_MOST} automatic messages of this address within an hour"
        sender.automatic_lately += 1
    return ""


class Judge:
    """Goes through a batch; what it decides stands in `draft.batch`."""

    def __init__(
        self, draft: Draft, judging: Judging, instances: Mapping[str, Instance], directory: Directory, keys: Keys,
        config: Config,
    ) -> None:  # fmt: skip
        self.draft = draft
        self._judging = judging
        self._texts = judging.texts or Texts(config.templates, config.articles, config.language)
        self._instances = instances
        self._directory = directory
        self._keys = keys
        self._config = config
        self._acknowledger = Acknowledger(draft, instances, keys, config)

    def envelope(self, parsed: Parsed) -> None:
        """All items of an envelope; it is parked if one of them needs a person, its other items are not held."""
        parked = None
        if parsed.envelope.id in self.draft.known.tried:
            self.draft.batch.retried.append(parsed.envelope.id)
        for n, item in enumerate(parsed.items):
            parked = self._item(parsed, n, item) or parked
        if parked:
            cause, why = parked
            self.draft.batch.parked.append((parsed.envelope.id, cause, canonical(why)))
        else:
            self.draft.batch.done.append(parsed.envelope.id)

    def _item(self, parsed: Parsed, n: int, item: Item) -> tuple[str, str] | None:
        """Judge one item and note its outcome; returns (cause, words) if a person must look."""
        envelope, instance = parsed.envelope, self._instances[parsed.envelope.instance]
        if isinstance(item, Skipped):
            outcome = "parked" if item.park else "skipped"
            self._note(parsed, n, "skipped", outcome, item.reason)
            return ("parse_refused", item.reason) if item.park else None
        kind, key = type(item).__name__.lower(), item_hash(instance.id, item, parsed)
        if key in self.draft.known.items:
            self._note(parsed, n, kind, "duplicate", "the same item was recorded before")
            return None
        outcome, reason, message = self._apply(item, instance, envelope.id)
        if outcome == "parked":  # without its key: a person may let it come again
            self._note(parsed, n, kind, outcome, reason)
            return "capped", reason
        values = apply.waiting_row(self.draft, item, instance.id) if outcome == "waiting" else {}
        number = self._note(parsed, n, kind, outcome, reason, key_hash=key, message_id=message, **values)
        if outcome == "waiting":
            apply.wait(self.draft, number, item, instance.id)
        if key is not None:
            self.draft.known.items.add(key)
        return None

    def _note(self, parsed: Parsed, n: int, kind: str, outcome: str, reason: str, **values: Any) -> int:
        """The item's row. An envelope that was parked and released keeps those of its first time, save the parked."""
        before = self.draft.known.tried.get(parsed.envelope.id, {})
        if before.get(n, "parked") != "parked":
            if outcome in ("duplicate", "skipped"):
                return 0
            n = max(*before, len(parsed.items)) + 1
            before[n] = outcome
        return self.draft.item(parsed.envelope.id, n, kind, outcome, reason, **values)

    def _apply(self, item: Item, instance: Instance, envelope: int) -> Outcome:
        match item:
            case Message():
                return self._message(item, instance, envelope)
            case Edited():
                return apply.edited(self.draft, item, instance.id)
            case Receipt():
                return apply.receipt(self.draft, item, instance.id, self._keys)
            case Fact():
                return apply.fact(self.draft, item, self._directory)
            case Act():
                return self._act(item, instance)
            case Ticket():
                return apply.ticket(self.draft, item, instance.id)
            case Touched():
                readable, horizon = instance.has("readable"), self._config.delivery.horizon
                return apply.touched(self.draft, item, instance.id, readable=readable, horizon=horizon)
        raise AssertionError("the union of items is closed")

    def _act(self, item: Act, instance: Instance) -> Outcome:
        """Its ticket hears of what became of the query."""
        outcome, reason, root = act(self.draft, item, instance.id, self._acknowledger, self._keys, self._config)
        if root is not None:
            said = "The user closed the query." if item.what == "close" else "The user opened the query again."
            say = Say(ext_id=root.reference, text=said, public=False)
            self._dispatch(Place(root, False), root.target, "say", say)
        return outcome, reason, None

    # ---- a message -----------------------------------------------------------------------------------

    def _message(self, item: Message, instance: Instance, envelope: int) -> Outcome:
        """Recognise → thread → validate → triage → record: the heart of the path."""
        item = proved(item, self._keys)
        if self._is_own(item, instance.id):
            return "echo", "our own message came back", None
        stranger = identity_hash(item.sender.identity) not in self.draft.known.identities
        sender = recognise(self.draft, item, self._directory)
        if envelope not in self.draft.known.tried and (too_many := _too_many(item, sender)):
            return "parked", too_many, None
        again = bool(item.digest and self.draft.known.messages.get(message_hash(instance.id, item.key)))
        place = find_matter(self.draft, item, sender, instance.channel, instance.id, self._keys)
        message = self._record(item, instance, envelope, sender, place)
        if stranger and instance.has("profiles"):
            self._introduce(sender, instance, message)
        whole = gathered(self.draft, item, self.draft.root(place.query), fresh=place.fresh)
        if whole is not None:
            self._begin(whole, instance, envelope, sender, place, message)
        else:
            self._continue(item, sender, place, message)
        remember(self.draft.known, self._judging.asked, sender.user_id, item, fresh=place.fresh)
        for waiting in self.draft.known.waiting.pop(message.key_hash, ()):
            apply.waited(self.draft, message, waiting)
        return "recorded", "another message came under the same key" if again else "", message.id

    def _is_own(self, item: Message, instance: str) -> bool:
        """By our signature, or by the id that the channel gave to what we sent."""
        sent = self.draft.known.messages.get(message_hash(instance, item.key), ())
        return self._keys.message_of(item.key) is not None or any(m.direction == "out" and m.delivery for m in sent)

    def _record(
        self, item: Message, instance: Instance, envelope: int, sender: KnownIdentity, place: Place
    ) -> KnownMessage:
        stranger = place.standing == "third_party"  # whose thread and way back are none of the query's
        key, via = ("", b"") if stranger else (item.thread, item.reply_via)
        thread = self.draft.thread(place.query, instance.id, key, via)
        message = self.draft.message(
            place.query, thread, key=item.key, at=item.at, reply_via=via, instance=instance.id,
            channel=instance.channel, kind=item.kind, identity_id=sender.id, envelope_id=envelope,
            direction=item.direction, private=item.private, automatic=item.automatic,
            assurance=item.sender.assurance, standing=place.standing, subject=canonical(item.subject, 2000),
            text=canonical(item.text), folds=as_json(item.folds), html=canonical(item.html),
            language=canonical(item.language, 35), recipients=names(item.recipients),
            fields=kept_fields(item),
            replies_to=canonical(as_json([key[:MOST_KEY] for key in item.replies_to[:MOST_NAMED]])),
        )  # fmt: skip
        for n, media in enumerate(item.media):
            self._attach(message, n, media, instance)
        body = {"channel": instance.channel, "instance": instance.id, "standing": place.standing}
        self.draft.event("message.received", place.query.root_id, f"identity:{sender.id}", body, message.id)
        return message

    def _attach(self, message: KnownMessage, n: int, media: Media, instance: Instance) -> None:
        sha = sha256(media.data).digest() if media.data is not None else None
        size = len(media.data or b"")
        if sha is not None and media.data is not None:
            self.draft.batch.keep(sha, media.data)
        self.draft.batch.insert(
            "attachments", message_id=message.id, n=n, sha256=sha, name=canonical(media.name, 500),
            type=canonical(media.type, 200), size=size, content_id=canonical(media.content_id, 500),
            ref=canonical(media.ref),
        )  # fmt: skip
        if sha is None:  # only the provider has it: fetched by a durable job
            self.draft.outbox(
                "need", instance.id, lane_of("media", instance.id, media.ref), message.query_id,
                {"what": "media", "ref": media.ref, "n": n}, horizon=self._config.delivery.horizon, message=message.id,
            )  # fmt: skip

    def _introduce(self, sender: KnownIdentity, instance: Instance, message: KnownMessage) -> None:
        """Only the provider knows who it is: asked once, by a durable job."""
        ref = f"{sender.scheme}:{sender.value}"
        self.draft.outbox(
            "need", instance.id, lane_of("profile", instance.id, ref), message.query_id,
            {"what": "profile", "ref": ref}, horizon=self._config.delivery.horizon, message=message.id,
        )  # fmt: skip

    def _sent_past_us(self, item: Message) -> bool:
        """A copy of what went from an address of the desk to somebody else.

        What goes from the desk to the desk alone is a web form's mail about somebody, or forged: that is a contact.
        """
        is_desk = self._acknowledger.is_desk
        return is_desk(item.sender.identity) and not all(map(is_desk, item.recipients))

    def _begin(
        self, item: Message, instance: Instance, envelope: int, sender: KnownIdentity, place: Place,
        message: KnownMessage,
    ) -> None:  # fmt: skip
        """A new query: judged by the rules, dispatched, acknowledged, unless it is held for a person."""
        user = self.draft.known.users[sender.user_id]
        facts = facts_of(
            item, user, self.draft.known, self._judging, channel=instance.channel, instance=instance.id,
            at=from_millis((envelope >> 22) + EPOCH_MS),
        )  # fmt: skip
        if self._sent_past_us(item):
            facts = replace(facts, direction="out")
        triaged = triage(self.draft, self._judging, facts, self.draft.root(place.query), message.id, waits=item.more)
        if place.fresh:
            self.draft.event("query.opened", place.query.id, "hub", {"reference": place.query.reference}, message.id)
        if item.settled and place.fresh:
            answered(self.draft, place.query, item.sender.evidence)
        if item.more:
            return
        outcome = triaged.decision.outcome
        self._dispatch(
            place, self.draft.root(place.query).target, "open",
            Open(
                ext_id=place.query.reference, subject=item.subject, text=item.text, user=carried(item.sender),
                fields={"type": outcome.type, "priority": outcome.priority},
            ),
        )  # fmt: skip
        if triaged.held is None or triaged.held.kind == "hold":
            self._acknowledge(item, instance, sender, place, triaged)

    def _continue(self, item: Message, sender: KnownIdentity, place: Place, message: KnownMessage) -> None:
        """More about a known matter: it wakes up if its own people speak, and its ticket hears of it."""
        root = self.draft.root(place.query)
        speaks = item.direction == "in" and not item.automatic and place.standing != "third_party"
        reopened = speaks and root.state in ("pending", "resolved", "closed", "on_hold")
        if reopened:
            was = root.state
            self.draft.event("query.reopened", root.id, f"identity:{sender.id}", {"was": was}, message.id)
        self.draft.touch_query(root, state="open" if reopened else None, came_in=speaks)
        say = Say(ext_id=root.reference, text=item.text, public=place.standing != "third_party", author=sender.value)
        self._dispatch(Place(root, False), root.target, "say", say)

    def _dispatch(self, place: Place, target: str, verb: str, work: Open | Say) -> None:
        """Tell the ticketing tool, if there is one that takes this kind of work."""
        if not target:  # held: a person lets it go
            return
        instance = self._instances.get(target)
        if instance is None:
            self.draft.event("ticket.missing_target", place.query.root_id, "hub", {"target": target})
            return
        if instance.connector is not None and verb not in instance.connector.capabilities.verbs:
            return
        lane = lane_of("ticket", target, place.query.reference)
        self.draft.outbox("dispatch", target, lane, place.query.root_id, work, horizon=self._config.delivery.horizon)

    def _acknowledge(
        self, item: Message, instance: Instance, sender: KnownIdentity, place: Place, triaged: Triaged
    ) -> None:
        query = place.query
        why_not = self._acknowledger.refuses(item, sender, place.standing)
        where = None if why_not else self._acknowledger.route(instance.id, sender)
        if where is None:
            reason = why_not or "nothing that is configured reaches this address"
            self.draft.event("query.not_acknowledged", query.id, "hub", {"why": reason})
            return
        opens = item.private and item.sender.assurance >= 1  # what everybody reads has nothing that opens the query
        pin = partial(drawn, self.draft, query) if opens else str
        said = acknowledgement(
            self._texts, triaged.decision, self._config, reference=query.reference,
            subject=canonical(item.subject, 250), pin=pin,
        )  # fmt: skip
        own = where.instance == instance.id
        answered = Answered(
            key=item.key if own else "", thread=item.thread if own else "", reply_via=item.reply_via if own else b"",
            private=item.private,
        )  # fmt: skip
        self._acknowledger.send(query, sender, item.sender.assurance, where, answered, said)
