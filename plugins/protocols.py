"""What a plugin may be, and what the hub gives to it.

A class is what it implements; there are no base classes, and a mode is another kind (`slack`,
`slack_socket`): roles can't depend on settings. A connector is built as `cls(instance, settings)`:
no I/O and no running loop, because parse workers, `trunkline check` and the kit build it too.
`parse`, `verify` and `plan` see only their argument and the settings.

Members stand in this order in every file: contract, kind, settings_type, isolate, once, channel, capabilities,
accepted, __init__, verify, respond, run, serve, pages, show, contact, parse, plan, place, perform, find, fetch,
profile, check. What is a property, because settings decide it, stands behind __init__.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, ClassVar, Protocol, TypeVar

from plugins.model import (
    Answer,
    Call,
    Capabilities,
    Channel,
    Contact,
    Done,
    Envelope,
    Finding,
    Identity,
    Item,
    Line,
    Outgoing,
    Page,
    Received,
    Reply,
    Request,
    Signal,
    Step,
    TicketWork,
)

WorkT = TypeVar("WorkT", contravariant=True)


# ---- what the hub gives to a plugin -----------------------------------------------------------------


class Clock(Protocol):
    """Time as an argument: tests turn it, nothing reads the wall clock behind its back."""

    def now(self) -> datetime:
        """UTC, with its zone."""

    async def sleep(self, seconds: float) -> None:
        """Cancellable."""


class Egress(Protocol):
    """The way out: the hub's one guarded client, and stored credentials."""

    clock: Clock

    async def call(self, call: Call, *, expect: Collection[int] = ()) -> Answer:
        """Answer 2xx or a status in `expect`.

        Raises: 429 Retry, 401 and 403 Pause, other 4xx Refuse; 5xx or no answer Uncertain after an
        effect, Retry otherwise. Private addresses, redirects, endless and huge answers are refused.
        """

    async def token(self, name: str, renew: Callable[[bytes | None], Awaitable[tuple[bytes, datetime]]]) -> bytes:
        """A rotating credential, kept encrypted; one renewal at a time, stored before it is used.

        `renew` gets the last value and returns the new one with its expiry.
        """

    async def blob(self, sha256: str) -> bytes:
        """The bytes of a `MediaRef`."""


class Attempt(Egress, Protocol):
    """One try of one step."""

    key: str
    """The same on every try of this step: send it where the far side honours one. Letters, digits, `-` and `_`."""
    number: int
    ticket: str
    """The ticket's id in this target, "" before Open is done."""
    made: Sequence[Done]
    """By the earlier steps of this work."""

    def effect(self) -> None:
        """Call before an effect that is no HTTP (SMTP DATA): from here an unknown error means Uncertain."""


class Desk(Protocol):
    """What an answer in real time may ask. Every method is fast, and safe to repeat for one envelope."""

    async def reference(self, envelope: Envelope) -> str:
        """What to tell the person now: the open query's reference, else the receipt number."""

    async def notices(self) -> Sequence[str]:
        """Announcements that are in force now."""

    async def redeem(self, token: str, envelope: Envelope) -> bool:
        """Does this continuation token or PIN open its query? Tries are counted and limited.

        A PIN is worth nothing in `Message.tokens`, where nothing counts tries. The envelope that brought one that opens
        its query is itself a token for an hour: name its `key` in a later message of the thread.
        """


class Link(Protocol):
    """One WebSocket: dialled by us, or accepted."""

    async def receive(self) -> str | None:
        """The next text frame; None when the peer has gone."""

    async def send(self, text: str) -> None:
        """Raises ConnectionError when the peer has gone."""

    async def close(self, code: int) -> None:
        """RFC 6455 §7.4 codes."""


class HubPort(Egress, Desk, Protocol):
    """What a running connector holds of the hub."""

    async def receive(
        self, *envelopes: Envelope, cursor: bytes | None = None, name: str = "", wait: bool = True
    ) -> Sequence[Received]:
        """Return when all are on disk, with the cursor `name` in the same transaction.

        When the hub is full: waits, or raises Busy if not `wait`. Raises LeaseLost on a stale node.
        """

    async def cursor(self, name: str = "") -> bytes | None:
        """As last stored with `receive`."""

    def alive(self) -> None:
        """The source answered, even if it had nothing: health comes from this."""

    async def dial(self, call: Call) -> Link:
        """A WebSocket to a `wss` address, under the guard of `call`; every frame of the far side counts as `alive`.

        Raises: Refuse by the guard, Retry if nobody answers as a WebSocket.
        """

    async def last(self, thread: str) -> int:
        """Number of the thread's last recorded line, 0 before the first."""

    def feed(self, thread: str, after: int) -> AsyncGenerator[Line | Signal, None]:
        """Recorded lines of a thread after `after`, then live ones and signals, of all nodes. Endless: close it."""

    def signal(self, thread: str, what: str) -> None:
        """Ephemeral (`typing`): to all that follow the thread now, the caller too; never stored."""


