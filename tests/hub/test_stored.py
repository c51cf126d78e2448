"""A message that was stored and not judged can be asked about as well."""

import msgspec

from context_store.decided import stored_message
from hub.stored import facts_of_stored, otherwise
from plugins import Fold, Media
from routing import Facts, decide, explain, in_words
from tests.hub.desk import Desk, message


async def test_stored_message_is_judged_by_what_is_stored_of_it(desk: Desk):
    await desk.say(message(text="hello"))
    text = "vpn again > old words"
    media = [Media(name="a.pdf", type="application/pdf", data=b"12345")]
    await desk.say(message(text=text, folds=[Fold(start=10, end=len(text), kind="quote")], media=media))
    first, second = await desk.column("SELECT id FROM messages WHERE direction = 'in' ORDER BY id")
    rules = desk.hub.rules.current
    assert (await desk.hub.store.read(stored_message, first)).decision_id is not None
    stored = await desk.hub.store.read(stored_message, second)
    facts = facts_of_stored(stored, rules)
    assert stored.decision_id is None
    assert (facts.body, facts.quoted, facts.assurance, facts.attachments[0].size) == ("vpn again ", "> old words", 1, 5)
    assert "type: incident (set by vpn)" in in_words(explain(rules, facts))
    assert await desk.hub.store.read(stored_message, 1) is None


async def test_decision_that_comes_out_otherwise_today_is_told(desk: Desk):
    await desk.say(message(text="the vpn is down"))
    ((facts, outcome),) = await desk.rows("SELECT facts, outcome FROM decisions")
    again = decide(desk.hub.rules.current, msgspec.json.decode(facts, type=Facts))
    assert otherwise(outcome, again) == ""
    changed = msgspec.structs.replace(again, outcome=msgspec.structs.replace(again.outcome, team="night"))
    assert "otherwise than was decided then" in otherwise(outcome, changed)
