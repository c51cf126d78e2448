"""Mastodon: what people say to an account in public and in private, and answers to either where it was said.

(https://docs.joinmastodon.org/client/.) Notifications are fetched; ids, not times, say what is new. An answer to a
public post is as public as that; whatever fewer people could read is answered in a direct message, to its author alone.

Posts carry an `Idempotency-Key`, which a server knows again for an hour: a second try makes no second post (class A).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta, Struct

from connectors.channels.mastodon import statuses
from connectors.channels.mastodon.errors import raise_for
from connectors.channels.mastodon.runner import Fetching
from connectors.channels.mastodon.statuses import OPEN, Way
from connectors.channels.mastodon.text import measure, unmentioned
from plugins import (
    Answer,
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
    MediaRef,
    Outgoing,
    Pause,
    Refuse,
    Retry,
    Secret,
    Step,
    Uncertain,
    hookimpl,
    multipart,
    one_line,
    split_text,
    unwell,
)

KEY_LIFE = 3600.0  # seconds, "POST /api/v1/statuses", Idempotency-Key
PATIENCE = 10
"""Seconds that a file may take until the server has processed it."""
_ANSWERED = (400, 401, 403, 404, 410, 413, 422, 429)
_HANDLE = re.compile(r"[\w.-]+@[\w.-]+(?::\d+)?")
_MB = 1 << 20
MAX_FILE = 99 * _MB  # videos are the longest
_MEDIA: Mapping[str, int] = {  # "Posting to your profile: media"
    **dict.fromkeys(("image/jpeg", "image/png", "image/gif", "image/webp", "image/heic", "image/avif"), 16 * _MB),
    **dict.fromkeys(("video/mp4", "video/webm", "video/quicktime"), 99 * _MB),
    **dict.fromkeys(("audio/mpeg", "audio/ogg", "audio/wav", "audio/flac", "audio/aac", "audio/mp4"), 99 * _MB),
}


class MastodonSettings(Struct, frozen=True, kw_only=True):
    """Settings of kind `mastodon`."""

    api_url: Annotated[
        str, Meta(description="The account's server, such as https://social.example.org.", pattern="^https?://[^/]+$")
    ]
    token: Annotated[Secret, Meta(description="Access token of an application of the account.")]
    characters: Annotated[
        int, Meta(description="Characters of a post that the server takes; `check` compares it.", ge=100, le=100_000)
    ] = 500
    poll: Annotated[
        float,
        Meta(description="Seconds between two looks; each is two requests of 300 in five minutes.", ge=0.1, le=3600),
    ] = 15.0


class _Part(Struct, frozen=True, omit_defaults=True):
    """A step's body: a post with a part of the text, or with a file."""

    to: str
    text: str
    visibility: str
    answers: str = ""
    warning: str = ""
    file: MediaRef | None = None


class _Mention(Struct, frozen=True):
    acct: str


class _Posted(Struct, frozen=True):
    id: str
    visibility: str = ""
    mentions: tuple[_Mention, ...] = ()


class _Me(Struct, frozen=True):
    acct: str


class _Limits(Struct, frozen=True):
    max_characters: int


class _Configuration(Struct, frozen=True):
    statuses: _Limits


class _Instance(Struct, frozen=True):
    configuration: _Configuration


class _File(Struct, frozen=True):
    id: str


