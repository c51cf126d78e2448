"""Edits and deletions: whose they may be, and what stands when they come in another order than they were made."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import chain, permutations
from typing import Any

import pytest

from context_store import views
from context_store.audit import add_events
from context_store.record import Batch, record
from context_store.times import to_millis
from plugins import Claim, Item, Media
from tests.hub.desk import NOW, Desk, edit, message, who


def at(seconds: int) -> datetime:
    return NOW + timedelta(seconds=seconds)


async def in_all_orders(desk: Desk, made: Callable[[str], tuple[Item, ...]], *, together: bool) -> int:
    """One message for each order of the items that `made` gives; how many."""
    orders = [list(permutations(made(f"m{n}")))[n] for n in range(6)]
    for items in [tuple(chain(*orders))] if together else zip(*orders, strict=True):
        await desk.say(*items)
    return len(orders)


async def texts(desk: Desk) -> list[Any]:
    return await desk.rows("SELECT text, deleted_at IS NOT NULL FROM messages WHERE direction = 'in' ORDER BY key")


@pytest.mark.parametrize("together", [True, False])
async def test_text_is_that_of_the_latest_edit_in_whatever_order_they_come(desk: Desk, together: bool):
    n = await in_all_orders(
        desk,
        lambda key: (message(key), edit(key, "older", at=at(5)), edit(key, "newest", at=at(10), by=who("ann"))),
        together=together,
    )
    assert await texts(desk) == [("newest", False)] * n
    assert await desk.events("message.edited") == ["message.edited"] * 2 * n
    assert await desk.number("SELECT count(*) FROM items WHERE reason = 'a later edit came first'") == n // 2


@pytest.mark.parametrize("together", [True, False])
async def test_what_was_deleted_stays_so_in_whatever_order_edits_come(desk: Desk, together: bool):
    n = await in_all_orders(
        desk,
        lambda key: (message(key), edit(key, None, at=at(5)), edit(key, "back", at=at(10))),
        together=together,
    )
    assert await texts(desk) == [("", True)] * n
    assert await desk.events("message.edited", "message.deleted") != []
    assert await desk.number("SELECT count(*) FROM items WHERE reason = 'it was deleted'") == n // 2


async def test_edit_that_was_judged_before_another_node_wrote_its_own_is_compared_by_the_store(desk: Desk):
    await desk.say(message("m1"), edit("m1", "newest", at=at(10)), message("m2"), edit("m2", None, at=at(5)))
    found = await desk.column("SELECT id FROM messages WHERE direction = 'in' ORDER BY key")

    async def other(text: str, seconds: int) -> None:
        batch = Batch(now=desk.hub.store.now(), node=desk.hub.store.node)
        batch.edits = {number: (text, to_millis(at(seconds)), None) for number in found}
        await desk.hub.store.write(record, batch, add_events)

    await other("older", 9)
    assert await texts(desk) == [("newest", False), ("", True)]
    await other("newer still", 11)
    assert await texts(desk) == [("newer still", False), ("", True)]


@pytest.mark.parametrize("first", [True, False])
async def test_nobody_changes_what_somebody_else_wrote(desk: Desk, first: bool):
    await desk.say(message("b1", sender="bob"))
    forged = [edit("m1", words, by=who(name)) for words in ("forged", None) for name in ("bob", "stranger")]
    await desk.say(*(forged if first else ()), message("m1", text="mine"), *(() if first else forged))
    assert await desk.column("SELECT text FROM messages WHERE key = 'm1'") == ["mine"]
    told = await desk.column("SELECT body FROM events WHERE kind = 'message.edit_refused' ORDER BY id")
    assert [json.loads(body)["by"] for body in told] == ["chat:bob", "chat:stranger"] * 2
    assert {json.loads(body)["reason"] for body in told} == {"somebody else wrote the message"}
    rows = await desk.rows("SELECT outcome, reason, count(*) FROM items WHERE kind = 'edited' GROUP BY outcome, reason")
    assert rows == [("skipped", "somebody else wrote the message", 4)]


@pytest.mark.parametrize("first", [True, False])
async def test_author_changes_their_message_by_any_of_their_identities(desk: Desk, first: bool):
    mail = Claim(identity=who("ann@acme.test"), assurance=1, issuer="idp.acme.test")
    await desk.say(message("m0", claims=[mail]))
    edits = [edit("m1", "better", at=at(1), by=who("ann")), edit("m1", "best", at=at(2), by=mail.identity)]
    await desk.say(*(edits if first else ()), message("m1"), *(() if first else edits))
    assert await desk.column("SELECT text FROM messages WHERE key = 'm1'") == ["best"]


async def test_what_our_side_wrote_elsewhere_is_changed_by_our_side_alone(desk: Desk):
    await desk.say(message("m1", direction="out", text="ours"), edit("m1", "theirs", by=who("ann")))
    assert await desk.column("SELECT text FROM messages WHERE key = 'm1'") == ["ours"]
    await desk.say(edit("m1", "ours again"))
    assert await desk.column("SELECT text FROM messages WHERE key = 'm1'") == ["ours again"]


async def test_layout_and_files_of_what_was_deleted_are_shown_to_nobody(desk: Desk):
    await desk.say(message("m1", html="<p>mine</p>", media=(Media(name="a.txt", type="text/plain", data=b"mine"),)))
    number = await desk.number("SELECT id FROM messages WHERE direction = 'in'")
    assert await desk.hub.store.read(views.attachment, number, 0) is not None
    await desk.say(edit("m1", None, at=at(5)))
    assert await desk.hub.store.read(views.attachment, number, 0) is None
    assert await desk.rows("SELECT text, html, folds FROM messages WHERE direction = 'in'") == [("", "", "[]")]