class SocketLink(Link, Protocol):
    """One accepted WebSocket."""

    request: Request


# ---- in ----------------------------------------------------------------------------------------------


class Connector(Protocol):
    """What every channel has."""

    contract: ClassVar[int]
    kind: ClassVar[str]
    settings_type: ClassVar[type[Any]]
    isolate: ClassVar[bool]
    """True: `parse` runs in worker processes under limits of time and memory (mail, documents)."""

    @property
    def channel(self) -> Channel:
        """The family of contact: a class attribute (`channel: ClassVar[Channel] = "email"`), or by its settings."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do, by its settings."""

    def parse(self, envelope: Envelope) -> Iterable[Item]:
        """Pure and deterministic. What it can't read it yields as `Skipped(park=True)`."""


class Webhook(Connector, Protocol):
    """A channel that calls us by HTTP."""

    @property
    def accepted(self) -> Reply:
        """The plain acknowledgement: without `respond`, or when that fails or is late."""

    def verify(self, request: Request) -> Envelope | Reply:
        """An Envelope is journaled; a Reply is sent and nothing kept (challenges).

        Raises NotAuthentic, StaleKeys or Malformed.
        """


class Answering(Webhook, Protocol):
    """A webhook whose source waits for words (IVR, form)."""

    async def respond(self, envelope: Envelope, received: Received, desk: Desk) -> Reply:
        """After the commit, also for a redelivery; 2.5 s at most; never waits for a provider or target."""


class Runner(Connector, Protocol):
    """A channel that we go to, or that listens on a socket of its own."""

    once: ClassVar[bool]
    """True: on one node at a time, under a lease. False: a listener, on every node."""

    async def run(self, hub: HubPort) -> None:
        """Until cancelled (within 1 s). Returning means: nothing to run. Raising: restarted with back-off."""


class Socket(Connector, Protocol):
    """A channel over WebSockets that the hub accepts."""

    async def serve(self, link: SocketLink, hub: HubPort) -> None:
        """One call per connection."""


class Counter(Connector, Protocol):
    """A channel whose contacts an agent writes down: a walk-in, a call at the desk."""

    def contact(self, contact: Contact, at: datetime) -> Envelope:
        """Pure. Raises Malformed, in words for the agent: then nothing is kept."""


class Pages(Protocol):
    """A plugin with pages or assets of its own; posts are webhooks."""

    @property
    def pages(self) -> Sequence[Page]:
        """Read once, at start."""


# ---- out ---------------------------------------------------------------------------------------------


class Effects(Protocol[WorkT]):
    """Work as planned steps of one effect each: nothing that was done is done again."""

    def plan(self, work: WorkT) -> Sequence[Step]:
        """Pure; called once, at first claim. Refuse parks the work."""

    async def perform(self, step: Step, attempt: Attempt) -> Done:
        """Have the step's one effect."""

    async def find(self, step: Step, attempt: Attempt) -> Sequence[Done]:
        """Everything that this step has already made: nothing, one, or the duplicates too."""


class Sender(Effects[Outgoing], Protocol):
    """A channel that can answer."""


class Ticketing(Effects[TicketWork], Protocol):
    """A ticketing tool."""

    contract: ClassVar[int]
    kind: ClassVar[str]
    settings_type: ClassVar[type[Any]]

    @property
    def capabilities(self) -> Capabilities:
        """What it can do, by its settings."""


class Placed(Protocol):
    """A sender whose rates of scope "lane" are those of a place that several conversations share (a room, a chat)."""

    def place(self, step: Step) -> str:
        """Pure: where the step's effect shows, as the far side counts; "": the hub's own lane."""


class Readable(Protocol):
    """A target whose tickets can be read back."""

    async def read(self, ticket: str, egress: Egress) -> Envelope:
        """The ticket as it is now: journaled, then parsed like anything else."""


class Describable(Protocol):
    """A target that can say which values its fields take."""

    async def describe(self, egress: Egress) -> dict[str, Sequence[str]]:
        """Field → native values allowed; `check` holds the mapping against it."""


class Fetches(Protocol):
    """A connector whose items name media by `ref`."""

    async def fetch(self, ref: str, egress: Egress) -> bytes:
        """By a durable job, after the message was recorded."""


class Profiles(Protocol):
    """A connector that can ask the provider who an identity is."""

    async def profile(self, identity: Identity, egress: Egress) -> Envelope:
        """By a durable job; its answer is a new envelope."""


class Checkable(Protocol):
    """A plugin that can test its own connections for `trunkline check`."""

    async def check(self, egress: Egress) -> Sequence[Finding]:
        """Without effects; every problem with its fix."""


class Keyed(Protocol):
    """A webhook whose signing keys rotate at the provider."""

    async def renew_keys(self, egress: Egress) -> None:
        """Called once after StaleKeys."""
