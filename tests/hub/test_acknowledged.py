"""Who is acknowledged, how often, and who never (R16)."""

from datetime import timedelta

import msgspec
import pytest

from context_store.housekeeping import keep_house
from context_store.times import to_millis
from hub.items import REPORTS_MOST
from tests.hub.desk import Desk, fact, mail, receipt

SPELLINGS = ["ANN@ACME.TEST", "\uff41nn@acme.test", '"ann"@acme.test', "ann@acme.test.", "ann@\uff41cme.test"]


async def reasons(desk: Desk) -> list[str]:
    bodies = await desk.column("SELECT body FROM events WHERE kind = 'query.not_acknowledged' ORDER BY id")
    return [msgspec.json.decode(body)["why"] for body in bodies]


async def test_unverified_address_gets_one_acknowledgement_a_day_without_its_words(desk: Desk):
    for n in range(3):
        await desk.say(mail(f"m{n}", subject="BUY NOW", text="http://evil.test", name="Click here"), to="mail")
    (only,) = await desk.sent()
    assert not any(word in msgspec.json.encode(only).decode() for word in ("BUY", "evil", "Click"))
    assert only["reference"] in only["text"]
    desk.clock.by += timedelta(hours=25)
    await desk.say(mail("m9"), to="mail")
    assert len(await desk.sent()) == 2


async def test_spellings_of_one_address_share_one_acknowledgement_a_day(desk: Desk):
    for n, sender in enumerate(["ann@acme.test", *SPELLINGS]):
        await desk.say(mail(f"m{n}", sender=sender), to="mail")
    await desk.say(mail("i1", sender="ann@b\u00fccher.test"), mail("i2", sender="Ann@XN--bcher-kva.test"), to="mail")
    assert [body["to"]["value"] for body in await desk.sent()] == ["ann@acme.test", "ann@b\u00fccher.test"]


async def test_proved_sender_gets_one_acknowledgement_per_query(desk: Desk):
    await desk.say(mail("m1", assurance=1, subject="Printer"), to="mail")
    await desk.say(mail("m2", assurance=1, subject="Mouse"), to="mail")
    await desk.say(mail("m3", assurance=1, replies_to=["m1"]), to="mail")
    assert [body["subject"].split(" [")[0] for body in await desk.sent()] == ["Re: Printer", "Re: Mouse"]


@pytest.mark.parametrize("automatic", ["reply", "bounce", "receipt", "report", "list", "bulk"])
async def test_automatic_mail_is_kept_and_never_answered(desk: Desk, automatic: str):
    await desk.say(mail("m1", assurance=1, automatic=automatic), to="mail")
    assert await desk.sent() == []
    assert await desk.column("SELECT state FROM queries") == ["closed"]


async def test_automatic_messages_beyond_the_cap_wait_for_a_person(desk: Desk):
    await desk.say(*(mail(f"m{n}", automatic="reply") for n in range(15)), to="mail")
    await desk.say(*(mail(f"n{n}", automatic="reply") for n in range(15)), to="mail")
    outcomes = await desk.column("SELECT outcome FROM items ORDER BY id")
    assert (outcomes.count("recorded"), outcomes.count("parked")) == (20, 10)
    assert await desk.rows("SELECT cause, trace FROM envelopes WHERE state = 'parked'") == [
        ("capped", "more than 20 automatic messages of this address within an hour")
    ]
    await desk.operate("release", "boss")
    await desk.settle()
    assert await desk.number("SELECT count(*) FROM messages WHERE direction = 'in'") == 30
    assert await desk.number("SELECT count(*) FROM envelopes WHERE state = 'parked'") == 0


@pytest.mark.parametrize("automatic", ["bounce", "receipt", "report"])
async def test_reports_of_one_daemon_are_all_recorded(desk: Desk, automatic: str):
    await desk.say(*(mail(f"m{n}", "mailer-daemon@acme.test", automatic=automatic) for n in range(30)), to="mail")
    assert set(await desk.column("SELECT outcome FROM items")) == {"recorded"}


async def test_reports_of_one_address_are_bounded_by_day_and_its_word_on_ours_still_counts(desk: Desk):
    await desk.say(mail("m0"), to="mail")
    ours = (await desk.sent())[0]["key"]
    for part in ("a", "b"):
        await desk.say(
            *(mail(f"{part}{n}", "mailer-daemon@acme.test", automatic="bounce") for n in range(REPORTS_MOST - 1)),
            to="mail",
        )
    await desk.say(mail("c", "daemon@other.test", automatic="bounce"), receipt(ours, "failed"), to="mail")
    rows = await desk.rows("SELECT outcome, count(*) FROM items GROUP BY outcome ORDER BY outcome")
    assert rows == [("parked", REPORTS_MOST - 2), ("recorded", REPORTS_MOST + 3)]
    assert await desk.column("SELECT delivery FROM messages WHERE direction = 'out'") == ["failed"]
    desk.clock.by += timedelta(hours=25)
    await desk.say(mail("d", "mailer-daemon@acme.test", automatic="bounce"), to="mail")
    assert await desk.number("SELECT count(*) FROM items WHERE outcome = 'recorded'") == REPORTS_MOST + 4


async def test_hundred_bounces_of_one_mail_are_one(desk: Desk):
    await desk.say(mail("m0"), to="mail")
    ours = (await desk.sent())[0]["key"]
    await desk.say(*(receipt(ours, "failed", key=f"r{n}") for n in range(100)), to="mail")
    assert await desk.events("message.failed") == ["message.failed"]
    assert await desk.number("SELECT count(*) FROM items WHERE reason = 'the message was failed already'") == 99


