"""Slack: channels, threads and direct messages in, answers and files out (https://docs.slack.dev).

Events come by HTTP, signed, if `signing_secret` is set (Events API), or over a WebSocket that we dial, if `app_token`
is (Socket Mode): Slack allows one of the two. What Slack sent is acknowledged when it is on disk, in both. A person's
identity is (`slack`, workspace:user). Answers go into the thread that they answer; direct messages alone are private.

Posts carry the step's key as message metadata, so that one whose answer was lost is looked for in the conversation
before it is sent again (class B). Shared files carry nothing (class C). Slack tells of no receipts.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any, ClassVar
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from connectors.channels.slack import events, socket_mode
from connectors.channels.slack.api import ask, tell, told
from connectors.channels.slack.events import Way
from connectors.channels.slack.markup import escaped, measure
from plugins import (
    Attempt,
    Call,
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
    NotAuthentic,
    Outgoing,
    Pause,
    Refuse,
    Reply,
    Request,
    Retry,
    Secret,
    Step,
    Uncertain,
    check_age,
    hmac_verify,
    hookimpl,
    plausible,
    split_text,
    unwell,
)

MAX_TEXT = 4000  # chat.postMessage: "limit the number of characters to 4,000"; what is past 40,000 is cut off silently
MAX_FILE = 1 << 30  # bytes, "Add files to Slack"
EVENT = "trunkline_answer"
"""The type of our metadata."""
PAGES, PAGE = 20, 200  # of a conversation, when a post is looked for
LONG_AGO = timedelta(days=31)
SCOPES = (
    "chat:write",
    "files:read",
    "files:write",
    "im:write",
    "metadata.message:read",
    "users:read",
    "users:read.email",
)
_READ = ("channels:history", "groups:history", "im:history", "mpim:history")


class SlackSettings(Struct, frozen=True, kw_only=True):
    """Settings of kind `slack`."""

    token: Annotated[Secret, Meta(description="The app's bot token (xoxb-…).")]
    signing_secret: Annotated[
        Secret | None, Meta(description="The app's signing secret; set it if events come by HTTP (Events API).")
    ] = None
    app_token: Annotated[
        Secret | None,
        Meta(description="App-level token (xapp-…) with connections:write; set it instead for Socket Mode, which needs "
             "no open port."),
    ] = None  # fmt: skip
    channels: Annotated[
        tuple[Annotated[str, Meta(pattern="^[CG][A-Z0-9]{2,30}$")], ...],
        Meta(description="Ids of the channels that are read (C…, G…); empty: all that the app is a member of. Direct "
             "messages are always read."),
    ] = ()  # fmt: skip
    find_after: Annotated[
        float,
        Meta(description="Seconds after which a conversation's history surely shows what was posted.", ge=0, le=600),
    ] = 10.0
    api_url: Annotated[
        str, Meta(description="Where the Web API is; https://slack-gov.com/api for GovSlack.", pattern="^https?://")
    ] = "https://slack.com/api"

    def __post_init__(self) -> None:
        """What a type can't say; blanked secrets pass."""
        if (self.signing_secret is None) == (self.app_token is None):
            raise ValueError("set signing_secret (Events API) or app_token (Socket Mode), one of the two")
        for secret, form in ((self.token, "xox"), (self.app_token, "xapp-")):
            if secret and secret.reveal() and not secret.reveal().startswith(form):
                raise ValueError("token begins with xoxb-, app_token with xapp-; this is another kind of secret")


class _Post(Struct, frozen=True, omit_defaults=True):
    """A step's body: a part of the text, or a file."""

    way: Way
    text: str = ""
    file: tuple[str, str, int] | None = None
    """sha256, name, bytes."""


class _Meta(Struct, frozen=True):
    event_type: str = ""
    event_payload: Mapping[str, Any] | None = None


class _Seen(Struct, frozen=True):
    ts: str = ""
    text: str | None = None
    bot_id: str | None = None
    metadata: _Meta | None = None


class _More(Struct, frozen=True):
    next_cursor: str | None = None


class _History(Struct, frozen=True):
    messages: tuple[_Seen, ...] = ()
    response_metadata: _More | None = None


class _Posted(Struct, frozen=True):
    channel: str
    ts: str


class _Place(Struct, frozen=True):
    id: str


class _Opened(Struct, frozen=True):
    channel: _Place


class _Upload(Struct, frozen=True):
    upload_url: str
    file_id: str


class _Told(Struct, frozen=True):
    """A file, as files.info shows it."""

    mimetype: str | None = None
    url_private: str | None = None
    url_private_download: str | None = None


class _FileInfo(Struct, frozen=True):
    file: _Told


class _Me(Struct, frozen=True):
    team: str = "?"
    user: str = "?"
    bot_id: str = ""


