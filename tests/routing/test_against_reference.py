"""The compiled engine against the naive one, on generated rule sets and messages."""

import json
import os

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from plugins import BadConfig
from routing import Attachment, Facts, History, Person, Sender, decide, explain, load_rules
from tests.routing.reference import LISTS, judge

PAIRS = int(os.environ.get("TRUNKLINE_RULE_PAIRS", "2000"))
"""Message and rule-set pairs; `make faults` asks for 100,000."""
PER_SET = 10

WORDS = ["vpn", "VPN", "down", "vpn down", "printer", "print", "er", "a1", "接続", "再"]
TEXTS = [*WORDS, "sprint", "printers", "x", "再接続", "vpn接続"]
PATTERNS = ["vpn", "(?i)^VPN", "down$", "p.*r", "[0-9]", "^x|er\\b"]
PATHS = ["text", "subject", "fields.topic"]

word_lists = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3)
text_conditions = st.dictionaries(
    st.sampled_from(["any", "all", "none"]), word_lists, min_size=1, max_size=2
) | st.builds(lambda pattern: {"matches": pattern}, st.sampled_from(PATTERNS))
channels = st.lists(st.sampled_from(["email", "chat", "phone"]), min_size=1, max_size=2, unique=True)
leaves = st.one_of(
    st.builds(lambda c: {"text": c}, text_conditions),
    st.builds(lambda c: {"subject": c}, text_conditions),
    st.builds(lambda c: {"fields": {"topic": c}}, text_conditions | word_lists),
    st.builds(lambda c: {"channel": c}, channels),
    st.builds(lambda c: {"direction": c}, st.sampled_from(["in", "out"])),
    st.builds(lambda c: {"sender": {"domain": c}}, st.sampled_from(["acme.test", "ACME.test", "other.test"])),
    st.builds(lambda c: {"user": {"organisation": c}}, st.lists(st.sampled_from(["acme", "b"]), min_size=1)),
    st.builds(
        lambda op, c: {"user": {"groups": {op: c}}},
        st.sampled_from(["any", "all", "none"]),
        st.lists(st.sampled_from(["g1", "g2"]), min_size=1),
    ),
    st.builds(lambda n: {"assurance": {"min": n}}, st.integers(0, 3)),
    st.builds(lambda n: {"history": {"open_queries": {"max": n}}}, st.integers(0, 3)),
    st.builds(
        lambda days, limit: {"history": {"contacts": {"days": days} | limit}},
        st.integers(1, 3),
        st.sampled_from([{"min": 2}, {"max": 1}, {"min": 1, "max": 2}]),
    ),
    st.builds(
        lambda make, names: make({"in": names}),
        st.sampled_from([
            lambda c: {"text": c},
            lambda c: {"subject": c},
            lambda c: {"fields": {"topic": c}},
            lambda c: {"user": {"organisation": c}},
            lambda c: {"user": {"groups": c}},
            lambda c: {"sender": {"domain": c}},
        ]),
        st.lists(st.sampled_from(["one", "two"]), min_size=1, max_size=2, unique=True),
    ),
    st.builds(lambda n: {"assurance": {"max": n}}, st.integers(0, 3)),
    st.builds(lambda p: {"missing": [p]}, st.sampled_from([*PATHS, "user.organisation", "assurance"])),
)


def merged(tables):
    together = {}
    for each in tables:
        together.update(each)
    return together


def conditions(inner):
    groups = st.one_of(
        st.builds(lambda t: {"not": t}, inner),
        st.builds(lambda t: {"any": t}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda t: {"all": t}, st.lists(inner, min_size=1, max_size=2)),
    )
    return st.lists(groups | leaves, min_size=1, max_size=3).map(merged)


whens = st.recursive(st.lists(leaves, min_size=1, max_size=3).map(merged), conditions, max_leaves=5)
sets = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["incident", "request"]),
        "impact": st.sampled_from(["person", "organisation"]),
        "urgency": st.sampled_from(["low", "critical"]),
        "priority": st.sampled_from(["P1", "P5"]),
        "team": st.sampled_from(["one", "two"]),
        "tags": st.lists(st.sampled_from(["x", "y"]), min_size=1, unique=True),
    },
).map(lambda drawn: drawn or {"team": "one"})
rules = st.fixed_dictionaries({"when": whens, "set": sets}, optional={"stop": st.booleans()})
MATRIX = {i: {u: f"P{1 + (n + m) % 5}" for m, u in enumerate(["low", "medium", "high", "critical"])}
          for n, i in enumerate(["person", "team", "department", "organisation"])}  # fmt: skip
