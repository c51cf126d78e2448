"""docs/rules.md says what the engine does: its tables are made from the engine's, its examples are loaded."""

import re
from pathlib import Path

import pytest

from routing import Facts, decide, explain, in_words, load_rules
from routing.actions import SETS
from routing.fields import FIELDS, HOURS, KINDS, NAMESPACES, OPERATORS, SHORT, field_of
from routing.matrix import DEFAULT as MATRIX
from tests.routing.make import DEFAULT

PAGE = (Path(__file__).parents[2] / "docs" / "rules.md").read_text("utf-8")
FILES = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


def lines(head, rows):
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def code(values):
    return ", ".join(f"`{value}`" for value in values)


def tables():
    fields = [
        (f"`{path}`", known.type, known.doc, code(known.allowed))
        for path in (*FIELDS, *(f"{space}.<name>" for space in (*NAMESPACES, HOURS)))
        if (known := field_of(path))
    ]
    operators = [
        (name, code(operators), f"`{SHORT[name]}`" if name in SHORT else "") for name, operators in OPERATORS.items()
    ]
    urgencies = list(MATRIX["person"])
    kinds = [(f"`{kind}`", code(begins)) for kind, begins in KINDS.items()]
    return {
        "fields": lines(["Field", "Type", "What it is", "Values"], fields),
        "operators": lines(["Type", "Operators", "A bare value is short for"], operators),
        "actions": lines(["Field", "Values"], [(f"`set.{name}`", code(values)) for name, values in SETS.items()]),
        "matrix": lines(["", *urgencies], [(impact, *row.values()) for impact, row in MATRIX.items()]),
        "kinds": lines(["Kind", "Media types that begin with"], kinds),
    }


@pytest.mark.parametrize(("name", "table"), tables().items(), ids=tables())
def test_table_of_the_reference_is_that_of_the_engine(name, table):
    assert table in PAGE, f"docs/rules.md, {name}: should be\n{table}"


@pytest.mark.parametrize("text", FILES)
def test_example_of_the_reference_is_accepted_and_holds(text):
    rule_set = load_rules(text if "[default]" in text else text + DEFAULT)
    assert "[[example]]" in text
    assert decide(rule_set, Facts()).outcome


def test_explanation_of_the_reference_is_what_the_engine_says():
    (shown,) = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
    facts = Facts(channel="email", subject="VPN down", body="please help")
    assert in_words(explain(load_rules(FILES[0]), facts)) == shown
