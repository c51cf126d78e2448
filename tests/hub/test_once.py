"""A form that is sent twice is taken once: the server knows, whatever the browser does."""

import asyncio

from tests.hub.desk import Desk, message

SENT = "SELECT count(*) FROM messages WHERE author = 'agent:eve'"


async def test_a_reply_that_is_sent_twice_goes_out_once(desk: Desk):
    await desk.say(message("m1"))
    (reference,) = await desk.references()
    both = [desk.operate("reply", "eve", reference, "On it.", once="form-1") for _ in range(2)]
    answers = await asyncio.gather(*both)
    assert sorted(bool(answer["message"]) for answer in answers) == [False, True]
    assert await desk.number(SENT) == 1
    assert (await desk.events("message.written")).count("message.written") == 1
    await desk.settle()


async def test_another_form_with_the_same_words_is_another_reply(desk: Desk):
    await desk.say(message("m1"))
    (reference,) = await desk.references()
    for once in ("form-1", "form-2", "", ""):
        await desk.operate("reply", "eve", reference, "On it.", once=once)
    assert await desk.number(SENT) == 4
    await desk.settle()


async def test_a_note_that_is_sent_twice_is_kept_once(desk: Desk):
    await desk.say(message("m1"))
    (reference,) = await desk.references()
    for _ in range(2):
        await desk.operate("note", "eve", reference, "Ask Bob.", once="form-1")
    assert await desk.number(SENT) == 1
    await desk.operate("reply", "eve", reference, "On it.", once="form-1")  # the other form of the same page
    assert await desk.number(SENT) == 2
    await desk.settle()
