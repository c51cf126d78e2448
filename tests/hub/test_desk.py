"""What an agent records at the desk takes the path of every contact, on both stores."""

import pytest

from hub.web import auth
from tests.hub.desk import Desk, mail

DESKS = '[instance.desk]\nkind = "desk"\n[instance.ring]\nkind = "desk"\nchannel = "phone"\n'


@pytest.fixture
async def desk(hub_under_test: Desk) -> Desk:
    await hub_under_test.start(more=DESKS)
    return hub_under_test


async def record(desk: Desk, who: str, about: str, *more: str, through: str = "desk", **given: str) -> dict[str, str]:
    done = await desk.operate("record_contact", "ada", through, who, about, *more, **given)
    await desk.settle()
    return done


async def test_contact_becomes_a_triaged_query_that_is_acknowledged_and_answered_by_mail(desk: Desk) -> None:
    done = await record(desk, "Ann <ann@acme.test>", "The vpn is down", "Since eight.", through="walk-in")
    assert done["instance"] == "desk"
    [row] = await desk.rows("SELECT channel, instance, state, team, subject FROM queries")
    assert tuple(row) == ("walk-in", "desk", "new", "desk", "The vpn is down")
    assert [(one["to"]["value"], one["automatic"]) for one in await desk.sent()] == [("ann@acme.test", True)]
    [reference] = await desk.references()
    await desk.operate("reply", "ada", reference, "Try again")
    assert (await desk.sent())[-1]["to"] == {"scheme": "email", "value": "ann@acme.test"}


async def test_contact_answered_on_the_spot_is_resolved_with_its_record_and_not_acknowledged(desk: Desk) -> None:
    await record(desk, "ann@acme.test", "The vpn is down", outcome="answered")
    [row] = await desk.rows("SELECT state, resolved_at, first_response_at, updated_at FROM queries")
    assert tuple(row) == ("resolved", row[3], row[3], row[3])
    assert await desk.sent() == []
    assert await desk.events("query.settled") == ["query.settled"]


async def test_form_that_is_sent_twice_is_one_contact_and_other_words_are_another(desk: Desk) -> None:
    first = await record(desk, "Ann", "Badge", once="w1")
    assert await record(desk, "Ann", "Badge", once="w1") == first
    assert len(await desk.references()) == 1
    await record(desk, "Ann", "Badge and key", once="w1")
    assert len(await desk.references()) == 2


async def test_bare_name_is_nobody_else(desk: Desk) -> None:
    await record(desk, "Ann", "Badge")
    await record(desk, "Ann", "Key")
    assert await desk.number("SELECT count(*) FROM users") == 2
    assert await desk.sent() == []


async def test_known_user_who_is_picked_is_that_user(desk: Desk) -> None:
    await desk.say(mail(sender="Ann@acme.test"), to="mail")
    await record(desk, "Ann <email:ann@acme.test>", "Badge", through="ring")
    assert await desk.number("SELECT count(*) FROM users") == 1
    assert await desk.column("SELECT channel FROM queries ORDER BY id DESC LIMIT 1") == ["phone"]


async def test_what_can_t_be_recorded_is_said_and_leaves_nothing(desk: Desk) -> None:
    refused = (
        ("mail", "Ann", "open", "no desk mail"),
        ("desk", "slack:U1", "open", "nobody is known"),
        ("desk", "044 123", "open", "country"),
        ("desk", "Ann", "won", "outcome"),
    )
    for through, who, outcome, says in refused:
        with pytest.raises((LookupError, ValueError), match=says):
            await record(desk, who, "Badge", through=through, outcome=outcome)
    assert await desk.number("SELECT count(*) FROM envelopes") == 0


async def test_contact_recorded_before_a_crash_is_a_query_after_it(desk: Desk) -> None:
    await desk.hold_pipeline()
    done = await desk.operate("record_contact", "ada", "desk", "Ann", "The vpn is down", outcome="answered")
    assert done["receipt"]
    await desk.stop()
    await desk.start()
    await desk.settle()
    assert await desk.column("SELECT state FROM queries") == ["resolved"]


async def test_console_records_shows_the_query_and_is_closed_to_viewers(desk: Desk) -> None:
    hub = desk.hub
    await desk.say(mail(sender="ann@acme.test", name="Ann Kern"), to="mail")
    for role in ("agent", "viewer"):
        await desk.operate("add_agent", "root", role, role)
    page = "/console/record"
    cookies = {}
    for login in ("agent", "viewer"):
        number = await desk.number("SELECT id FROM agents WHERE login = :login", login=login)
        cookies[login] = {"Cookie": f"{auth.cookie_name(hub)}={(await auth.open_session(hub, number)).decode()}",
                          "Sec-Fetch-Site": "same-origin"}  # fmt: skip
    words = {"through": "desk", "who": "Bo <bo@acme.test>", "about": "The vpn is down", "outcome": "answered",
             "once": "w"}  # fmt: skip
    async with desk._web.post(page, data=words, headers=cookies["agent"]) as answer:
        text = await answer.text()
    reference = (await desk.references())[-1]
    assert answer.status == 200
    assert f'href="/console/queries/{reference}"' in text
    async with desk._web.get(f"{page}/users?text=ann", headers=cookies["agent"]) as answer:
        assert await answer.json() == [{"value": "Ann Kern <email:ann@acme.test>", "label": "Acme"}]
    for path in (page, f"{page}/users?text=ann"):
        async with desk._web.get(path, headers=cookies["viewer"]) as answer:
            assert answer.status == 403
    async with desk._web.post(page, data={**words, "who": "044 1"}, headers=cookies["agent"]) as answer:
        assert answer.status == 400
        assert "begin it with the country" in await answer.text()
