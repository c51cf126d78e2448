"""The words of the hub as frozen structs: what crosses the contract, and nothing else does. One file: its glossary.

Only these structs, bytes and hash-named blobs pass between the hub and a plugin, so that a plugin
can run in a process of its own. msgspec constructors check nothing: the hub encodes and decodes
whatever a plugin returns, and there types, lengths and lone surrogates are refused.
`kw_only` stands on every class because msgspec does not inherit it. Union members have fixed tags:
renaming a class must not change stored data.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

CONTRACT_VERSION = 1
"""What a plugin class names in `contract`. It rises when an existing plugin would have to change."""

MOST_TEXT = 1 << 18
"""Characters of a message's text that the hub shows, judges and passes on; of a longer one this much, and the whole as
an attachment. A long book has twice as many."""

Instant = Annotated[datetime, Meta(tz=True)]
"""A moment with its zone; naive times are refused."""

Short = Annotated[str, Meta(max_length=1024)]
Assurance = Literal[0, 1, 2, 3]
"""A0 claimed · A1 channel-authenticated · A2 proved by the person · A3 fresh strong check."""

Channel = Literal["email", "chat", "phone", "social", "portal", "walk-in"]
"""The families of contact."""


class Secret:
    """A value that shows itself only to `reveal()`: not in repr, str, logs, tracebacks or JSON.

    Pickled it becomes a blank: settings may travel to a parse worker, their secrets stay behind.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        """Settings build it from an `env:` or `file:` reference."""
        self._value = value

    def reveal(self) -> str:
        """The value itself: call it in the expression that needs it, never store the result."""
        return self._value

    def wrap(self, template: str) -> "Secret":
        """A header such as `Bearer {}` around the value, still a secret."""
        return Secret(template.replace("{}", self._value))

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __reduce__(self) -> tuple[type["Secret"], tuple[str]]:
        return Secret, ("",)

    def __copy__(self) -> "Secret":
        return self  # copying would go through __reduce__ and lose the value

    def __deepcopy__(self, memo: object) -> "Secret":
        return self


# ---- HTTP, as the contract sees it ---------------------------------------------------------------


class Request(Struct, frozen=True, kw_only=True):
    """An incoming request, whole. `url` is the public URL, built from configuration, never from Host."""

    method: str
    url: str
    tail: str = ""
    """What follows `/in/{instance}/`."""
    headers: Mapping[str, str] = {}
    """Lower-case names; repeated ones joined by ", ", so that no signature matches them."""
    body: bytes = b""
    at: Instant
    """When the hub got it: the only clock that `verify` may use."""
    person: "Person | None" = None
    """Who is signed in, where the plugin is a `Site`; None: nobody, or another site's page sent this."""

    def header(self, name: str) -> str:
        """The header's value, or "" if it is absent."""
        return self.headers.get(name.lower(), "")


class Reply(Struct, frozen=True, kw_only=True):
    """The answer to a `Request`."""

    status: int = 200
    body: bytes = b""
    blob: str = ""
    """Of what a `Site` shows: a `MediaRef.sha256`, whose bytes the hub sends as the body, read piece by piece."""
    type: str = "text/plain; charset=utf-8"
    headers: Sequence[tuple[str, str]] = ()


class Call(Struct, frozen=True, kw_only=True):
    """An outgoing request, made by the hub's one guarded client."""

    method: str
    url: str | Any
    """A `str`, or a `Secret` where a vendor wants its token in the path: then no part of it is shown anywhere."""
    headers: Mapping[str, str | Any] = {}
    """Values are `str` or `Secret`."""
    body: bytes = b""
    longest: int = 0
    """Bytes that the answer may have where it is a file, as its vendor says; the hub has a cap of its own for files.
    0: as long as any answer may be."""
    effect: bool | None = None
    """Would a person notice it twice? None: all but GET and HEAD. Searches by POST say False."""


class Answer(Struct, frozen=True, kw_only=True):
    """The answer to a `Call`; header names are lower-case."""

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""


# ---- in: what arrived, and what it means -----------------------------------------------------------


class Envelope(Struct, frozen=True, kw_only=True):
    """What arrived, untouched, as `verify` or a runner hands it to the journal."""

    key: Annotated[str, Meta(min_length=1)]
    """The source's own id, equal on redelivery and different for every event; any length, hashed by the hub."""
    raw: bytes
    at: Instant
    facts: Mapping[str, str] = {}
    """What verify or run knew and parse needs: event kind, proven ids. Never a secret or bearer token."""
    lane: str = ""
    """Order is kept inside a lane; "" is the whole instance."""
    fingerprint: bytes = b""
    """Digest of the canonical body where raw bytes differ between redeliveries (mail: transport headers
    left out). Empty: the hub takes SHA-256 of `raw`."""