class MastodonConnector:
    """An account on a Mastodon server: public mentions and direct messages in, answers out."""

    contract: ClassVar[int] = 1
    kind: ClassVar[str] = "mastodon"
    settings_type: ClassVar[type[MastodonSettings]] = MastodonSettings
    isolate: ClassVar[bool] = False
    once: ClassVar[bool] = True
    channel: ClassVar[Channel] = "social"

    def __init__(self, instance: str, settings: MastodonSettings) -> None:  # the contract's arguments
        self._settings = settings

    @property
    def capabilities(self) -> Capabilities:
        """A text shares its post with the call to its reader."""
        return Capabilities(
            max_text=self._settings.characters,
            media=True,
            max_media=MAX_FILE,
            sends_to=frozenset({"mastodon"}),
            rates=(("instance", 300, 10_800.0),),  # posts of an account in three hours
        )

    async def run(self, hub: HubPort) -> None:
        """Look for new mentions, then once more at the last ones, then rest."""

        async def ask(path: str, kind: Any) -> Any:
            return await self._ask(hub, path, kind)

        fetching = Fetching(hub, ask)
        await fetching.begin()
        while True:
            while await fetching.new():
                pass
            await fetching.again()
            await hub.clock.sleep(self._settings.poll)

    def parse(self, envelope: Envelope) -> Iterator[Item]:
        """One item: a message, an edit or a deletion; other kinds are skipped with their name."""
        yield statuses.item(envelope)

    def plan(self, work: Outgoing) -> Sequence[Step]:
        """A post for each part of the text and for each file; direct unless both question and work are public."""
        way = msgspec.json.decode(work.reply_via, type=Way) if work.reply_via else Way("", "direct")
        to = _handle(work.to)
        shown = way.visibility if way.visibility in OPEN and not work.private else "direct"
        text = work.text if shown in OPEN else unmentioned(work.text)
        call, warning = f"@{to} ", one_line(way.warning, self._settings.characters // 5)
        limit = self._settings.characters - measure(call) - len(warning)
        parts = [
            _Part(to, f"{call}{each}", shown, way.status, warning) for each in split_text(text, max(limit, 20), measure)
        ]
        for file in work.media:
            _fits(file)
            name = unmentioned(one_line(file.name, 50))
            parts.append(_Part(to, f"{call}{name}".strip(), shown, way.status, warning, file))
        return [Step(kind="status", body=msgspec.json.encode(part), key_life=KEY_LIFE) for part in parts]

    async def perform(self, step: Step, attempt: Attempt) -> Done:
        """One post, which follows the part before it."""
        part = msgspec.json.decode(step.body, type=_Part)
        post: dict[str, Any] = {"status": part.text, "visibility": part.visibility}
        answers = attempt.made[-1].ref if attempt.made else part.answers
        if answers:
            post["in_reply_to_id"] = answers
        if part.warning:
            post["spoiler_text"] = part.warning
        if part.file is not None:
            post["media_ids"] = [await self._upload(part.file, attempt)]
        headers = self._headers | {"content-type": "application/json", "idempotency-key": attempt.key}
        url = f"{self._settings.api_url}/api/v1/statuses"
        call = Call(method="POST", url=url, headers=headers, body=msgspec.json.encode(post))
        posted = _read(await attempt.call(call, expect=_ANSWERED), _Posted, Uncertain)
        if part.visibility == "direct" and posted.visibility not in ("direct", ""):
            raise Refuse("not_allowed", f"the server made the post {posted.id} {posted.visibility}: delete it there")
        if part.to.partition("@")[0] not in {each.acct.lower().partition("@")[0] for each in posted.mentions}:
            raise Refuse("recipient_unknown", f"the server finds no @{part.to}: the post {posted.id} calls nobody")
        return Done(ref=posted.id, objects=(posted.id,))

    async def _upload(self, file: MediaRef, attempt: Attempt) -> str:
        """The id of a file that is ready. Nobody sees it before a post names it, so twice does no harm."""
        kind, body = multipart({}, [("file", file.name, file.type, await attempt.blob(file.sha256))])
        url, headers = f"{self._settings.api_url}/api/v2/media", self._headers | {"content-type": kind}
        call = Call(method="POST", url=url, headers=headers, body=body, effect=False)
        answer = await attempt.call(call, expect=_ANSWERED)
        number = str(_read(answer, _File, Pause).id)
        for _ in range(PATIENCE):
            if answer.status == 200:
                return number
            await attempt.clock.sleep(1.0)
            url = f"{self._settings.api_url}/api/v1/media/{number}"
            answer = await attempt.call(Call(method="GET", url=url, headers=self._headers), expect=_ANSWERED)
            _read(answer, _File, Pause)
        raise Retry("the server is still busy with the file", after=30)

    async def find(self, step: Step, attempt: Attempt) -> Sequence[Done]:  # the key is proof enough
        """Not asked: the server knows the key again."""
        return ()

    async def fetch(self, ref: str, egress: Egress) -> bytes:
        """Files lie in the open under addresses that nobody guesses; our token goes to none of them."""
        if not ref.startswith(("https://", f"{self._settings.api_url}/")):
            raise Refuse("content_refused", "the file's address is no web address")
        return (await egress.call(Call(method="GET", url=ref, longest=MAX_FILE))).body

    async def check(self, egress: Egress) -> Sequence[Finding]:
        """Is the token good, and how long may a post be?"""
        try:
            me = await self._ask(egress, "/api/v1/accounts/verify_credentials", _Me)
            instance = await self._ask(egress, "/api/v2/instance", _Instance)
        except (Pause, Refuse, Retry, Uncertain) as error:
            fix = "make an application under Preferences → Development and put its access token into the environment"
            return (unwell("Mastodon", error, fix),)
        if me is None or instance is None:
            return (Finding(ok=False, what="this is no server of Mastodon 4", fix="look at api_url"),)
        most = instance.configuration.statuses.max_characters
        fits = self._settings.characters <= most
        length = Finding(
            ok=fits, what=f"the server takes {most} characters", fix="" if fits else f"characters = {most}"
        )
        return (Finding(ok=True, what=f"the token is that of @{me.acct}"), length)

    async def _ask(self, egress: Egress, path: str, kind: Any) -> Any:
        """A question and its answer, None for 404."""
        call = Call(method="GET", url=f"{self._settings.api_url}{path}", headers=self._headers)
        answer = await egress.call(call, expect=_ANSWERED)
        return None if answer.status in (404, 410) else _read(answer, kind, Pause)

    @property
    def _headers(self) -> dict[str, Any]:
        return {"authorization": self._settings.token.wrap("Bearer {}"), "accept-language": "en"}


def _read(answer: Answer, kind: Any, unreadable: type[Pause | Uncertain]) -> Any:
    """The answer if it is good, else the error with its name; `unreadable` for a page that is none of Mastodon's."""
    if answer.status >= 400:
        raise_for(answer)
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise unreadable("the answer is none of Mastodon's: is something in between?") from None


def _handle(identity: Identity) -> str:
    if identity.scheme != "mastodon" or not _HANDLE.fullmatch(identity.value):
        raise Refuse("recipient_unknown", "no name and server of Mastodon")
    return identity.value.lower()


def _fits(file: MediaRef) -> None:
    """Raises Refuse before anything is sent."""
    limit = _MEDIA.get(file.type, 0)
    if not limit:
        raise Refuse("media_unsupported", one_line(f"Mastodon takes pictures, sound and video, no {file.type}", 200))
    if file.size > limit:
        raise Refuse("media_too_large", f"Mastodon takes up to {limit >> 20} MB of it")


@hookimpl
def register_connectors() -> Sequence[type[Connector]]:
    """Kind `mastodon`."""
    return [MastodonConnector]
