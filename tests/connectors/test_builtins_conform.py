"""Every built-in passes the conformance suite; those with samples of their own are held to it in their own files."""

import ast
import inspect
import re
from pathlib import Path
from typing import ClassVar, NoReturn

import pytest

from connectors.ticketing.querylog import QueryLog
from hub.config import builtin_modules
from plugins import Call, Refuse, Retry, TicketWork
from plugins.manager import discover
from plugins.testing.conformance import TargetConformance
from plugins.testing.lines import LiveHub
from plugins.testing.stubs import StubAttempt, StubEgress
from tests.connectors.test_mastodon import TestMastodon as Mastodon
from tests.connectors.test_slack import TestSlack as Slack
from tests.connectors.test_telegram import TestTelegram as Telegram
from tests.connectors.test_whatsapp import TestWhatsApp as WhatsApp
from tests.connectors.twilio.test_sms import TestTwilioSms as TwilioSms

VENDORS = (Slack, Telegram, WhatsApp, Mastodon, TwilioSms)
SUITES = {"ConnectorConformance", "TargetConformance", "VendorConformance"}
CONTRACT = Path(__file__).parents[2] / "docs" / "contract.md"
ATTRIBUTES = ("channel", "capabilities", "accepted")
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


def members(cls: type[object]) -> list[str]:
    """As they stand in the file; a property has brackets."""
    module = ast.parse(Path(inspect.getsourcefile(cls) or "").read_text())
    [body] = [node.body for node in module.body if isinstance(node, ast.ClassDef) and node.name == cls.__name__]
    found = []
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.append(f"{node.name}()" if node.decorator_list and node.name in ATTRIBUTES else node.name)
        elif isinstance(node, ast.AnnAssign | ast.Assign):
            found.append(ast.unparse(node.target if isinstance(node, ast.AnnAssign) else node.targets[0]))
    return [name for name in found if not name.startswith("_") or name == "__init__"]


def test_members_stand_in_the_order_that_the_contract_names():
    told = re.search(r"Members stand in this order.*?: (.*?)\. ", CONTRACT.read_text(), re.DOTALL)
    order = re.findall(r"`(\w+)`", told[1])
    after = order.index("__init__") + 1
    order[after:after] = [f"{name}()" for name in ATTRIBUTES]
    for cls in [*BUILTINS.connectors.values(), *BUILTINS.targets.values()]:
        assert members(cls) == sorted(members(cls), key=order.index), cls


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


def unreached(_: Call) -> NoReturn:
    raise Retry("GET https://far.test: Name or service not known")


def guarded(_: Call) -> NoReturn:
    raise Refuse("egress_refused", "10.0.0.1 is a private address")


@pytest.mark.parametrize("kit", VENDORS, ids=lambda kit: kit.cls.kind)
async def test_check_tells_nobody_there_and_our_own_guard_from_a_refusal(kit):
    async def said(egress: StubEgress) -> tuple[str, str]:
        [found] = [each for each in await kit().make().check(egress) if not each.ok]
        return found.what, found.fix

    what, fix = await said(StubEgress(unreached))
    assert what.endswith("can't be reached: GET https://far.test: Name or service not known")
    assert "token" not in fix
    what, fix = await said(StubEgress(guarded))
    assert (what.startswith("we may not call "), "[hub.egress]" in fix) == (True, True)
    async with kit().far() as far:
        [refused, *_] = await kit()._new(far, kit.table, kit().wrong).check(LiveHub())
    assert " refuses: " in refused.what
