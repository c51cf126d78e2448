"""What is held shows why, and one press lets it go."""

from context_store import holds
from context_store.shapes import HoldView
from context_store.views import find_query


async def test_held_query_says_why_and_is_let_go(client, desk):
    reference = desk.ids["vpn"]["reference"]
    root = await desk.store.read(find_query, reference)
    one = HoldView(query_id=root, kind="hold", reason="asks for <money>", author="rules", at=1)
    await desk.store.write(holds.put, one)
    browser = await client("agent")
    text = await (await browser.get(f"/console/queries/{reference}")).text()
    assert "Needs validation: asks for &lt;money&gt;" in text
    answer = await browser.post(f"/console/queries/{reference}/let-go", data={"go": "1"}, allow_redirects=False)
    assert answer.status == 303
    assert desk.operations.calls == [("let_go", "agent", reference)]


async def test_viewer_can_t_let_it_go(client, desk):
    reference = desk.ids["vpn"]["reference"]
    browser = await client("viewer")
    assert (
        await browser.post(f"/console/queries/{reference}/let-go", data={"go": "1"}, allow_redirects=False)
    ).status == 403
