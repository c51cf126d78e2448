"""Short ways to a rule set and to the problems of a bad one."""

import pytest

from plugins import BadConfig
from routing import load_rules

DEFAULT = """
[default]
set.type = "unknown"
set.impact = "person"
set.urgency = "medium"
set.target = "querylog"
"""


def rule(when, name="r", sets='set.type = "incident"', more=""):
    """One [[rule]] with these lines of conditions."""
    lines = "\n".join(f"when.{line}" for line in when.strip().splitlines())
    return f'[[rule]]\nname = "{name}"\n{lines}\n{sets}\n{more}\n'


def rules(*parts):
    return load_rules("\n".join([*parts, DEFAULT]))


def problems(text, known=None):
    """`place: key: what (fix)` of each problem that the file is refused for."""
    with pytest.raises(BadConfig) as refused:
        load_rules(text, known=known or {})
    return [str(problem) for problem in refused.value.problems]
