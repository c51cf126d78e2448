"""The rates that a connector declares: what is beyond them waits in its turn, and nothing else does."""

from datetime import timedelta

from context_store.views import find_query, show_query
from hub.web.site import advice
from tests.hub.desk import Desk, mail, message

HOUR = timedelta(hours=1)


async def answered(desk: Desk, *texts: str, query: int = 0) -> None:
    references = await desk.references()
    for text in texts:
        await desk.operate("reply", "eve", references[query], text)


async def went_out(desk: Desk, n: int, instance: str = "chat") -> list[str]:
    """Texts as the far side saw them, as soon as there are so many."""
    far = desk.far(instance)

    async def there() -> bool:
        return len(far.ledger) >= n

    await desk.until(there)
    return [body.decode().partition(": ")[2] for body in far.bodies()]


async def waiting(desk: Desk, n: int) -> list[tuple]:
    """(cause, attempts) of deliveries that wait for their turn, once there are as many."""

    async def there() -> list[tuple]:
        found = await desk.rows("SELECT cause, attempts FROM outbox WHERE state = 'queued' AND cause = 'rate'")
        return [tuple(row) for row in found] if len(found) >= n else []

    return await desk.until(there)


async def test_answers_beyond_the_rate_wait_and_keep_their_order(desk: Desk):
    await desk.say(message(thread="t"))
    chat = desk.far("chat")
    chat.ledger.clear()
    chat.rates = (("lane", 2, 3600.0),)
    await answered(desk, "one", "two", "three", "four", "five")
    assert await waiting(desk, 1) == [("rate", 0)]
    assert await went_out(desk, 2) == ["one", "two"]
    desk.clock.by += HOUR
    assert await went_out(desk, 4) == ["one", "two", "three", "four"]
    await waiting(desk, 1)
    desk.clock.by += HOUR
    await desk.settle()
    assert await went_out(desk, 5) == ["one", "two", "three", "four", "five"]
    assert {number for _, _, number in chat.tried} == {1}
    assert await desk.column("SELECT DISTINCT state FROM outbox WHERE kind = 'delivery'") == ["done"]
    assert await desk.events("message.parked", "message.uncertain") == []


async def test_wait_of_one_person_holds_up_nobody_else(desk: Desk):
    await desk.say(message(sender="ann"), message(sender="bob"))
    await desk.say(message(sender="eva@acme.test", assurance=1), to="mail")
    chat = desk.far("chat")
    chat.ledger.clear()
    desk.far("mail").ledger.clear()
    chat.rates = (("lane", 1, 3600.0),)
    await answered(desk, "one", "later", query=0)
    await waiting(desk, 1)
    await answered(desk, "to bob", query=1)
    await answered(desk, "to eva", query=2)
    assert await went_out(desk, 2) == ["one", "to bob"]
    assert await went_out(desk, 1, "mail") == ["to eva"]


async def test_two_matters_of_one_person_share_what_the_far_side_counts(desk: Desk):
    await desk.say(message(sender="ann", assurance=0), message(sender="ann", assurance=0))
    assert len(await desk.references()) == 2
    chat = desk.far("chat")
    chat.ledger.clear()
    chat.rates = (("lane", 1, 3600.0),)
    await answered(desk, "one", query=0)
    assert await went_out(desk, 1) == ["one"]
    await answered(desk, "two", query=1)
    await waiting(desk, 1)
    assert await went_out(desk, 1) == ["one"]


async def test_full_destination_is_left_alone_until_it_takes_more(desk: Desk):
    await desk.say(*(message(sender=f"user{n}") for n in range(6)))
    chat = desk.far("chat")
    chat.ledger.clear()
    chat.rates = (("instance", 2, 3600.0),)
    for n in range(6):
        await answered(desk, f"answer {n}", query=n)
    assert len(await went_out(desk, 2)) == 2
    await waiting(desk, 1)  # the others are not even looked at
    await desk.post(mail(text="vpn"), to="mail")

    async def dispatched() -> bool:
        return b"open vpn" in desk.far("tool").bodies()

    await desk.until(dispatched)
    for n in (4, 6):
        desk.clock.by += HOUR
        assert len(await went_out(desk, n)) == n
    assert sorted(await went_out(desk, 6)) == [f"answer {n}" for n in range(6)]


async def test_parts_of_one_text_go_out_one_by_one_and_none_twice(desk: Desk):
    await desk.say(message(thread="t"))
    chat = desk.far("chat")
    chat.ledger.clear()
    chat.rates = (("lane", 1, 3600.0),)
    await answered(desk, "one|ann: two|ann: three")
    for n in range(1, 4):
        assert len(await went_out(desk, n)) == n
        if n < 3:
            await waiting(desk, 1)
            begun = "SELECT count(*) FROM steps WHERE done IS NULL AND begun_at IS NOT NULL"
            assert await desk.number(begun) == 0  # keys of what was not tried don't age
        desk.clock.by += HOUR
    await desk.settle()
    assert await went_out(desk, 3) == ["one", "two", "three"]


async def test_wait_is_explained_where_the_work_is_shown(desk: Desk):
    await desk.say(message(thread="t"))
    desk.far("chat").rates = (("lane", 1, 3600.0),)
    await answered(desk, "one", "two")
    await waiting(desk, 1)
    (reference,) = await desk.references()
    number = await desk.hub.store.read(find_query, reference)
    view = await desk.hub.store.read(show_query, number)
    (cause,) = [work.cause for work in view.outbox if work.state == "queued"]
    assert cause == "rate"
    assert "by itself" in advice(cause)
    desk.clock.by += HOUR