async def test_machine_that_does_not_say_so_is_acknowledged_only_so_often(desk: Desk):
    await desk.say(*(mail(f"m{n}", assurance=1) for n in range(15)), to="mail")
    await desk.say(*(mail(f"n{n}", assurance=1) for n in range(15)), to="mail")
    assert len(await desk.sent()) == 20
    assert await desk.number("SELECT count(*) FROM queries") == 30


async def test_barred_address_is_acknowledged_no_more_until_it_opts_in(desk: Desk):
    await desk.say(mail("m1", assurance=1), to="mail")
    await desk.say(fact("ann@acme.test", "opted_out"), fact("stranger@acme.test", "blocked"), to="mail")
    await desk.say(mail("m2", assurance=1), to="mail")
    assert len(await desk.sent()) == 1
    await desk.say(fact("ann@acme.test", "opted_in"), to="mail")
    await desk.say(mail("m3", assurance=1), to="mail")
    assert len(await desk.sent()) == 2


async def test_suffixes_of_one_mailbox_share_one_acknowledgement_a_day(desk: Desk):
    senders = ["ann@acme.test", *(f"ann+{n}@acme.test" for n in range(20)), "bob@acme.test"]
    await desk.say(*(mail(sender=sender) for sender in senders), to="mail")
    await desk.say(mail(sender="Ann+late@acme.test"), to="mail")
    assert [body["to"]["value"] for body in await desk.sent()] == ["ann@acme.test", "bob@acme.test"]
    assert set(await reasons(desk)) == {"this unproved address had one within 24 hours"}


async def test_dots_make_no_further_mailbox_where_google_overlooks_them(desk: Desk):
    await desk.say(*(mail(sender=sender) for sender in ("a.nn@gmail.com", "an.n+x@googlemail.com")), to="mail")
    await desk.say(*(mail(sender=sender) for sender in ("a.nn@acme.test", "an.n@acme.test")), to="mail")
    assert [body["to"]["value"] for body in await desk.sent()] == ["a.nn@gmail.com", "a.nn@acme.test", "an.n@acme.test"]


async def test_proved_sender_is_acknowledged_under_each_suffix(desk: Desk):
    await desk.say(*(mail(sender=f"ann+{n}@acme.test", assurance=1) for n in range(3)), to="mail")
    assert len(await desk.sent()) == 3


async def test_alarm_stands_while_unverified_addresses_are_held_back(hub_under_test: Desk):
    desk = hub_under_test
    await desk.start(delivery="unproved_an_hour = 2")
    await desk.say(*(mail(sender=f"u{n}@acme.test") for n in range(2)), to="mail")
    assert await desk.alarms() == []
    await desk.say(mail(sender="one.too.many@acme.test"), to="mail")
    [what] = await desk.column("SELECT what FROM alarms WHERE key = 'acknowledgements' AND cleared_at IS NULL")
    assert "delivery.unproved_an_hour" in what
    desk.clock.by += timedelta(minutes=59)
    await desk.hub.store.write(keep_house, to_millis(desk.clock.now()))
    assert await desk.alarms() == ["acknowledgements"]
    desk.clock.by += timedelta(minutes=2)
    await desk.hub.store.write(keep_house, to_millis(desk.clock.now()))
    assert await desk.alarms() == []
    await desk.say(mail(sender="later@acme.test"), to="mail")
    assert ((await desk.sent())[-1]["to"]["value"], await desk.alarms()) == ("later@acme.test", [])


async def test_all_unverified_together_get_only_so_many_an_hour(hub_under_test: Desk):
    desk = hub_under_test
    await desk.start(delivery="unproved_an_hour = 5")
    await desk.say(*(mail(sender=f"u{n}@acme.test") for n in range(4)), to="mail")
    await desk.say(
        *(mail(sender=f"v{n}@acme.test") for n in range(4)), mail(sender="ann@acme.test", assurance=1), to="mail"
    )
    assert len(await desk.sent()) == 6
    assert await reasons(desk) == ["5 letters to unproved addresses within the hour (delivery.unproved_an_hour)"] * 3
    desk.clock.by += timedelta(hours=2)
    await desk.say(mail(sender="later@acme.test"), to="mail")
    assert len(await desk.sent()) == 7


MACHINES = [
    "mailer-daemon@x.test", "MAILER-DAEMON@y.test", "postmaster@x.test", "no-reply@x.test", "noreply+7@x.test",
    "do-not-reply@x.test", "donotreply@x.test", "bounces-12@x.test", "nobody@x.test",
]  # fmt: skip


async def test_addresses_of_machines_are_not_answered(desk: Desk):
    await desk.say(*(mail(sender=address, assurance=1) for address in MACHINES), to="mail")
    assert (set(await reasons(desk)), await desk.sent()) == ({"this is the address of a machine"}, [])


async def test_addresses_of_persons_are_answered(desk: Desk):
    people = ["ann.noreply@x.test", "nobodyknows@x.test", "postmasters@x.test"]
    await desk.say(*(mail(sender=sender) for sender in people), to="mail")
    assert [body["to"]["value"] for body in await desk.sent()] == people


async def test_the_desk_does_not_acknowledge_itself(desk: Desk):
    own = ("desk@here.test", "DESK+7@here.test")
    await desk.say(*(mail(sender=address, assurance=1) for address in own), to="mail")
    assert (await reasons(desk), await desk.sent()) == (["this is an address of the desk itself"] * 2, [])
