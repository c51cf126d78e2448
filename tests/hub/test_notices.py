"""Announcements and users' records: what agents tell the hub that rules ask for."""

import msgspec
import pytest

from context_store.announcements import announcements
from tests.hub.desk import Desk, message


async def in_force(desk: Desk):
    return await desk.hub.store.read(announcements, desk.hub.store.now())


async def test_announcement_holds_until_it_is_ended(desk: Desk):
    done = await desk.operate("announce", "eve", "Mail is down", ["mail"], major=True)
    (one,) = await in_force(desk)
    assert (one.text, one.services, one.major, one.until_at) == ("Mail is down", ("mail",), True, None)
    await desk.operate("end_announcement", "eve", done["id"])
    assert await in_force(desk) == ()
    with pytest.raises(LookupError):
        await desk.operate("end_announcement", "eve", done["id"])
    assert await desk.events("announcement.begun", "announcement.ended") == ["announcement.begun", "announcement.ended"]


async def test_announcement_to_come_is_not_in_force(desk: Desk):
    await desk.operate("announce", "eve", "later", from_at="2099-01-01T00:00", until_at="2099-01-02T00:00")
    assert await in_force(desk) == ()
    assert len(await desk.hub.store.read(lambda conn: announcements(conn, 0, past=True))) == 1


@pytest.mark.parametrize(
    "wrong",
    [{"text": " "}, {"major": True}, {"until_at": "2001-01-01T00:00Z"}, {"from_at": "soon"}, {"text": "x" * 3000}],
)
async def test_announcement_that_makes_no_sense_is_refused(desk: Desk, wrong: dict[str, object]):
    with pytest.raises(ValueError, match=r"."):
        await desk.operate("announce", "eve", **{"text": "x", **wrong})
    assert await in_force(desk) == ()


async def test_user_s_record_is_kept_and_taken_away(desk: Desk):
    await desk.say(message())
    (user,) = await desk.column("SELECT id FROM users")
    changes = {"groups": "board, staff", "vip": True, "organisation": "acme", "floor": "3", "language": "de"}
    await desk.operate("set_user", "eve", user, changes)
    await desk.operate("set_user", "eve", user, {"floor": "", "vip": True, "organisation": ""})
    ((fields, vip, language),) = await desk.rows("SELECT fields, vip, language FROM users")
    record = msgspec.json.decode(fields)
    assert record.pop("as_of")
    assert (record, bool(vip), language) == ({"groups": ["board", "staff"]}, True, "de")
    first, second = await desk.column("SELECT body FROM events WHERE kind = 'user.set' ORDER BY id")
    assert msgspec.json.decode(first)["was"] == {
        "groups": "",
        "vip": False,
        "organisation": "",
        "floor": "",
        "language": "",
    }
    assert msgspec.json.decode(second) == {
        "was": {"floor": "3", "vip": True, "organisation": "acme"},
        "is": {"floor": "", "vip": True, "organisation": ""},
    }
    with pytest.raises(ValueError, match="no organisation"):
        await desk.operate("set_user", "eve", user, {"organisation": "nobody"})
    with pytest.raises(LookupError):
        await desk.operate("set_user", "eve", 1, {"vip": True})


async def test_connectors_are_told_what_is_in_force(desk: Desk):
    port = desk.hub.ports["chat"]
    assert await port.notices() == []
    await desk.operate("announce", "eve", "Mail is down", ["mail"])
    assert await port.notices() == ["Mail is down"]
