"""A connector as a third party writes it: a notice board that is polled, answered and watched; one import of ours."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta, Struct

from plugins import (
    Attempt,
    Call,
    Capabilities,
    Channel,
    Checkable,
    Claim,
    Connector,
    Done,
    Egress,
    Envelope,
    Event,
    Finding,
    HubPort,
    Identity,
    Item,
    Message,
    Outgoing,
    Runner,
    Secret,
    Sender,
    Skipped,
    Step,
    hookimpl,
)

SEALED: list[int] = []


class BoardSettings(Struct, frozen=True, kw_only=True):
    url: Annotated[str, Meta(description="Address of the board.")]
    token: Annotated[Secret, Meta(description="Lets us read and write.")]
    every: Annotated[float, Meta(description="Seconds between two looks.", gt=0)] = 30.0


class Post(Struct, frozen=True, kw_only=True):
    id: Annotated[str, Meta(min_length=1, max_length=100)]
    by: Annotated[str, Meta(min_length=1, max_length=100)]
    text: str
    at: Annotated[datetime, Meta(tz=True)]


class Board:
    contract: ClassVar[int] = 1
    kind: ClassVar[str] = "acme_board"
    settings_type: ClassVar[type[BoardSettings]] = BoardSettings
    isolate: ClassVar[bool] = False
    once: ClassVar[bool] = True
    channel: ClassVar[Channel] = "social"
    capabilities = Capabilities(max_text=500)

    def __init__(self, instance: str, settings: BoardSettings) -> None:
        self._instance = instance
        self._settings = settings

    async def run(self, hub: HubPort) -> None:
        while True:
            cursor = await hub.cursor() or b""
            answer = await hub.call(self._call("GET", f"/posts?after={cursor.decode()}"))
            hub.alive()
            posts = msgspec.json.decode(answer.body, type=list[msgspec.Raw])
            for raw in posts:
                post = msgspec.json.decode(raw, type=Post)
                envelope = Envelope(key=post.id, raw=bytes(raw), at=hub.clock.now(), lane=post.by)
                await hub.receive(envelope, cursor=post.id.encode())
            await hub.clock.sleep(self._settings.every)

    def parse(self, envelope: Envelope) -> Iterable[Item]:
        try:
            post = msgspec.json.decode(envelope.raw, type=Post)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            yield Skipped(reason=f"no post: {str(error)[:200]}", park=True)
            return
        sender = Claim(identity=Identity(scheme="acme", value=post.by), assurance=1, issuer=self._instance)
        at = post.at if 1990 < post.at.year < 3000 else envelope.at
        yield Message(key=post.id, thread=post.id, sender=sender, at=at.astimezone(UTC), text=post.text, private=False)

    def plan(self, work: Outgoing) -> Sequence[Step]:
        parts = [work.text[start : start + 500] for start in range(0, len(work.text), 500)]
        return [Step(kind="post", body=part.encode(), key_life=3600) for part in parts]

    async def perform(self, step: Step, attempt: Attempt) -> Done:
        answer = await attempt.call(self._call("POST", f"/posts/{attempt.key}", step.body))
        return Done(ref=msgspec.json.decode(answer.body, type=dict[str, str]).get("id", attempt.key))

    async def find(self, step: Step, attempt: Attempt) -> Sequence[Done]:  # the key says which
        answer = await attempt.call(self._call("GET", f"/posts/{attempt.key}"), expect=(404,))
        return [] if answer.status == 404 else [Done(ref=attempt.key)]

    async def check(self, egress: Egress) -> Sequence[Finding]:
        await egress.call(self._call("GET", "/"))
        return [Finding(ok=True, what="the board answers")]

    def _call(self, method: str, path: str, body: bytes = b"") -> Call:
        headers = {"authorization": self._settings.token.wrap("Bearer {}")}
        return Call(method=method, url=self._settings.url + path, headers=headers, body=body)


@hookimpl
def register_connectors() -> Sequence[type[Connector]]:
    return [Board]


@hookimpl
def observe_event(event: Event) -> None:
    SEALED.append(event.seq)


def _fits(board: Board) -> tuple[Runner, Sender, Checkable]:
    """What mypy proves: the class is all of these."""
    return board, board, board
