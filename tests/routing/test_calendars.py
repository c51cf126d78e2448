"""Business hours, each case checked by hand against a clock of its zone."""

from datetime import UTC, datetime, timedelta

import pytest

from plugins import BadConfig
from routing import Facts, History, Sender, decide, load_rules
from routing.calendars import DAYS, read_calendar
from tests.routing.make import DEFAULT, rule


def calendar(zone, hours, days=DAYS, **more):
    problems = []
    made = read_calendar(
        "c", {"zone": zone, "hours": dict.fromkeys(days, hours), **more}, lambda *p: problems.append(p)
    )
    assert not problems
    return made


WORK = DAYS[:5]
CALENDARS = {
    "bavaria": calendar("Europe/Berlin", "08:00-17:00", WORK, holidays="DE-BY",
                        special={"2026-12-24": [], "2026-12-31": "08:00-12:00"}),
    "germany": calendar("Europe/Berlin", "08:00-17:00", WORK, holidays=["DE"]),
    "new york": calendar("America/New_York", "09:00-17:00", WORK, holidays="US"),
    "kathmandu": calendar("Asia/Kathmandu", "10:00-17:00", ("sun", *WORK)),
    "night": calendar("Europe/Berlin", "22:00-06:00"),
    "early": calendar("Europe/Berlin", "02:30-04:00", ("sun",)),
    "lord howe": calendar("Australia/Lord_Howe", "00:00-24:00"),
}  # fmt: skip


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "at", "is_open", "local"),
    [
        ("bavaria", "2026-11-23T07:00", True, "Monday 08:00 CET"),
        ("bavaria", "2026-11-23T06:59", False, "Monday 07:59"),
        ("bavaria", "2026-11-23T15:59", True, "Monday 16:59"),
        ("bavaria", "2026-11-23T16:00", False, "Monday 17:00: the last instant is outside"),
        ("bavaria", "2026-07-01T06:00", True, "Wednesday 08:00 CEST"),
        ("bavaria", "2026-07-01T15:00", False, "Wednesday 17:00 CEST"),
        ("bavaria", "2026-11-21T10:00", False, "Saturday"),
        ("bavaria", "2026-06-04T10:00", False, "Corpus Christi, a holiday in Bavaria"),
        ("germany", "2026-06-04T10:00", True, "Corpus Christi, no holiday of the whole country"),
        ("bavaria", "2026-04-03T10:00", False, "Good Friday"),
        ("germany", "2026-04-06T10:00", False, "Easter Monday"),
        ("germany", "2025-10-03T10:00", False, "Day of German Unity, a Friday"),
        ("bavaria", "2026-12-25T10:00", False, "Christmas Day, a Friday"),
        ("bavaria", "2026-12-24T09:00", False, "Thursday, closed by a special day"),
        ("germany", "2026-12-24T09:00", True, "Thursday, no holiday by law"),
        ("bavaria", "2026-12-31T10:59", True, "Thursday 11:59, shorter by a special day"),
        ("bavaria", "2026-12-31T11:00", False, "Thursday 12:00"),
        ("new york", "2026-11-26T15:00", False, "Thanksgiving"),
        ("new york", "2026-11-27T15:00", True, "Friday 10:00 EST"),
        ("new york", "2026-07-03T14:00", False, "Independence Day falls on Saturday: observed on Friday"),
        ("new york", "2026-03-06T13:00", False, "Friday 08:00 EST"),
        ("new york", "2026-03-09T13:00", True, "Monday 09:00 EDT, the day after the change"),
        ("new york", "2026-11-02T13:30", False, "Monday 08:30 EST, the day after the change"),
        ("new york", "2026-11-02T14:00", True, "Monday 09:00 EST"),
        ("kathmandu", "2026-11-22T04:14", False, "Sunday 09:59, UTC+5:45"),
        ("kathmandu", "2026-11-22T04:15", True, "Sunday 10:00"),
        ("kathmandu", "2026-11-21T06:00", False, "Saturday"),
        ("night", "2026-03-28T21:00", True, "Saturday 22:00 CET, before the gap"),
        ("night", "2026-03-29T03:59", True, "Sunday 05:59 CEST, after the gap"),
        ("night", "2026-03-29T04:00", False, "Sunday 06:00 CEST"),
        ("night", "2026-10-25T04:59", True, "Sunday 05:59 CET, after the hour that came twice"),
        ("night", "2026-10-25T05:00", False, "Sunday 06:00 CET"),
        ("early", "2026-03-29T01:15", False, "Sunday 03:15 CEST: 02:30 does not exist, by the old offset it is 03:30"),
        ("early", "2026-03-29T01:30", True, "Sunday 03:30 CEST"),
        ("early", "2026-03-29T02:00", False, "Sunday 04:00 CEST"),
        ("early", "2026-10-25T00:29", False, "Sunday 02:29 CEST"),
        ("early", "2026-10-25T00:30", True, "Sunday 02:30 CEST: the first of two"),
        ("early", "2026-10-25T01:15", True, "Sunday 02:15 CET, in the second round"),
        ("early", "2026-10-25T03:00", False, "Sunday 04:00 CET"),
        ("lord howe", "2026-04-04T15:00", True, "Sunday 01:30, the half hour that comes twice"),
    ],
)
def test_calendar_is_open(name, at, is_open, local):
    assert CALENDARS[name].is_open(utc(at)) is is_open, local


