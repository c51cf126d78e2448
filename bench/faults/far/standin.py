"""Plugins of the fault tests: a ticketing tool of each idempotency class, and a source that is read with a cursor."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta, Struct

from plugins import (
    Attempt,
    Call,
    Capabilities,
    Channel,
    Claim,
    Connector,
    Done,
    Envelope,
    HubPort,
    Identity,
    Item,
    Message,
    Open,
    Step,
    Ticketing,
    TicketWork,
    hookimpl,
)

LAG = 0.2
"""Seconds until the far side's search shows what was made."""


class StandInSettings(Struct, frozen=True, kw_only=True):
    url: Annotated[str, Meta(description="Where the far side listens.")]
    effects: Annotated[Literal["a", "b", "c"], Meta(description="A honours keys, B can be searched, C is neither.")]


class StandIn:
    """Each step is one POST; what it makes there bears the step's key."""

    contract: ClassVar[int] = 1
    kind: ClassVar[str] = "standin"
    settings_type: ClassVar[type[StandInSettings]] = StandInSettings
    capabilities = Capabilities(verbs=frozenset({"open", "say"}))

    def __init__(self, instance: str, settings: StandInSettings) -> None:
        self._settings = settings

    def plan(self, work: TicketWork) -> Sequence[Step]:
        verb = "open" if isinstance(work, Open) else "say"
        body = msgspec.json.encode({"ext": work.ext_id, "verb": verb})
        kind = self._settings.effects
        return [Step(kind=verb, body=body, key_life=3600 if kind == "a" else 0, find_lag=LAG if kind == "b" else None)]

    async def perform(self, step: Step, attempt: Attempt) -> Done:
        headers = {"idempotency-key": attempt.key, "content-type": "application/json"}
        url = f"{self._settings.url}/{self._settings.effects}/effects"
        answer = await attempt.call(Call(method="POST", url=url, headers=headers, body=step.body))
        return _done(json.loads(answer.body))

    async def find(self, step: Step, attempt: Attempt) -> Sequence[Done]:
        url = f"{self._settings.url}/{self._settings.effects}/effects?key={attempt.key}"
        answer = await attempt.call(Call(method="GET", url=url))
        return [_done(one) for one in json.loads(answer.body)]


def _done(made: dict[str, Any]) -> Done:
    return Done(ref=made["ref"], objects=[made["ref"]])


class FeedSettings(Struct, frozen=True, kw_only=True):
    file: Annotated[str, Meta(description="Lines of JSON, appended by somebody else.")]


class Feed:
    """Reads a file's lines as a mailbox is read: a cursor in the store, nothing changed at the source before."""

    contract: ClassVar[int] = 1
    kind: ClassVar[str] = "feed"
    channel: ClassVar[Channel] = "chat"
    settings_type: ClassVar[type[FeedSettings]] = FeedSettings
    isolate: ClassVar[bool] = False
    once: ClassVar[bool] = True
    capabilities = Capabilities()

    def __init__(self, instance: str, settings: FeedSettings) -> None:
        self._file = Path(settings.file)

    async def run(self, hub: HubPort) -> None:
        at = int(await hub.cursor() or b"0")
        while True:
            with self._file.open("rb") as file:
                file.seek(at)
                lines = file.read(1 << 16).split(b"\n")[:-1][:5]
            if lines:
                new = []
                for line in lines:
                    new.append(Envelope(key=f"line-{at}", raw=line, at=hub.clock.now()))
                    at += len(line) + 1
                await hub.receive(*new, cursor=b"%d" % at)
            hub.alive()
            await asyncio.sleep(0.02)

    def parse(self, envelope: Envelope) -> Iterator[Item]:
        said = json.loads(envelope.raw)
        if said.get("poison"):
            raise RuntimeError("this line breaks its parser")
        yield Message(
            key=said["op"],
            thread="feed",
            sender=Claim(identity=Identity(scheme="feed", value="feed")),
            at=envelope.at,
            text=said["op"],
        )


@hookimpl
def register_connectors() -> Sequence[type[Connector]]:
    return [Feed]


@hookimpl
def register_ticketing() -> Sequence[type[Ticketing]]:
    return [StandIn]
