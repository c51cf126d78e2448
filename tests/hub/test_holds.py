"""What rules hold back, and what an agent makes of it."""

import msgspec
import pytest

from hub.decided import validation_of
from tests.hub.desk import RULES, Desk, message

HOLDING = RULES.replace(
    "[default]",
    """
[[rule]]
name = "money"
when.text.any = ["refund"]
set.hold = "asks for money"
[[rule]]
name = "odd"
when.text.any = ["odd"]
set.park = "look at this"
[[rule]]
name = "lottery"
when.text.any = ["lottery"]
set.spam = true
[[rule]]
name = "closed"
when.text.any = ["closed"]
set.acknowledgement = "closed"
set.article = "hours"
[service.mail]
organisations = ["acme"]
[[rule]]
name = "mailbox"
when.text.any = ["mailbox"]
set.service = "mail"
[default]""",
)


@pytest.fixture
async def holding(hub_under_test: Desk):
    for name, text in {
        "templates/closed.en.md": "# We are closed\nYour reference: {reference}. {article}",
        "articles/hours.en.md": "# Opening hours\nNine to five.",
    }.items():
        path = hub_under_test.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    hub_under_test.rules = HOLDING
    await hub_under_test.start()
    return hub_under_test


async def opened(desk: Desk) -> list[str]:
    bodies = await desk.column("SELECT body FROM outbox WHERE kind = 'dispatch' ORDER BY id")
    return [msgspec.json.decode(body)["type"] for body in bodies]


@pytest.mark.parametrize(
    ("text", "kind", "answered"), [("refund", "hold", 1), ("odd", "park", 0), ("lottery", "spam", 0)]
)
async def test_held_query_is_not_dispatched_until_it_is_let_go(holding: Desk, text: str, kind: str, answered: int):
    await holding.say(message(text=text))
    assert await holding.column("SELECT kind FROM holds WHERE ended_at IS NULL") == [kind]
    assert (await opened(holding), len(await holding.sent())) == ([], answered)
    (reference,) = await holding.references()
    assert (await holding.operate("let_go", "eve", reference))["target"] == "tool"
    await holding.settle()
    assert (await opened(holding), len(await holding.sent())) == (["open"], 1)
    assert await holding.rows("SELECT state, target FROM queries") == [("new", "tool")]
    with pytest.raises(ValueError, match="not held"):
        await holding.operate("let_go", "eve", reference)


async def test_what_is_said_meanwhile_goes_with_it(holding: Desk):
    await holding.say(message(text="refund"), message(text="please"))
    assert await opened(holding) == []
    (reference,) = await holding.references()
    await holding.operate("let_go", "eve", reference)
    await holding.settle()
    assert await opened(holding) == ["open", "say"]


async def test_spam_is_closed_and_the_next_message_is_a_query_of_its_own(holding: Desk):
    await holding.say(message(text="lottery"))
    await holding.say(message(text="hello"))
    assert await holding.column("SELECT state FROM queries ORDER BY id") == ["closed", "new"]


async def test_agent_marks_spam_and_takes_it_back(holding: Desk):
    await holding.say(message(text="hello"))
    (reference,) = await holding.references()
    await holding.operate("hold_back", "eve", reference, "spam", "sells things")
    assert await holding.column("SELECT state FROM queries") == ["closed"]
    await holding.operate("let_go", "eve", reference, "tool")
    assert await holding.column("SELECT state FROM queries") == ["new"]
    assert [kind for kind in await holding.events() if kind in ("query.held", "query.let_go")] == [
        "query.held", "query.let_go",
    ]  # fmt: skip


async def test_chosen_acknowledgement_and_article_go_out(holding: Desk):
    await holding.say(message(text="closed?"))
    (sent,) = await holding.sent()
    (reference,) = await holding.references()
    assert sent["subject"] == f"We are closed [{reference}]"
    assert sent["text"] == f"Your reference: {reference}. Opening hours\n\nNine to five.\n"


@pytest.mark.parametrize(
    ("sender", "assurance", "held"), [("ann@acme.test", 1, 0), ("ann@acme.test", 0, 1), ("bob@other.test", 1, 1)]
)
async def test_service_is_for_those_who_may_use_it(holding: Desk, sender: str, assurance: int, held: int):
    await holding.say(message(sender=sender, assurance=assurance, text="mailbox", kind="mail"), to="mail")
    assert await holding.number("SELECT count(*) FROM holds") == held
    (outcome,) = await holding.column("SELECT outcome FROM decisions")
    said = msgspec.json.decode(outcome)["validation"]
    assert (said["status"] == "eligible") is (held == 0)
    assert said["reason"]
    assert validation_of(outcome) == said["status"]


async def test_query_is_sent_to_another_target(holding: Desk):
    await holding.say(message(text="hello"))
    (reference,) = await holding.references()
    with pytest.raises(ValueError, match="there are: tool"):
        await holding.operate("send_to", "eve", reference, "nowhere")
    await holding.operate("send_to", "eve", reference, "tool")
    assert await opened(holding) == ["open", "open"]