class SlackConnector:
    """A Slack app in one workspace: channels, threads and direct messages in, answers and files out."""

    contract: ClassVar[int] = 1
    kind: ClassVar[str] = "slack"
    settings_type: ClassVar[type[SlackSettings]] = SlackSettings
    isolate: ClassVar[bool] = False
    once: ClassVar[bool] = True
    channel: ClassVar[Channel] = "chat"
    capabilities = Capabilities(
        max_text=MAX_TEXT,
        media=True,
        max_media=MAX_FILE,
        sends_to=frozenset({"slack"}),
        rates=(("lane", 1, 1.0),),  # "Rate limits": one message per second and channel
    )
    accepted = Reply()

    def __init__(self, instance: str, settings: SlackSettings) -> None:  # the contract's arguments
        self._settings = settings

    def verify(self, request: Request) -> Envelope | Reply:
        """`v0=` HMAC over time and body ("Verifying requests from Slack"); the challenge is signed like all else."""
        secret, stamp = self._settings.signing_secret, request.header("x-slack-request-timestamp")
        if secret is None:
            raise NotAuthentic("events come by Socket Mode here")
        check_age(stamp, request.at)
        content = b"v0:" + stamp.encode() + b":" + request.body
        hmac_verify(request.header("x-slack-signature"), content, [secret], prefix="v0=")
        if request.method != "POST":
            return Reply(status=405, headers=(("Allow", "POST"),))
        challenge = events.challenge(request.body)
        if challenge is not None:
            return Reply(body=challenge.encode("utf-8", "replace"))
        return events.envelope(request.body, request.at)

    async def run(self, hub: HubPort) -> None:
        """Socket Mode; with the Events API there is nothing to run."""
        if self._settings.app_token is not None:
            await socket_mode.run(hub, self._settings.api_url, self._settings.app_token)

    def parse(self, envelope: Envelope) -> Iterator[Item]:
        """One item per event; kinds that we don't read are skipped with their name."""
        yield events.item(envelope, self._settings.channels)

    def plan(self, work: Outgoing) -> Sequence[Step]:
        """A step for each part of the text and for each file, in this order; private answers stay out of channels."""
        user = _user(work.to)
        way = msgspec.json.decode(work.reply_via, type=Way) if work.reply_via else Way(user)
        if work.private and not way.private:
            way = Way(user)
        if any(each.size > MAX_FILE for each in work.media):
            raise Refuse("media_too_large", f"Slack takes files up to {MAX_FILE} bytes")
        posts = [_Post(way, escaped(part)) for part in split_text(work.text, MAX_TEXT, measure)]
        files = [_Post(way, file=(each.sha256, each.name or "file", each.size)) for each in work.media]
        lag = self._settings.find_after
        return [
            Step(kind="post", body=msgspec.json.encode(post), find_lag=lag) for post in posts
        ] + [Step(kind="file", body=msgspec.json.encode(post)) for post in files]  # fmt: skip

    def place(self, step: Step) -> str:
        """The conversation, whatever threads in it are answered."""
        return msgspec.json.decode(step.body, type=_Post).way.channel

    async def perform(self, step: Step, attempt: Attempt) -> Done:
        """One message, or one file."""
        post = msgspec.json.decode(step.body, type=_Post)
        if post.file is not None:
            return await self._share(post.way, post.file, attempt)
        given: dict[str, Any] = {
            "channel": post.way.channel, "text": post.text, "mrkdwn": False, "unfurl_links": False,
            "unfurl_media": False, "metadata": {"event_type": EVENT, "event_payload": {"key": attempt.key}},
        }  # fmt: skip
        if post.way.thread:
            given["thread_ts"] = post.way.thread
        posted = told(await attempt.call(self._tell("chat.postMessage", given)), _Posted)
        ref = events.key(posted.channel, posted.ts)
        return Done(ref=ref, objects=(ref,))

    async def _share(self, way: Way, file: tuple[str, str, int], attempt: Attempt) -> Done:
        """Uploaded bytes are seen by nobody until they are shared, which is the effect ("Working with files")."""
        sha256, name, _ = file
        data = await attempt.blob(sha256)
        channel = await self._channel(way, attempt)
        place = told(
            await attempt.call(self._ask("files.getUploadURLExternal", filename=name, length=len(data))), _Upload
        )
        headers = {"content-type": "application/octet-stream"}
        await attempt.call(Call(method="POST", url=Secret(place.upload_url), headers=headers, body=data, effect=False))
        given = {"files": [{"id": place.file_id, "title": name}], "channel_id": channel}
        if way.thread:
            given["thread_ts"] = way.thread
        told(await attempt.call(self._tell("files.completeUploadExternal", given)), dict[str, Any])
        return Done(ref=place.file_id, objects=(place.file_id,))

    async def find(self, step: Step, attempt: Attempt) -> Sequence[Done]:
        """By our metadata. Raises Uncertain where Slack does not show it, or the conversation is too long to read."""
        post = msgspec.json.decode(step.body, type=_Post)
        channel = await self._channel(post.way, attempt)
        found, cursor = [], ""
        for _ in range(PAGES):
            page = await self._page(channel, post.way.thread, cursor, attempt)
            for seen in page.messages:
                if seen.metadata is not None and (seen.metadata.event_payload or {}).get("key") == attempt.key:
                    ref = events.key(channel, seen.ts)
                    found.append(Done(ref=ref, objects=(ref,)))
                elif seen.metadata is None and seen.bot_id and (seen.text or "") == post.text:
                    raise Uncertain("it may be there: Slack shows no metadata (scope metadata.message:read)")
            cursor = (page.response_metadata and page.response_metadata.next_cursor) or ""
            if not cursor or found or _long_ago(page, post.way.thread, attempt):
                return found
        raise Uncertain("the conversation is too long to look through")

    async def fetch(self, ref: str, egress: Egress) -> bytes:
        """The token goes to Slack's own hosts only, whatever address the file names."""
        token = self._settings.token
        file = told(await egress.call(self._ask("files.info", file=ref)), _FileInfo).file
        url = file.url_private_download or file.url_private or ""
        if not _same_site(url, self._settings.api_url):
            raise Refuse("original_gone", "the file does not lie at Slack")
        headers = {"authorization": token.wrap("Bearer {}")}
        answer = await egress.call(Call(method="GET", url=url, headers=headers, longest=MAX_FILE))
        page = answer.headers.get("content-type", "").startswith("text/html")
        if page and file.mimetype != "text/html":
            raise Refuse("not_allowed", "Slack shows its sign-in page: the app lacks files:read")
        return answer.body

    async def profile(self, identity: Identity, egress: Egress) -> Envelope:
        """Name and mail address. A refusal is an answer too: nobody waits for the name."""
        workspace, _, user = identity.value.partition(":")
        answer = await egress.call(self._ask("users.info", user=user))
        return events.profile(answer.body, workspace, user, egress.clock.now())

    async def check(self, egress: Egress) -> Sequence[Finding]:
        """Are the tokens good, and may the app do what is asked of it?"""
        findings = []
        try:
            answer = await egress.call(self._ask("auth.test"))
            me = told(answer, _Me)
            findings.append(Finding(ok=True, what=f"the token is that of @{me.user} in {me.team}"))
            findings.extend(_rights(answer.headers.get("x-oauth-scopes", "")))
            if self._settings.app_token is not None:
                await socket_mode.address(egress, self._settings.api_url, self._settings.app_token)
                findings.append(Finding(ok=True, what="Socket Mode is on"))
        except (Pause, Refuse, Retry, Uncertain) as error:
            fix = "see OAuth & Permissions and Basic Information of the app at api.slack.com/apps"
            findings.append(unwell("Slack", error, fix))
        return findings

    async def _channel(self, way: Way, egress: Egress) -> str:
        """The id of the conversation; opening one that is open gives it again."""
        if way.channel[:1] not in ("U", "W"):
            return way.channel
        call = self._tell("conversations.open", {"users": way.channel}, effect=False)
        return told(await egress.call(call), _Opened).channel.id

    async def _page(self, channel: str, thread: str, cursor: str, egress: Egress) -> _History:
        given: dict[str, Any] = {"channel": channel, "limit": PAGE, "include_all_metadata": "true"}
        given |= {"cursor": cursor} if cursor else {}
        if thread:
            return told(await egress.call(self._ask("conversations.replies", ts=thread, **given)), _History)
        return told(await egress.call(self._ask("conversations.history", **given)), _History)

    def _ask(self, method: str, **given: Any) -> Call:
        return ask(self._settings.api_url, method, self._settings.token, given)

    def _tell(self, method: str, given: Mapping[str, Any], *, effect: bool = True) -> Call:
        return tell(self._settings.api_url, method, self._settings.token, given, effect=effect)


