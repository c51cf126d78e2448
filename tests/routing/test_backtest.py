from itertools import count

import msgspec

from routing import Facts, History, Person, decide
from routing.backtest import Past, backtest
from tests.routing.make import rule, rules

VPN = rule('text.any = ["vpn"]', "vpn", 'set.type = "incident"\nset.urgency = "high"\nset.target = "zammad"')
MESSAGES = [Facts(subject="vpn is down"), Facts(subject="printer"), Facts(subject="hello")]
OLD = [msgspec.structs.replace(facts, version=1) for facts in MESSAGES]


def replay(candidate, facts=MESSAGES, live=None, progress=lambda _: None):
    live = live or rules(VPN)
    past = [Past(key=str(number), decision=decide(live, each)) for number, each in enumerate(facts)]
    return backtest(candidate, past, count().__next__, progress)


def test_same_rules_change_nothing():
    report = replay(rules(VPN))
    assert (report.messages, report.changed, report.unknown, report.hits) == (3, 0, 0, {"vpn": 1})


def test_changes_are_counted_by_field_with_samples_to_read():
    printer = rule('text.any = ["printer"]', "printer", 'set.urgency = "critical"\nset.target = "jira"')
    report = replay(rules(VPN, printer))
    assert report.changed == report.newly_matched == 1
    assert report.moves == {
        "urgency": {"medium → critical": 1},
        "priority": {"P4 → P2": 1},
        "target": {"querylog → jira": 1},
    }
    (sample,) = report.samples["target"]
    assert (sample.key, sample.would_be["target"], sample.rules_after) == ("1", "jira", ("printer",))


def test_message_that_no_rule_matches_any_more_is_told():
    report = replay(rules(rule('text.any = ["anyconnect"]', "vpn", 'set.type = "incident"')))
    assert (report.newly_unmatched, report.never_hit) == (1, ("vpn",))
    assert [sample.key for sample in report.samples["newly_unmatched"]] == ["0"]


def test_condition_on_a_fact_that_was_not_captured_is_unknown():
    candidate = rules(VPN, rule("history.open_queries.min = 2", "busy", 'set.urgency = "critical"'))
    report = replay(candidate, OLD)
    assert (report.unknown, report.unknown_by_rule, report.never_hit) == (2, {"busy": 2}, ()), "vpn sets urgency first"


def test_captured_fact_that_is_missing_is_no_unknown():
    report = replay(rules(VPN, rule('recipients = ["a@b.test"]', "busy", 'set.urgency = "critical"')))
    assert (report.unknown, report.never_hit) == (0, ("busy",))


def test_what_no_rule_of_then_had_counted_is_unknown():
    candidate = rules(VPN, rule("history.contacts = { days = 7, min = 2 }", "busy", 'set.team = "x"'))
    few = [Facts(history=History(contacts=(1,) * days)) for days in (6, 7)]
    assert [replay(candidate, [one]).unknown for one in (Facts(), *few)] == [1, 1, 0]


def test_other_condition_that_fails_leaves_nothing_unknown():
    candidate = rules(VPN, rule('text.any = ["toner"]\nhistory.open_queries.min = 2', "busy", 'set.team = "x"'))
    assert replay(candidate, OLD).unknown == 0


def test_unknown_is_not_turned_into_yes_by_not():
    candidate = rules(VPN, rule("not.history.open_queries.min = 2", "quiet", 'set.team = "x"'))
    assert replay(candidate, OLD).unknown_by_rule == {"quiet": 3}
    assert replay(candidate, [Facts(history=History(open_queries=1))]).moves == {"team": {"none → x": 1}}


def test_progress_is_told_and_cost_is_measured():
    seen = []
    report = replay(rules(VPN), MESSAGES * 400, progress=seen.append)
    assert (seen, report.microseconds) == ([1000, 1200], 1e6)


def test_users_whom_the_candidates_catalogue_shuts_out_are_reported():
    asked = rule('text.any = ["vpn"]', "vpn", 'set.service = "vpn"')
    open_, closed = rules(asked), rules(asked, '[service.vpn]\norganisations = ["acme"]\n')
    users = [Person(organisation="acme"), Person(organisation="other"), Person()]
    past = [
        Past(key=str(n), decision=decide(open_, Facts(subject="vpn", user=user, assurance=1)))
        for n, user in enumerate(users)
    ]
    report = backtest(closed, past, lambda: 0.0)
    assert report.changed == 2
    assert report.moves == {"validation": {"eligible → not_eligible": 1, "eligible → unknown": 1}}
    said = ("eligible", "not_eligible", "unknown")
    again = [msgspec.structs.replace(one, validation=each) for one, each in zip(past, said, strict=True)]
    assert backtest(closed, again, lambda: 0.0).changed == 0
