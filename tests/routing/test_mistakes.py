"""A file with several mistakes: what can be said of the rest is said, and nothing that only follows from a mistake."""

from routing import load_rules
from routing.load import MOST
from tests.routing.make import DEFAULT, problems, rule

KNOWN = {"target": frozenset({"querylog"}), "team": frozenset({"desk"}), "instance": frozenset({"mail"})}


def told(text: str) -> list[str]:
    """Without the fix."""
    return [problem.partition(" (")[0] for problem in problems(text)]


def test_names_are_checked_in_rules_that_have_other_mistakes():
    bad = rule(
        'instance = ["lost"]\nchanel = "email"', "a", 'set.team = "moon"\nset.type = "incidence"\nset.target = "q"'
    )
    assert told_with_names(bad + DEFAULT) == [
        "rules.toml:3: rule a: when.instance: there is no instance 'lost'",
        "rules.toml:4: rule a: when.chanel: unknown field",
        "rules.toml:5: rule a: set.team: there is no team 'moon'",
        "rules.toml:6: rule a: set.type: unknown value 'incidence'",
        "rules.toml:7: rule a: set.target: there is no target 'q'",
    ]


def told_with_names(text: str) -> list[str]:
    return [problem.partition(" (")[0] for problem in problems(text, KNOWN)]


def test_name_in_a_group_is_told_once_where_it_stands():
    group = '[group.g]\nwhen.instance = "lost"\n'
    both = rule('channel = "email"', "a", more='group = "g"') + rule('channel = "chat"', "b", more='group = "g"')
    assert told_with_names(group + both + DEFAULT) == [
        "rules.toml:2: group.g: when.instance: there is no instance 'lost'"
    ]


def test_service_that_a_condition_asks_for_must_be_in_the_catalogue():
    asked = 'service = "vnp"\nannounced = "VPN"\nmajor_incidents = ["vnp"]'
    assert told(rule(asked) + "[service.Vpn]\n" + DEFAULT) == [
        "rules.toml:3: rule r: when.service: there is no service 'vnp'",
        "rules.toml:5: rule r: when.major_incidents: there is no service 'vnp'",
    ]
    assert load_rules(rule(asked) + DEFAULT).rules, "without a catalogue nobody knows"


def test_example_that_expects_a_rule_that_is_not_there_is_told_beside_other_mistakes():
    example = '[[example]]\nmessage = { channel = "email" }\nexpect = { rule = "lost" }\n'
    assert told(rule('chanel = "email"') + DEFAULT + example) == [
        "rules.toml:3: rule r: when.chanel: unknown field",
        "rules.toml:14: example 1: expect.rule: there is no rule 'lost'",
    ]


def test_example_of_a_message_that_can_not_be_is_told_in_the_words_of_conditions():
    message = 'channel = "emial", kind = "maill", direction = "sideways", automatic = "robot", instance = "nosuch"'
    example = f'[[example]]\nmessage = {{ {message} }}\nexpect = {{ type = "unknown" }}\n'
    asked = rule('channel = "emial"\nkind = "maill"\ndirection = "sideways"\nautomatic_kind = "robot"')
    in_rule = [problem.partition(": when.")[2] for problem in problems(asked + DEFAULT)]
    in_example = [problem.partition(": message.")[2] for problem in problems(DEFAULT + example)]
    assert len(in_example) == 4
    assert in_example == [problem.replace("automatic_kind", "automatic") for problem in in_rule]


def test_example_over_an_instance_that_is_not_there_is_told_where_instances_are_known():
    example = '[[example]]\nmessage = { instance = "nosuch" }\nexpect = { type = "unknown" }\n'
    at = f"rules.toml:{DEFAULT.count(chr(10)) + 2}"
    assert problems(DEFAULT + example, KNOWN) == [
        f"{at}: example 1: message.instance: there is no instance 'nosuch' (there are: mail)"
    ]
    assert load_rules(DEFAULT + example), "without a configuration nobody knows"
    assert load_rules(DEFAULT + example.replace("nosuch", "mail"), known=KNOWN)


def test_example_may_say_that_a_person_wrote_it():
    assert load_rules(DEFAULT + '[[example]]\nmessage = { automatic = "" }\nexpect = { type = "unknown" }\n')


def test_broken_or_nameless_rules_shadow_nothing_and_are_not_judged_by_others():
    stop = "stop = true"
    broken = rule('channel = "email"\nchanel = "x"', "broken", more=stop)
    unnamed = rule('channel = "email"', "", more=stop)
    unset = rule('channel = "email"', "unset", 'set.type = "incidence"', more=stop)
    fine = rule('channel = "email"\ntext.any = ["vpn"]', "fine")
    assert told(broken + unnamed + unset + fine + DEFAULT) == [
        "rules.toml:4: rule broken: when.chanel: unknown field",
        "rules.toml:8: rule 2: name: every rule needs a name of 1 to 100 printable characters",
        "rules.toml:15: rule unset: set.type: unknown value 'incidence'",
    ]
    assert len(problems(unset.replace("incidence", "incident") + fine + DEFAULT)) == 1, "the control"