DEFAULT = {"set": {"type": "unknown", "impact": "person", "urgency": "low", "target": "q", "tags": ["y"]}}

texts = st.none() | st.lists(st.sampled_from(TEXTS), max_size=5).map(" ".join)
messages = st.fixed_dictionaries({
    "channel": st.sampled_from(["email", "chat", "phone", None]),
    "direction": st.sampled_from(["in", "in", "out"]),
    "subject": texts,
    "body": texts,
    "sender": st.sampled_from(["ann@acme.test", "bob@other.test", "+15550001111", None]),
    "organisation": st.sampled_from(["acme", "b", None]),
    "groups": st.sampled_from([None, [], ["g1"], ["g1", "g2"]]),
    "assurance": st.sampled_from([None, 0, 1, 2, 3]),
    "open_queries": st.sampled_from([None, 0, 2]),
    "contacts": st.sampled_from([None, [], [2, 0], [0, 1, 1]]),
    "fields": st.dictionaries(st.just("topic"), st.sampled_from(TEXTS)),
})


def toml(value):
    """Any document as TOML: JSON's strings, numbers and arrays are TOML's too."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def facts_of(message):
    groups = message["groups"]
    return Facts(
        channel=message["channel"],
        direction=message["direction"],
        subject=message["subject"],
        body=message["body"],
        sender=message["sender"] and Sender(address=message["sender"]),
        user=Person(organisation=message["organisation"], groups=None if groups is None else tuple(groups)),
        assurance=message["assurance"],
        fields=message["fields"],
        history=History(
            open_queries=message["open_queries"],
            contacts=None if message["contacts"] is None else tuple(message["contacts"]),
        ),
        attachments=(Attachment(name="a.pdf"),),
    )


def accepted(document):
    """(rule set, what is left of the document, [(a document, rules called useless, those without effect)])."""
    refusals = []
    while True:
        try:
            text = "\n".join(f"{json.dumps(key)} = {toml(value)}" for key, value in document.items())
            return load_rules(text), document, refusals
        except BadConfig as refused:
            problems = refused.problems
        unused = {problem.key.removeprefix("list.") for problem in problems if problem.key.startswith("list.")}
        document = document | {"list": {name: those for name, those in document["list"].items() if name not in unused}}
        problems = [problem for problem in problems if not problem.key.startswith("list.")]
        assert all("never" in problem.what for problem in problems), problems
        useless = {problem.key.split(":")[0].removeprefix("rule ") for problem in problems}
        idle = {problem.key.removeprefix("rule ") for problem in problems if "has an effect" in problem.what}
        refusals.append((document, useless, idle))
        document = document | {"rule": [rule for rule in document["rule"] if rule["name"] not in useless]}


@settings(max_examples=PAIRS // PER_SET, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(rules, max_size=8), st.lists(messages, min_size=PER_SET, max_size=PER_SET))
def test_compiled_and_naive_evaluation_agree(drawn, batch):
    document = {
        "rule": [{"name": f"r{number}"} | rule for number, rule in enumerate(drawn)],
        "default": DEFAULT,
        "matrix": MATRIX,
        "list": LISTS,
    }
    rule_set, document, refusals = accepted(document)
    for refused, useless, idle in refusals:
        for message in batch:
            matched, outcome = judge(refused, message)
            assert not (useless - idle) & set(matched), "a rule was called useless that matches"
            assert not idle & {setter for _, setter in outcome.values()}, (
                "a rule was called useless that sets something"
            )
    for message in batch:
        facts = facts_of(message)
        matched, outcome = judge(document, message)
        decision = decide(rule_set, facts)
        event(f"matched {min(len(matched), 3)}")
        assert list(decision.rules) == matched
        assert dict(decision.set_by) == {name: setter for name, (_, setter) in outcome.items()}
        for name, (value, _) in outcome.items():
            assert name.startswith("tags.") or getattr(decision.outcome, name) == value
        explained = explain(rule_set, facts)
        assert [trace.rule for trace in explained.rules if trace.matched and not trace.stopped_by] == matched