class Contact(Struct, frozen=True, kw_only=True):
    """What an agent writes down of somebody who stands at the desk or rings it."""

    key: Annotated[str, Meta(min_length=1)]
    """The same when a form is sent twice."""
    agent: Short
    """Login of whoever writes it down, and vouches for it."""
    who: Short = ""
    """As typed: a name, an address, `Name <address>`."""
    user: "Identity | None" = None
    """Instead, somebody known whom the agent picked."""
    about: str
    text: str = ""
    settled: bool = False
    at: Instant | None = None
    """When it was, if not now."""


class Received(Struct, frozen=True, kw_only=True):
    """The journal's answer: the envelope is on disk."""

    id: int
    fresh: bool
    """False: seen before; answer as the first time."""
    receipt: str = ""
    """A number for the person, which resolves to the query's reference once that is recorded."""


class Identity(Struct, frozen=True, kw_only=True):
    """One address of a user on one scheme, canonical: (`email`, `ann@acme.test`), (`tel`, `+15550001111`)."""

    scheme: Annotated[str, Meta(pattern="^[a-z][a-z0-9_]{0,31}$")]
    value: Annotated[str, Meta(min_length=1, max_length=1024)]


class Person(Struct, frozen=True, kw_only=True):
    """Somebody who has signed in: an identity that they proved to be theirs (A2)."""

    identity: Identity
    proof: str
    """The hub's word for it. It opens nothing from outside, so it may stand in `Envelope.facts`."""


class Claim(Struct, frozen=True, kw_only=True):
    """Who a sender says to be, and what the channel can prove of it."""

    identity: Identity
    assurance: Literal[0, 1] = 0
    """A connector can't assert more than A1; A2 and A3 are the hub's to give."""
    issuer: Short = ""
    """Who authenticated it (an authserv-id, a workspace), where somebody did."""
    evidence: Short = ""
    name: Short = ""
    proof: Short = ""
    """`Person.proof`: the hub makes it A2."""


class Fold(Struct, frozen=True, kw_only=True):
    """A part of `Message.text` to show folded: characters `start` to `end`. The text itself stays whole."""

    start: int
    end: int
    kind: Literal["quote", "signature"]


class Media(Struct, frozen=True, kw_only=True):
    """An attachment: its bytes, or a `ref` that the connector's `fetch` turns into bytes later."""

    name: Short = ""
    type: Short = "application/octet-stream"
    data: bytes | None = None
    ref: str = ""
    content_id: Short = ""
    """Inline images: what `cid:` in the HTML names."""


class Message(Struct, frozen=True, kw_only=True, tag="message"):
    """One normalised contact: mail, chat line, call, form, post."""

    key: Annotated[str, Meta(min_length=1)]
    """The provider's id, unique within the instance; one POST may carry many messages."""
    digest: Annotated[str, Meta(max_length=100)] = ""
    """Where keys come from programs that may use one twice: with another digest the same key is another message."""
    thread: str = ""
    """The conversation as the channel itself proves it. "" where the channel has no proof (mail)."""
    sender: Claim
    at: Instant
    text: str = ""
    folds: Sequence[Fold] = ()
    subject: str = ""
    html: str = ""
    """Sanitised, without remote content."""
    kind: Literal["mail", "chat", "call", "form", "post", "sms", "note"] = "chat"
    direction: Literal["in", "out"] = "in"
    """"out": our side wrote it elsewhere (the phone app, another tool)."""
    private: bool = True
    automatic: Literal["", "reply", "bounce", "receipt", "report", "list", "bulk"] = ""
    claims: Sequence[Claim] = ()
    """Further identities that the channel names for the same sender (a profile's mail address)."""
    replies_to: Sequence[str] = ()
    """Keys of messages, or `Done.ref` of ours; newest first."""
    tokens: Sequence[str] = ()
    """Continuation tokens and PINs: proved by the hub, then dropped. Never leave them in `text`."""
    recipients: Sequence[Identity] = ()
    fields: Mapping[str, str] = {}
    """IVR choices, form fields, chosen headers: rules can read them."""
    language: str = ""
    """Only if the channel says so."""
    media: Sequence[Media] = ()
    reply_via: bytes = b""
    """The connector's own bytes, kept on the thread, latest wins, given back in `Outgoing`."""
    more: bool = False
    """The sender is on the way to what it is about (a caller in a menu). A new query is shown and kept back; rules
    judge it again with each further message of its thread, by all `fields` until then, and the first without `more`
    lets it go. If a token comes meanwhile, all of it joins the query that the token names."""
    settled: bool = False
    """The desk has answered it already, as an agent says: a new query is recorded as resolved, and not acknowledged."""
    fallback: Identity | None = None
    """Where an answer goes that could not be brought here (`Capabilities.fallback_after`): an address that a chat's
    visitor left. Followed only if the sender is at A1."""
    reply_to: Identity | None = None
    """Where the sender asks answers to go, if elsewhere: shown to agents as the field `reply-to`, never followed."""


