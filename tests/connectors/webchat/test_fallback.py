"""A chat goes on by mail: who left an address and went gets what they did not fetch, and their answer finds back."""

from datetime import timedelta

import pytest

from tests.hub.desk import fact, mail

pytestmark = pytest.mark.parametrize("desk", ["sqlite", "postgresql"], indirect=True)
LETTERS = "SELECT text FROM messages WHERE instance = 'mail' AND direction = 'out' ORDER BY id"


async def go_on(desk, minutes=3):
    """Time passes, and what is due is done."""
    desk.clock.by += timedelta(minutes=minutes)
    await desk.hub.housekeeping.fallback.due()
    await desk.settle()


async def asked(desk, window, **more):
    """A visitor wrote, and has gone."""
    async with window() as ann:
        await ann.say("VPN down", **more)
        await ann.texts(2)
    await desk.settle()
    return ann, (await desk.references())[0]


FORM = {"form": {"email": "ann@acme.test"}}


async def test_unfetched_answers_go_to_the_address_in_one_letter(desk, window):
    _, reference = await asked(desk, window, **FORM)
    await desk.operate("reply", "bob", reference, "Try again")
    await desk.operate("reply", "bob", reference, "Does it work?")
    await go_on(desk, minutes=1)
    assert await desk.column(LETTERS) == []
    await go_on(desk)
    assert await desk.column(LETTERS) == ["Try again\n\nDoes it work?"]
    letter = (await desk.sent())[-1]
    assert letter["to"] == {"scheme": "email", "value": "ann@acme.test"}
    assert reference in letter["subject"]
    await go_on(desk, minutes=60)
    assert len(await desk.column(LETTERS)) == 1


async def test_answer_to_the_letter_stands_in_the_same_query(desk, window):
    _, reference = await asked(desk, window, **FORM)
    await desk.operate("reply", "bob", reference, "Try again")
    await go_on(desk)
    await desk.say(mail(tokens=[(await desk.sent())[-1]["token"]], text="It works"), to="mail")
    assert await desk.references() == [reference]
    assert await desk.column("SELECT standing FROM messages WHERE text = 'It works'") == ["claimed"]


async def test_fetched_answer_is_not_sent_a_second_time(desk, window):
    ann, reference = await asked(desk, window, **FORM)
    await desk.operate("reply", "bob", reference, "Try again")
    async with window(session=ann.who["session"]) as again:
        line = (await again.texts(3)) and again.lines[-1]
        await again.send({"t": "seen", "state": "delivered", "seq": line["seq"], "at": line["at"]})
        await desk.until(lambda: desk.column("SELECT 1 FROM messages WHERE delivery = 'delivered'"))
    await go_on(desk)
    assert await desk.column(LETTERS) == []


async def test_without_an_address_an_agent_sees_that_nobody_has_read_it(desk, window):
    _, reference = await asked(desk, window)
    await desk.operate("reply", "bob", reference, "Try again")
    await go_on(desk)
    assert await desk.column(LETTERS) == []
    assert await desk.events("message.unseen") == ["message.unseen"]


async def test_address_that_is_left_later_counts(desk, window):
    ann, reference = await asked(desk, window)
    async with window(session=ann.who["session"]) as again:
        await again.say("Please answer by mail", form={"email": "ann@acme.test"})
        await again.texts(3)
    await desk.operate("reply", "bob", reference, "Try again")
    await go_on(desk)
    assert await desk.column(LETTERS) == ["Try again"]


async def test_who_opted_out_of_mail_gets_none(desk, window):
    await desk.say(mail(sender="ann@acme.test"), to="mail")
    await desk.say(fact("ann@acme.test", "opted_out"), to="mail")
    before = len(await desk.column(LETTERS))
    async with window() as ann:
        await ann.say("VPN down", **FORM)
        await ann.texts(2)
    await desk.settle()
    await desk.operate("reply", "bob", (await desk.references())[-1], "Try again")
    await go_on(desk)
    assert len(await desk.column(LETTERS)) == before
    assert await desk.events("message.unseen") == ["message.unseen"]