def _user(identity: Identity) -> str:
    user = identity.value.partition(":")[2]
    if identity.scheme != "slack" or user[:1] not in ("U", "W") or not user.isalnum():
        raise Refuse("recipient_unknown", "not a user of a workspace")
    return user


def _long_ago(page: _History, thread: str, egress: Egress) -> bool:
    """Of a history, newest first: what follows is older than any post that is still in question."""
    if thread or not page.messages:
        return False
    now = egress.clock.now()
    return now - plausible(page.messages[-1].ts, now) > LONG_AGO


def _same_site(url: str, api_url: str) -> bool:
    """Does it lie on the API's host or one below (files.slack.com), by the same scheme?"""
    try:
        there, own = urlsplit(url), urlsplit(api_url)
        alike = there.port == own.port
    except ValueError:  # no address at all
        return False
    host, home = there.hostname or "", own.hostname or ""
    same = host == home and alike
    return there.scheme == own.scheme and (same or (not there.port and host.endswith(f".{home}")))


def _rights(header: str) -> Sequence[Finding]:
    """Slack names the token's scopes in every answer."""
    scopes = {scope.strip() for scope in header.split(",")}
    lacks = [scope for scope in SCOPES if scope not in scopes]
    if not scopes.intersection(_READ):
        lacks.append(" or ".join(_READ))
    if not header or not lacks:
        return ()
    fix = "add them under OAuth & Permissions, and install the app again"
    return [Finding(ok=False, what=f"the app lacks the scopes {', '.join(lacks)}", fix=fix)]


@hookimpl
def register_connectors() -> Sequence[type[Connector]]:
    """Kind `slack`."""
    return [SlackConnector]