class Edited(Struct, frozen=True, kw_only=True, tag="edited"):
    """The source changed or deleted (`text` None) a message; waits for its original if it comes first.

    They may come in any order: the text is that of the latest `at`, and what was deleted stays so.
    """

    key: Annotated[str, Meta(min_length=1)]
    of: str
    at: Instant
    text: str | None
    by: Identity | None = None
    """Who changed it, as the channel proves it: if that is not who wrote it, the message stays and an event says so.
    None: the source does not say who, or lets only those change it who may (moderators, our own side)."""


class Receipt(Struct, frozen=True, kw_only=True, tag="receipt"):
    """What the channel says of a message that we sent."""

    key: Annotated[str, Meta(min_length=1)]
    at: Instant
    state: Literal["sent", "delivered", "read", "failed"]
    of: str = ""
    """`Done.ref`, or our own step key where the vendor echoes it."""
    thread: str = ""
    """With `of` empty: everything sent in the thread up to `at` (watermarks)."""
    reason: str = ""


class Fact(Struct, frozen=True, kw_only=True, tag="fact"):
    """Something that the provider says of an identity."""

    key: Annotated[str, Meta(min_length=1)]
    at: Instant
    who: Identity
    what: Literal["same_as", "blocked", "opted_out", "opted_in", "left", "profile"]
    other: Identity | None = None
    """same_as: the provider moved the account (number changed)."""
    name: Short = ""
    """profile: what the person is called there."""
    claims: Sequence[Claim] = ()
    """profile: further identities that the provider names, as in `Message.claims`."""


class Act(Struct, frozen=True, kw_only=True, tag="act"):
    """What a person does besides writing. All but `sign_in` need the proof of `who`."""

    key: Annotated[str, Meta(min_length=1)]
    at: Instant
    who: Claim
    what: Literal["sign_in", "close", "reopen", "prefer"]
    """sign_in: mail a link to whom we know by this address; nobody else gets one, and nobody is told."""
    token: str = ""
    """close, reopen: `OwnQuery.token` of the query."""
    channel: str = ""
    """prefer: where answers go, "" to where the person wrote from."""
    language: Annotated[str, Meta(max_length=35)] = ""
    """prefer: "" is not said."""


class Touched(Struct, frozen=True, kw_only=True, tag="touched"):
    """A hint that a ticket changed: the hub will `read()` it in the ticket's lane."""

    key: Annotated[str, Meta(min_length=1)]
    ticket: str
    ext_id: str = ""
    """If the hook carries it: maps a ticket whose Open is still in flight."""


class Comment(Struct, frozen=True, kw_only=True):
    """One comment of a ticket, matched by `id`."""

    id: str
    text: str
    public: bool
    author: str = ""
    at: Instant | None = None


class Ticket(Struct, frozen=True, kw_only=True, tag="ticket"):
    """A ticket as the tool shows it now."""

    key: Annotated[str, Meta(min_length=1)]
    ticket: str
    revision: int = 0
    """0: the tool has none."""
    ext_id: str = ""
    fields: Mapping[str, str] = {}
    """Native values; a missing key is "not said", never "empty"."""
    comments: Sequence[Comment] = ()
    merged_into: str = ""
    gone: bool = False


class Skipped(Struct, frozen=True, kw_only=True, tag="skipped"):
    """Part of an envelope that is no message, with its reason. `park`: a person must look."""

    reason: Annotated[str, Meta(min_length=1, max_length=1024)]
    park: bool = False


Item = Message | Edited | Receipt | Fact | Act | Touched | Ticket | Skipped
"""What `parse` yields. Own `key`s, because vendors batch the same events differently on redelivery."""


# ---- out: what we want done -------------------------------------------------------------------------


class Outgoing(Struct, frozen=True, kw_only=True, tag="outgoing"):
    """A message to a user: the work of a `Sender`."""

    key: str
    """Signed by the hub, stable over retries, safe in a Message-ID: `replies_to` may name it again."""
    token: str = ""
    """Continuation token for this recipient, to be carried if the channel can (plus address, link); "" in public."""
    reference: str = ""
    """The query's short reference for people."""
    thread: str = ""
    to: Identity
    text: str
    html: str = ""
    """Given only where `Capabilities.formats` has "html"."""
    subject: str = ""
    author: str = ""
    """The agent's display name, "" for the desk itself."""
    replies_to: Sequence[str] = ()
    """Provider ids of what this answers, newest first."""
    edits: str = ""
    """`Done.ref` of our earlier message that this one replaces."""
    private: bool = True
    automatic: bool = False
    media: Sequence["MediaRef"] = ()
    reply_via: bytes = b""


