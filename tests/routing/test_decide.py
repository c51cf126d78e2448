import msgspec

from routing import Decision, Facts, decide, load_rules
from routing.facts import FACTS
from tests.routing.make import DEFAULT, rule, rules

ALL = 'channel = "email"'
MAIL = Facts(channel="email")


def test_first_rule_to_set_a_field_wins_and_tags_add_up():
    decision = decide(
        rules(
            rule(ALL, "one", 'set.team = "net"\nset.tags = ["a", "b"]'),
            rule(ALL + "\nnot.subject.any = ['x']", "two", 'set.team = "desk"\nset.type = "request"\nset.tags = "b"'),
        ),
        MAIL,
    )
    assert decision.rules == ("one", "two")
    assert (decision.outcome.team, decision.outcome.type, decision.outcome.tags) == ("net", "request", ("a", "b"))
    assert decision.set_by["team"] == "one"
    assert decision.set_by["type"] == "two"
    assert decision.set_by["tags.b"] == "one"
    assert decision.set_by["target"] == "default"


def test_stop_ends_the_run():
    decision = decide(
        rules(rule(ALL, "one", 'set.team = "net"', "stop = true"), rule('not.channel = "chat"', "two")), MAIL
    )
    assert decision.rules == ("one",)
    assert decision.outcome.type == "unknown"


def test_priority_comes_from_the_matrix_unless_a_rule_sets_it():
    set_both = 'set.impact = "department"\nset.urgency = "high"'
    by_matrix = decide(rules(rule(ALL, sets=set_both)), MAIL)
    assert (by_matrix.outcome.priority, by_matrix.set_by["priority"]) == ("P2", "matrix")
    by_rule = decide(rules(rule(ALL, sets=set_both + '\nset.priority = "P5"')), MAIL)
    assert (by_rule.outcome.priority, by_rule.set_by["priority"]) == ("P5", "r")


def test_matrix_of_the_file_is_used():
    row = '{ low = "P1", medium = "P1", high = "P1", critical = "P1" }'
    matrix = "[matrix]\n" + "\n".join(
        f"{impact} = {row}" for impact in ("person", "team", "department", "organisation")
    )
    assert decide(load_rules(DEFAULT + matrix), MAIL).outcome.priority == "P1"


def test_conditions_see_the_facts_and_not_what_another_rule_set():
    decision = decide(rules(rule(ALL, "one", 'set.tags = ["vip"]'), rule('tags = ["vip"]', "two")), MAIL)
    assert decision.rules == ("one",)


def test_decision_survives_storing_and_names_its_rule_set():
    rule_set = rules(rule(ALL))
    decision = decide(rule_set, MAIL)
    stored = msgspec.json.encode(decision)
    assert msgspec.json.decode(stored, type=Decision) == decision
    assert decision.rule_set == rule_set.hash
    assert msgspec.json.decode(stored)["facts"]["version"] == FACTS


def test_decision_stored_by_a_later_release_with_more_facts_can_be_read():
    decision = decide(rules(rule(ALL)), MAIL)
    later = msgspec.json.decode(msgspec.json.encode(decision))
    later["facts"]["mood"] = ["angry"]
    later["outcome"]["colour"] = True
    assert msgspec.convert(later, Decision) == decision


def test_hash_changes_with_any_byte_of_the_file():
    assert load_rules(DEFAULT).hash != load_rules(DEFAULT + "# remark").hash
    assert load_rules(DEFAULT).hash == load_rules(DEFAULT.encode()).hash


def test_source_is_the_file_byte_for_byte():
    data = DEFAULT.replace("\n", "\r\n").encode()
    assert load_rules(data).source == data


def test_names_that_the_hub_must_know_are_told_with_their_places():
    rule_set = rules(rule('instance = ["support-mail"]', "a", 'set.target = "zammad"\nset.team = "net"'))
    told = [(mention.kind, mention.name, mention.file, mention.key) for mention in rule_set.mentions()]
    assert told == [
        ("target", "zammad", "rules.toml:1", "rule a: set.target"),
        ("team", "net", "rules.toml:1", "rule a: set.team"),
        ("instance", "support-mail", "rules.toml:1", "rule a: when.instance"),
        ("target", "querylog", "rules.toml:9", "default: set.target"),
    ]


def test_long_text_with_many_words_and_patterns_is_judged_exactly():
    many = [rule(f'text.any = ["word{number}"]', f"w{number}") for number in range(300)]
    many += [rule(f"text.matches = 'pattern{number}[.]'", f"p{number}") for number in range(300)]
    text = "filler word " * 8000 + "word7 word299 pattern12. pattern1x"
    assert decide(rules(*many), Facts(body=text)).rules == ("w7", "w299", "p12")
