"""What our own side wrote and comes back: recorded, and no rule fires on it that does not ask for the direction."""

import msgspec
import pytest

from plugins import Identity
from tests.hub.desk import RULES, Desk, mail, message

ANN, DESK = (Identity(scheme="email", value=value) for value in ("ann@acme.test", "desk@here.test"))
OURS = """
[[rule]]
name = "ours"
when.direction = "out"
set.type = "feedback"
"""
EVERYBODY = """
[[rule]]
name = "everybody"
when.any = [{ assurance.min = 0 }, { missing = ["subject"] }]
set.team = "desk"
"""


@pytest.fixture
async def ruled(hub_under_test: Desk) -> Desk:
    """Rules that match everything but for the direction, and one that asks for it."""
    hub_under_test.rules = EVERYBODY + OURS + RULES
    await hub_under_test.start()
    return hub_under_test


async def fired(desk: Desk) -> list[list[str]]:
    """Names of the rules that matched, by decision."""
    return [msgspec.json.decode(one)["rules"] for one in await desk.column("SELECT outcome FROM decisions ORDER BY id")]


async def test_reply_of_ours_that_comes_back_is_noted_and_no_rule_fires_on_it(ruled: Desk):
    await ruled.say(mail("m1", text="vpn", assurance=1), to="mail")
    (reference,) = await ruled.references()
    await ruled.operate("reply", "eve", reference, "your vpn is mended")
    await ruled.settle()
    keys = [body["key"] for body in await ruled.sent()]
    assert len(keys) == 2, "the acknowledgement and the reply"
    for key in keys:  # as a list, a BCC to ourselves and a loop bring them
        await ruled.say(mail(key, sender="desk@here.test", text="vpn"), to="mail")
        await ruled.say(mail(f"{key}@here.test", sender="list@lists.test", text="vpn", automatic="list"), to="mail")
    assert await ruled.column("SELECT outcome FROM items ORDER BY id") == ["recorded"] + ["echo"] * 4
    assert await fired(ruled) == [["everybody", "vpn"]]


@pytest.mark.parametrize("sender", ["desk@here.test", "Desk@HERE.test", "desk+copy@here.test"])
async def test_mail_from_our_own_address_is_recorded_and_only_rules_that_say_so_fire_on_it(ruled: Desk, sender: str):
    text, recipients = "Sent past the hub: the vpn is mended", (ANN, DESK)
    await ruled.say(mail("c1", sender=sender, text=text, automatic="bulk", recipients=recipients), to="mail")
    assert await ruled.column("SELECT outcome FROM items") == ["recorded"]
    assert await fired(ruled) == [["ours"]]
    assert await ruled.column("SELECT type FROM queries") == ["feedback"]
    await ruled.say(mail("c2", text="vpn"), to="mail")
    assert (await fired(ruled))[1:] == [["everybody", "vpn"]], "the control: the same words of a user"


async def test_form_that_writes_to_the_desk_in_its_own_name_is_a_contact_of_somebody(ruled: Desk):
    await ruled.say(mail("c1", sender=DESK.value, text="vpn", recipients=(DESK,)), to="mail")
    assert await fired(ruled) == [["everybody", "vpn"]]


async def test_what_an_agent_wrote_in_the_channel_s_own_app_is_no_contact_that_rules_fire_on(ruled: Desk):
    await ruled.say(message("o1", sender="ann", text="vpn", direction="out"))
    assert await fired(ruled) == [["ours"]]