class MediaRef(Struct, frozen=True, kw_only=True):
    """An attachment by the hash of its bytes; `Attempt.blob` reads them."""

    sha256: str
    name: Short = ""
    type: Short = "application/octet-stream"
    size: int = 0


class Open(Struct, frozen=True, kw_only=True, tag="open"):
    """Open a ticket for a query."""

    ext_id: str
    """Ours, stable: what `find` searches for."""
    subject: str
    text: str
    user: Claim
    fields: Mapping[str, str] = {}
    """Native: the hub has applied the configured mapping."""
    media: Sequence[MediaRef] = ()


class Say(Struct, frozen=True, kw_only=True, tag="say"):
    """Add a comment to a ticket."""

    ext_id: str
    text: str
    public: bool
    author: str = ""
    media: Sequence[MediaRef] = ()


class Change(Struct, frozen=True, kw_only=True, tag="change"):
    """Change native fields of a ticket."""

    ext_id: str
    fields: Mapping[str, str]


TicketWork = Open | Say | Change


class Step(Struct, frozen=True, kw_only=True):
    """One effect, stored before its first try; a retry sends these bytes again.

    Its idempotency class: `harmless` or A (`key_life`), B (`find_lag`); none of the three is C,
    and a possible duplicate is then flagged for a person.
    """

    kind: str
    body: bytes
    harmless: bool = False
    """Twice is the same as once (set a state)."""
    key_life: float = 0.0
    """Class A for so many seconds: the far side honours `attempt.key`."""
    find_lag: float | None = None
    """Class B: so many seconds after the effect an empty find() is an answer."""


class Done(Struct, frozen=True, kw_only=True):
    """A step had its effect."""

    ref: str
    """Id of the ticket or message at the far side."""
    objects: Sequence[str] = ()
    """Everything this step made there: echoes are told by these."""
    revision: int = 0
    reply_via: bytes = b""
    """A new way back (the chat moved), else b""."""
    caught: bool = False
    """Nothing left the hub because no server is configured: the console shows the step's bytes."""


class Capabilities(Struct, frozen=True, kw_only=True):
    """What a connector or target can do: declared here, tested for honesty by the kit. 0 is "no limit"."""

    formats: Sequence[Literal["text", "html"]] = ("text",)
    max_text: int = 0
    max_media: int = 0
    """Bytes of one attachment."""
    media: bool = False
    """Of a Sender: answers may carry files (`Outgoing.media`). None are given where `fallback_after` is set: the letter
    that brings what nobody fetched has the text alone."""
    sends_to: frozenset[str] = frozenset()
    """Schemes of the identities that a Sender delivers to: where an answer may go through this instance."""
    own: frozenset[Identity] = frozenset()
    """Who the desk itself is here: nothing is acknowledged to it."""
    max_body: int = 1 << 20
    """Bytes of one incoming request or message: more is refused before it is read (413)."""
    verbs: frozenset[str] = frozenset()
    """Targets: open say note change attach · channels: edit typing receipts."""
    fallback_after: float = 0.0
    """Seconds after which an answer without a `delivered` receipt goes to the sender's `Message.fallback`; 0: never."""
    rates: Sequence[
        tuple[
            Literal["instance", "lane"], Annotated[int, Meta(ge=1, le=10_000)], Annotated[float, Meta(gt=0, le=86_400)]
        ]
    ] = ()
    """(scope, n, seconds): the far side takes at most n steps in any so many seconds; the hub holds back what is more,
    on all nodes together. "lane": to one conversation, or to what `place` names."""


class Finding(Struct, frozen=True, kw_only=True):
    """One result of a `check`, in words for an administrator."""

    ok: bool
    what: str
    fix: str = ""


class Line(Struct, frozen=True, kw_only=True):
    """One recorded line of a thread, as a socket's feed gives it."""

    seq: int
    """Gap-free per thread, given when the hub records the message."""
    id: str
    key: str
    """`Message.key` of an inbound line: the client knows its own again."""
    side: Literal["user", "desk"]
    text: str
    at: Instant
    media: Sequence[MediaRef] = ()


class Signal(Struct, frozen=True, kw_only=True):
    """Something in a thread that passes (an agent types): told to whoever follows it now, never stored."""

    what: str


class Page(Struct, frozen=True, kw_only=True):
    """A page or asset as data: `hub/web` serves it at `/p/{instance}/{path}` and alone knows sessions and CSP."""

    path: str
    body: bytes
    type: str = "text/html; charset=utf-8"
    embed: bool = False
    """Other sites may load it (a widget's script)."""


class Event(Struct, frozen=True, kw_only=True):
    """A sealed event, as observers see it; `seq` never has gaps and never goes back."""

    seq: int
    kind: str
    at: Instant
    subject: str
    facts: Mapping[str, Any] = {}