@pytest.mark.parametrize(
    ("name", "begin", "end", "hours"),
    [
        ("night", "2026-03-28T20:00", "2026-03-29T06:00", 7),
        ("night", "2026-10-24T19:00", "2026-10-25T06:00", 9),
        ("night", "2026-11-20T20:00", "2026-11-21T06:00", 8),
        ("lord howe", "2026-04-04T13:00", "2026-04-05T13:30", 24.5),
        ("lord howe", "2026-10-03T13:30", "2026-10-04T13:00", 23.5),
        ("bavaria", "2026-12-23T15:00", "2026-12-28T08:00", 2),
        ("bavaria", "2026-11-23T16:00", "2026-11-23T07:00", 0),
    ],
)
def test_business_time_between(name, begin, end, hours):
    assert CALENDARS[name].between(utc(begin), utc(end)) == timedelta(hours=hours)


@pytest.mark.parametrize(
    ("name", "begin", "hours", "end"),
    [
        ("bavaria", "2026-11-20T15:30", 1, "2026-11-23T07:30"),
        ("bavaria", "2026-12-23T15:00", 2, "2026-12-28T08:00"),
        ("bavaria", "2026-03-27T15:00", 2, "2026-03-30T07:00"),
        ("night", "2026-03-28T21:00", 7, "2026-03-29T04:00"),
        ("bavaria", "2026-11-21T10:00", 9, "2026-11-23T16:00"),
    ],
)
def test_business_time_added(name, begin, hours, end):
    assert CALENDARS[name].add(utc(begin), timedelta(hours=hours)) == utc(end)


def test_calendar_that_never_opens_gives_no_instant():
    assert calendar("UTC", []).add(utc("2026-01-01T00:00"), timedelta(hours=1)) is None


SUPPORT = '[calendar.support]\nzone = "Europe/Berlin"\nhours.mon = "08:00-17:00"\n'
MONDAY = utc("2026-11-23T10:00")


def matched(when, facts, more=""):
    return decide(load_rules(rule(when) + more + DEFAULT), facts).rules == ("r",)


@pytest.mark.parametrize(("wanted", "at"), [("true", MONDAY), ("false", MONDAY + timedelta(days=1))])
def test_condition_on_hours(wanted, at):
    assert matched(f"hours.support = {wanted}", Facts(at=at), SUPPORT)
    assert not matched(f"hours.support = {wanted}", Facts(), SUPPORT), "a missing time is neither open nor closed"


@pytest.mark.parametrize(
    ("days", "low", "holds"), [(1, 2, True), (1, 3, False), (3, 5, True), (3, 6, False), (4, 0, False)]
)
def test_contacts_are_counted_back_as_far_as_they_were_captured(days, low, holds):
    facts = Facts(history=History(contacts=(2, 0, 3)))
    assert matched(f"history.contacts = {{ days = {days}, min = {low} }}", facts) is holds


