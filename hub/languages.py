"""Which language a message is in, told in a worker process: the model's memory is not the hub's."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, cast

import msgspec
import structlog

from plugins import Item, Message

log = structlog.get_logger("trunkline.languages")

LONGEST = 1000
"""Characters of a message that are looked at."""
SECONDS = 10.0
"""For one batch; the first one loads the model. Nobody waits longer for a language."""


def tell_there(texts: Sequence[str], languages: Sequence[str]) -> list[str]:
    """What the pool calls: a tag of `languages` for each text, "" where it is not sure."""
    from routing.language import detect  # noqa: PLC0415  a worker of a hub with one language does without

    return [detect(text, languages) for text in texts]


async def tell_apart(
    parsed: Sequence[Sequence[Item]], languages: Sequence[str], schedule: Callable[..., Any]
) -> Sequence[Sequence[Item]]:
    """The same items, each message with its language where its channel did not say; unknown where that fails."""
    wanted = [
        (at, n, f"{item.subject}\n{item.text[:LONGEST]}")
        for at, items in enumerate(parsed)
        for n, item in enumerate(items)
        if isinstance(item, Message) and not item.language and item.direction == "in"
    ]
    if not wanted:
        return parsed
    try:
        future = await asyncio.to_thread(
            schedule, tell_there, args=([text for _, _, text in wanted], list(languages)), timeout=SECONDS
        )
        told = await asyncio.wrap_future(cast("Future[Any]", future))
    except Exception as error:  # noqa: BLE001  # a message without a language is better than no message
        log.warning("languages.not_told", messages=len(wanted), why=f"{type(error).__name__} {error}"[:500])
        return parsed
    known = [list(items) for items in parsed]
    for (at, n, _), language in zip(wanted, told, strict=True):
        known[at][n] = msgspec.structs.replace(known[at][n], language=language)
    return known
