from datetime import UTC, datetime, timedelta

import pytest

from routing import Eligibility, Facts, Person, decide, load_rules, validation_in_words
from routing.catalogue import eligibility
from routing.sla import due
from tests.routing.make import DEFAULT

FILE = """
[calendar.support]
zone = "Europe/Berlin"
hours.mon = "08:00-17:00"
hours.tue = "08:00-17:00"
hours.fri = "08:00-17:00"

[service.vpn]
organisations = ["Acme"]
contracts = ["gold", "silver"]
hours = "support"
targets.P1 = { first_response = "30m", resolution = "1h30m" }

[service.mail]

[targets]
P1 = { resolution = "8h" }
P2 = { first_response = "4h" }
"""
RULES = load_rules(FILE + DEFAULT)
CATALOGUE = RULES.catalogue
NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("service", "user", "status", "reason"),
    [
        ("vpn", Person(organisation="ACME", contract="gold"), "eligible", "by organisation, contract"),
        (
            "vpn",
            Person(organisation="acme", contract="none"),
            "not_eligible",
            "contract is none, not one of gold, silver",
        ),
        ("vpn", Person(organisation="acme"), "unknown", "the directory does not say: contract"),
        ("vpn", Person(organisation="other"), "not_eligible", "organisation is other, not one of acme"),
        ("vpn", None, "unknown", "the sender is not known"),
        ("mail", None, "eligible", "the service is open to all"),
        ("fax", Person(), "unknown", "the catalogue has no service 'fax'"),
        (None, Person(), "unknown", "no service"),
    ],
)
def test_eligibility(service, user, status, reason):
    answer = eligibility(CATALOGUE, service, user, NOW)
    assert (answer.status, answer.reason, answer.age) == (status, reason, None)


def test_eligibility_tells_the_age_of_what_the_directory_said():
    user = Person(organisation="acme", contract="gold", as_of=NOW - 3 * HOUR)
    assert eligibility(CATALOGUE, "vpn", user, NOW).age == 3 * HOUR


def test_target_times_are_the_services_own_or_those_of_the_file():
    assert CATALOGUE.target("vpn", "P1")[0].resolution == 1.5 * HOUR
    assert CATALOGUE.target("vpn", "P2")[0].first_response == 4 * HOUR
    assert CATALOGUE.target("mail", "P1") == (CATALOGUE.targets["P1"], None)
    assert CATALOGUE.target(None, "P5") == (None, None)


SUPPORT = RULES.calendars["support"]
FRIDAY = datetime(2026, 11, 20, 15, tzinfo=UTC)  # 16:00, an hour before the desk closes


def test_promise_is_due_in_business_time():
    found = due(SUPPORT, FRIDAY, 2 * HOUR, (), FRIDAY + HOUR / 2)
    assert (found.warn, found.breach) == (
        datetime(2026, 11, 23, 7, 30, tzinfo=UTC),
        datetime(2026, 11, 23, 8, tzinfo=UTC),
    )
    assert found.spent == HOUR / 2


def test_clock_stands_still_while_we_wait_for_the_user():
    pauses = [(FRIDAY + HOUR / 2, datetime(2026, 11, 23, 9, tzinfo=UTC))]
    found = due(SUPPORT, FRIDAY, 2 * HOUR, pauses, datetime(2026, 11, 23, 10, tzinfo=UTC))
    assert (found.breach, found.spent) == (datetime(2026, 11, 23, 10, 30, tzinfo=UTC), 1.5 * HOUR)


def test_nothing_is_due_while_the_pause_lasts():
    found = due(SUPPORT, FRIDAY, 2 * HOUR, [(FRIDAY + HOUR / 2, None)], FRIDAY + 100 * HOUR)
    assert (found.warn, found.breach, found.spent) == (None, None, HOUR / 2)


def test_breach_before_a_pause_stays():
    found = due(None, FRIDAY, HOUR, [(FRIDAY + 2 * HOUR, None)], FRIDAY + 5 * HOUR)
    assert (found.breach, found.spent) == (FRIDAY + HOUR, 2 * HOUR)


def test_pauses_may_overlap_and_come_in_any_order():
    pauses = [(FRIDAY + 2 * HOUR, FRIDAY + 4 * HOUR), (FRIDAY + HOUR, FRIDAY + 3 * HOUR), (FRIDAY - HOUR, FRIDAY)]
    assert due(None, FRIDAY, 2 * HOUR, pauses, FRIDAY).breach == FRIDAY + 5 * HOUR


def test_old_file_without_catalogue_has_an_empty_one():
    assert decide(load_rules(DEFAULT), Facts()).outcome.hold is None
    assert load_rules(DEFAULT).catalogue.services == {}


def test_age_is_told_in_the_largest_unit_of_which_there_are_two():
    told = [
        validation_in_words(Eligibility(status="not_eligible", reason="r", age=age))
        for age in (3 * HOUR, 47 * HOUR, 48 * HOUR, HOUR / 1200, None)
    ]
    assert told == [
        "not eligible, r, as the directory said 3 hours before",
        "not eligible, r, as the directory said 47 hours before",
        "not eligible, r, as the directory said 2 days before",
        "not eligible, r, as the directory said 3 seconds before",
        "not eligible, r",
    ]