@pytest.mark.parametrize(
    ("when", "facts"),
    [
        ('sender.domain.in = "friends"', Facts(sender=Sender(address="a@b.test"))),
        ('text.in = ["friends"]', Facts(body="mail from B.TEST today")),
        ('recipients.in = ["friends"]', Facts(recipients=("x.test", "b.test"))),
        ('fields.from.in = "friends"', Facts(fields={"from": "c.test"})),
        ('history.open_queries.min = 2\ntext.in = "friends"',
         Facts(history=History(open_queries=2), body="c.test")),
        ('major_incidents = ["mail"]\ntext.in = "friends"', Facts(major_incidents=("mail",), subject="b.test")),
        ('announced.none = ["mail"]\ntext.in = "friends"', Facts(announced=(), subject="b.test")),
        ('service = "mail"\ntext.in = "friends"', Facts(service="Mail", subject="b.test")),
    ],
)  # fmt: skip
def test_condition_holds_with_a_list_and_not_where_nothing_is_said(when, facts):
    lists = '[list]\nfriends = ["b.test", "c.test"]\n'
    assert matched(when, facts, lists)
    assert not matched(when, Facts(), lists)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (rule('sender.domain.in = "x"') + DEFAULT, "there is no list 'x'"),
        ('[list]\nx = []\n' + DEFAULT, "list.x: expected a list of strings"),
        ('[list]\nx = ["a"]\n' + DEFAULT, "rules.toml:2: list.x: nothing in the file uses it"),
        (SUPPORT + DEFAULT, "rules.toml:1: calendar.support: nothing in the file uses it"),
        (rule("hours.x = true") + DEFAULT, "there is no such calendar"),
        (rule("hours.support = 3") + SUPPORT + DEFAULT, "expected true or false"),
        (rule('channel = "chat"', more='group = "x"') + DEFAULT, "there is no group 'x'"),
        ('[group.x]\nwhen.channel = "chat"\n' + DEFAULT, "group.x: nothing in the file uses it"),
        (rule("history.contacts = { min = 1 }") + DEFAULT, "needs days"),
        (rule("history.contacts = { days = 91, min = 1 }") + DEFAULT, "91 is too large"),
        (rule("hours.support = true\nnot.hours.support = true") + SUPPORT + DEFAULT, "can never match"),
        (rule("assurance.min = 2\nall = [{ assurance.max = 1 }]") + DEFAULT, "can't be 2 or more and 1 or fewer"),
        (rule('channel = "chat"', "a") + rule('channel = "chat"', "b") + DEFAULT, "differs from a (line 1)"),
        (rule('channel = "chat"', sets="set.spam = 1") + DEFAULT, "set.spam: expected true or false"),
        (SUPPORT.replace("Europe/Berlin", "Europe/Nowhere") + DEFAULT, "is no time zone"),
        (SUPPORT + 'holidays = "XX"\n' + DEFAULT, "no holidays are known"),
        ('[service.a]\norganisations = []\n' + DEFAULT, "service.a: organisations: expected a list of names"),
        ('[service.a]\nhours = "x"\n' + DEFAULT, "there is no calendar 'x'"),
        ('[service.a]\ntargets.P1.resolution = "soon"\n' + DEFAULT, "'soon' is no time"),
        ('[service.a]\n' + rule('channel = "chat"', sets='set.service = "b"') + DEFAULT, "there is no service 'b'"),
    ],
)  # fmt: skip
def test_mistake_is_named_with_its_line(text, problem):
    with pytest.raises(BadConfig) as refused:
        load_rules(text)
    assert any(problem in str(each) for each in refused.value.problems), refused.value.problems


def test_rules_of_a_group_share_its_guard():
    guarded = load_rules(
        '[group.mail]\nwhen.channel = "email"\n'
        + rule('text.any = ["vpn"]', "a", more='group = "mail"')
        + '[[rule]]\nname = "b"\ngroup = "mail"\nset.team = "post"\n' + DEFAULT
    )  # fmt: skip
    assert decide(guarded, Facts(channel="email", body="vpn")).rules == ("a", "b")
    assert decide(guarded, Facts(channel="chat", body="vpn")).rules == ()
