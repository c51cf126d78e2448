"""Who somebody is, as only the provider can tell: names, and addresses that it vouches for."""

import pytest

from plugins import Claim, Fact, Identity
from tests.hub.desk import Desk, fact, mail, message, who

ANN = Identity(scheme="email", value="ann@acme.test")


@pytest.fixture
async def desk(hub_under_test: Desk):
    await hub_under_test.start()
    return hub_under_test


def profile(sender: str, name: str = "Ann Doe", **claim: str | int) -> Fact:
    claims = [Claim(identity=ANN, **{"assurance": 1, **claim})] if claim else []
    return Fact(key=f"p {sender} {name}", at=desk_time(), who=who(sender), what="profile", name=name, claims=claims)


def desk_time():
    return message().at


async def test_profile_names_an_identity_and_a_user_who_has_no_name_yet(desk: Desk):
    await desk.say(message("m1", sender="a1"))
    await desk.say(message("m2", sender="a2", name="Ann from the shop"))
    await desk.say(profile("a1"), profile("a2"))
    assert await desk.column("SELECT name FROM identities ORDER BY id") == ["Ann Doe", "Ann Doe"]
    assert await desk.column("SELECT name FROM users ORDER BY id") == ["Ann Doe", "Ann from the shop"]
    assert await desk.events("user.named") == ["user.named"] * 2


async def test_somebody_who_left_and_came_back_can_be_answered_again(desk: Desk):
    await desk.say(message("m1", sender="a1"))
    await desk.say(fact("a1", "left"))
    assert await desk.column("SELECT barred FROM identities") == ["left"]
    await desk.say(profile("a1"))
    assert await desk.column("SELECT barred FROM identities") == [""]


async def test_somebody_who_opted_out_stays_out_whatever_the_profile_says(desk: Desk):
    await desk.say(message("m1", sender="a1"))
    await desk.say(fact("a1", "opted_out"), profile("a1"))
    assert await desk.column("SELECT barred FROM identities") == ["opted_out"]


async def test_profile_of_somebody_who_never_wrote_is_left_alone(desk: Desk):
    await desk.say(profile("nobody"))
    assert await desk.column("SELECT outcome FROM items") == ["skipped"]
    assert await desk.number("SELECT count(*) FROM identities") == 0


async def test_address_of_a_profile_links_only_where_a_trusted_issuer_vouches(desk: Desk):
    await desk.say(mail("m1", assurance=1), to="mail")
    for n, claim in enumerate((
        {"issuer": "idp.evil.test"},
        {"issuer": "idp.acme.test", "assurance": 0},
        {"issuer": "idp.acme.test"},
    )):
        await desk.say(message(f"c{n}", sender=f"s{n}"))
        await desk.say(profile(f"s{n}", **claim))
    owner = dict(await desk.rows("SELECT value, user_id FROM identities"))
    assert [owner[f"s{n}"] == owner["ann@acme.test"] for n in range(3)] == [False, False, True]
    assert await desk.events("user.suggested", "user.linked") == ["user.suggested", "user.suggested", "user.linked"]


async def test_address_of_an_unproved_sender_links_nothing(desk: Desk):
    await desk.say(mail("m1", assurance=1), to="mail")
    await desk.say(message("c1", sender="s1", assurance=0))
    await desk.say(profile("s1", issuer="idp.acme.test"))
    assert await desk.events("user.linked") == []
