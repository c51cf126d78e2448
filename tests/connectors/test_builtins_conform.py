"""Every built-in passes the conformance suite; those with samples of their own are held to it in their own files."""

import ast
from pathlib import Path
from typing import ClassVar

import pytest

from connectors.ticketing.querylog import QueryLog
from hub.config import builtin_modules
from plugins import Refuse, TicketWork
from plugins.manager import discover
from plugins.testing.conformance import TargetConformance
from plugins.testing.stubs import StubAttempt

SUITES = {"ConnectorConformance", "TargetConformance", "VendorConformance"}
BUILTINS = discover(builtin_modules(), entry_points=False)


class TestQueryLog(TargetConformance):
    cls = QueryLog
    table: ClassVar[dict[str, str]] = {}


def held() -> set[str]:
    """Names of the classes that some subclass of a suite below this folder names as its `cls`."""
    found = set()
    for file in Path(__file__).parent.rglob("*.py"):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.ClassDef) and SUITES & {ast.unparse(base) for base in node.bases}:
                found |= {ast.unparse(line.value) for line in node.body if isinstance(line, ast.Assign)
                          and ast.unparse(line.targets[0]) == "cls"}  # fmt: skip
    return found


def test_no_built_in_is_left_out():
    classes = [*BUILTINS.connectors.values(), *BUILTINS.targets.values()]
    assert {"email", "portal", "webhook", "querylog"} <= {cls.kind for cls in classes}
    assert [cls.__name__ for cls in classes if cls.__name__ not in held()] == []


async def test_query_log_opens_a_query_under_its_own_reference():
    log, work = TestQueryLog().make(), TestQueryLog().works()[0]
    [step] = log.plan(work)
    assert (await log.perform(step, StubAttempt())).ref == work.ext_id
    assert step.harmless


@pytest.mark.parametrize("work", TestQueryLog().works()[1:])
def test_query_log_refuses_what_stands_on_the_query_itself(work: TicketWork):
    with pytest.raises(Refuse):
        TestQueryLog().make().plan(work)