def test_two_nameless_rules_do_not_share_a_name():
    nameless = '[[rule]]\nwhen.channel = "email"\nset.team = "x"\n'
    assert len(told(nameless + nameless.replace("email", "chat") + DEFAULT)) == 2


def test_contradiction_is_told_of_a_rule_whose_actions_are_wrong_and_not_of_one_whose_conditions_are():
    never = 'channel = "email"\nnot.channel = "email"'
    assert "can never match" in told(rule(never, sets='set.type = "x"') + DEFAULT)[0]
    misspelt = 'channel = "email"\nnot.chanel = "email"'
    assert told(rule(misspelt) + DEFAULT) == ["rules.toml:4: rule r: when.not.chanel: unknown field"]


def test_what_has_mistakes_is_there_all_the_same_and_is_told_once():
    broken = """
[list]
friends = [3]
[calendar.day]
zone = "Mars"
hours.mon = "08:00-18:00"
[group.mail]
when.chanel = "email"
[service.vpn]
hours = "day"
"""
    uses = [
        rule('sender.domain.in = "friends"', "a", more="stop = true"),
        rule("hours.day = false", "b"),
        rule('channel = "email"', "c", more='group = "mail"'),
        rule('channel = "email"\nsender.domain = "x"', "d"),
    ]
    assert told(broken + "".join(uses) + DEFAULT) == [
        "rules.toml:3: list.friends: expected a list of strings, none of them empty",
        "rules.toml:5: calendar.day: zone: 'Mars' is no time zone",
        "rules.toml:8: group.mail: when.chanel: unknown field",
    ]


def test_list_that_a_misspelt_condition_should_use_is_not_called_unused():
    lists = '[list]\nfriends = ["a.test"]\nfoes = ["b.test"]\n'
    assert told(lists + rule('sender.domian.in = "friends"') + DEFAULT) == [
        "rules.toml:3: list.foes: nothing in the file uses it",
        "rules.toml:6: rule r: when.sender.domian: unknown field",
    ]


def test_rule_that_shares_name_and_all_is_told_once():
    same = rule('channel = "email"', "a")
    assert told(same + same + DEFAULT) == ["rules.toml:7: rule a: name: line 1 has a rule of this name"]


def test_lines_are_found_however_the_tables_are_written():
    text = """rule = "x"
[list]
"far friends" = [3]
[calendar]
night.zone = "Mars"
night.hours.mon = "25"
[calendar.day]
zone = "Europe/Berlin"
[calendar.day.hours]
mon = "08:00-18:00"
tue = "8-18"
[service.vpn.targets]
P1 = { resolution = "4h" }
P2 = { resolution = "soon" }
[default]
note = "x"
[default.set]
type = "unknown"
"impact" = "nobody"
urgency = "low"
target = "q"
[[example]]
message.subject = "x"
[example.expect]
spam = "none"
"""
    assert told(text) == [
        "rules.toml:1: rule: expected a list of tables",
        "rules.toml:3: list.far friends: expected a list of strings, none of them empty",
        "rules.toml:3: list.far friends: nothing in the file uses it",
        "rules.toml:5: calendar.night: zone: 'Mars' is no time zone",
        "rules.toml:5: calendar.night: nothing in the file uses it",
        "rules.toml:6: calendar.night: hours.mon: '25' are no hours",
        "rules.toml:7: calendar.day: nothing in the file uses it",
        "rules.toml:11: calendar.day: hours.tue: '8-18' are no hours",
        "rules.toml:14: service.vpn: targets.P2.resolution: 'soon' is no time",
        "rules.toml:19: default: set.impact: unknown value 'nobody'",
        "rules.toml:25: example 1: expect.spam: expected true or false, not 'none'",
    ]


def test_mistake_in_a_branch_is_told_where_the_branches_begin():
    branches = 'channel = "email"\nany = [{ user.vip = true }, { chanel = "x" }]'
    assert told(rule(branches) + DEFAULT) == ["rules.toml:4: rule r: when.any[2].chanel: unknown field"]


def test_no_more_problems_are_told_than_anybody_reads():
    found = told("".join(rule(f'x{number} = "y"', f"r{number}") for number in range(MOST + 5)) + DEFAULT)
    assert (len(found), found[-1]) == (MOST + 1, "rules.toml: 5 more problems")
