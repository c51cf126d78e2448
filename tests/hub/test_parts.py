"""A text that goes out in parts is one message: whatever names a part finds it, and it is as far as its last part."""

import asyncio

import msgspec
import pytest

from tests.hub.desk import Desk, edit, mail, message, receipt

THREE = "one|ann: two|ann: three"


@pytest.fixture
async def refs(desk: Desk) -> list[str]:
    """What the channel calls the three parts of an answer."""
    await desk.say(message(thread="t"))
    return await in_parts(desk, "chat")


async def in_parts(desk: Desk, instance: str) -> list[str]:
    (reference,) = await desk.references()
    await desk.operate("reply", "eve", reference, THREE)
    await desk.settle()
    return [effect.ref for effect in desk.far(instance).ledger[-3:]]


async def delivery(desk: Desk) -> str:
    (found,) = await desk.column("SELECT delivery FROM messages WHERE direction = 'out' ORDER BY id DESC LIMIT 1")
    return str(found)


async def test_message_is_as_far_as_the_part_that_is_least_far(desk: Desk, refs: list[str]):
    seen = []
    for n, state in ((1, "delivered"), (0, "read"), (2, "delivered"), (2, "read"), (1, "read"), (0, "delivered")):
        await desk.say(receipt(refs[n], state))
        seen.append(await delivery(desk))
    assert seen == ["sent", "sent", "delivered", "delivered", "read", "read"]
    assert await desk.events("message.delivered", "message.read") == ["message.delivered", "message.read"]
    assert await desk.number("SELECT count(*) FROM items WHERE outcome = 'waiting'") == 0


async def test_receipts_of_all_parts_in_one_envelope_apply_together(desk: Desk, refs: list[str]):
    await desk.say(*(receipt(ref, state) for state in ("delivered", "read") for ref in refs))
    assert await delivery(desk) == "read"


async def test_part_that_failed_is_a_message_that_failed_and_the_journey_names_it(desk: Desk, refs: list[str]):
    await desk.say(receipt(refs[0], "delivered"), receipt(refs[1], "failed", reason="too_long"))
    await desk.say(receipt(refs[2], "delivered"))
    assert await delivery(desk) == "failed"
    (body,) = await desk.column("SELECT body FROM events WHERE kind = 'message.failed'")
    assert (msgspec.json.decode(body)["part"], msgspec.json.decode(body)["reason"]) == (2, "too_long")


async def test_reply_to_a_later_part_belongs_to_its_query(desk: Desk):
    await desk.say(mail(assurance=1), to="mail")
    refs = await in_parts(desk, "mail")
    await desk.say(mail(assurance=1, replies_to=[refs[2]], text="thanks"), to="mail")
    assert len(await desk.references()) == 1


async def test_part_that_comes_back_is_our_own_message(desk: Desk, refs: list[str]):
    await desk.say(message(refs[1], text="two"))
    assert await desk.column("SELECT outcome FROM items ORDER BY id DESC LIMIT 1") == ["echo"]


async def test_part_that_was_changed_at_the_source_stands_in_the_journey_and_the_text_stays(
    desk: Desk, refs: list[str]
):
    await desk.say(edit(refs[1], None))
    rows = await desk.rows("SELECT text, deleted_at FROM messages WHERE direction = 'out' ORDER BY id DESC LIMIT 1")
    assert [tuple(row) for row in rows] == [(THREE, None)]
    (body,) = await desk.column("SELECT body FROM events WHERE kind = 'message.deleted'")
    assert msgspec.json.decode(body)["part"] == 2


@pytest.mark.parametrize("by", ["the step's key", "the channel's id"])
async def test_receipts_that_overtake_the_answers_of_parts_apply(desk: Desk, by: str):
    await desk.say(message(thread="t"))
    chat, (reference,) = desk.far("chat"), await desk.references()
    before, chat.gate = len(chat.ledger), asyncio.Event()
    await desk.operate("reply", "eve", reference, THREE)

    async def trying() -> bool:
        return len(chat.tried) > before

    await desk.until(trying)
    key = chat.tried[-1][0].removesuffix("-0")
    names = [f"{key}-{n}" if by == "the step's key" else f"far-{before + 1 + n}" for n in range(3)]
    await desk.post(*(receipt(name, "delivered") for name in names))

    async def read() -> bool:
        return await desk.number("SELECT count(*) FROM items WHERE kind = 'receipt'") == 3

    await desk.until(read)
    chat.gate.set()
    await desk.settle()
    assert await delivery(desk) == "delivered"
    assert await desk.column("SELECT DISTINCT outcome FROM items WHERE kind = 'receipt'") == ["recorded"]
