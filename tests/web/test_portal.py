"""The form's face, and the page that a receipt leads to."""

import re

import msgspec

from context_store.references import ALPHABET, envelope_of, receipt_of
from context_store.text import hash_key
from hub.instances import Instance
from hub.mask import Mask


def given(envelope: int) -> str:
    """The receipt of a sample envelope, whose key is its id."""
    return receipt_of(envelope, hash_key(str(envelope)))


async def test_the_form_posts_to_its_connector_and_needs_no_script(client):
    text = await (await (await client()).get("/portal")).text()
    assert 'action="/in/portal/"' in text
    text = text[text.index('action="/in/portal/"') :]
    fields = set(re.findall(r' name="([a-z]+)"', text)) - {"q"}
    assert fields == {"submission", "name", "email", "subject", "message", "attachments", "website"}
    assert text.index('name="submission"') < text.index('name="name"')


async def test_each_showing_of_the_form_has_its_own_submission_id(client):
    browser = await client()
    shown = [await (await browser.get("/portal")).text() for _ in range(2)]
    first, second = (re.search(r'name="submission" value="([\w-]{16,64})"', text)[1] for text in shown)
    assert first != second


async def test_several_forms_are_a_choice_and_a_disabled_one_is_none(desk, client):
    browser = await client()
    known = desk.instances["portal"].configured
    for number, enabled in (("second", True), ("third", False)):
        said = msgspec.structs.replace(known.instance, name=f"The {number} form", enabled=enabled)
        desk.instances[number] = Instance(msgspec.structs.replace(known, id=number, instance=said), None, Mask(set()))
    text = await (await browser.get("/portal")).text()
    assert 'href="/p/portal/"' in text
    assert "The second form" in text
    assert "The third form" not in text
    assert 'action="/in/second/"' in await (await browser.get("/portal/second")).text()
    assert (await browser.get("/portal/third")).status == 404
    assert (await browser.get("/portal/hooks")).status == 404


async def test_a_receipt_shows_the_reference_and_nothing_that_anybody_wrote(desk, client):
    browser = await client()
    text = await (await browser.get(f"/portal/receipt/{desk.ids['receipt']}")).text()
    assert desk.ids["vpn"]["reference"] in text
    assert not any(word in text for word in ("Ann", "AnyConnect", "VPN", "acme.test"))


async def test_a_receipt_looks_again_until_its_message_is_recorded(desk, client):
    from tests.web.sample import Sample

    browser = await client()
    sample = Sample(desk.store, "")
    waiting = await desk.store.write(lambda conn: sample.envelope(conn, "portal", "pending", b"x"))
    answer = await browser.get(f"/portal/receipt/{given(waiting)}")
    assert answer.headers["Refresh"] == "3"
    assert given(waiting) in await answer.text()
    parked = await browser.get(f"/portal/receipt/{given(desk.ids['parked'])}")
    assert "Refresh" not in parked.headers
    assert "until somebody at the desk has looked" in await parked.text()


async def test_receipts_that_are_none_or_were_never_given_are_not_found(client):
    browser = await client()
    for bad in ("R-1", given(1), "x" * 500, "%00"):
        assert (await browser.get(f"/portal/receipt/{bad}")).status == 404


async def test_a_guessed_number_is_answered_like_one_that_was_never_given(desk, client):
    browser = await client()
    real = desk.ids["receipt"]
    guess = receipt_of(envelope_of(real), b"somebody else's key")
    assert guess[:16] == real[:16]
    pages = [await browser.get(f"/portal/receipt/{number}") for number in (guess, given(1))]
    assert [page.status for page in pages] == [404, 404]
    assert await pages[0].text() == await pages[1].text()
    assert (await browser.get(f"/portal/receipt/{real.lower()}")).status == 200
    assert set(real.replace("-", "")) - {"R"} <= set(ALPHABET)


async def test_nobody_looks_at_receipts_without_end(desk, client):
    browser = await client()
    answers = [(await browser.get("/portal/receipt/R-1")).status for _ in range(601)]  # a minute may end among them
    assert set(answers[:300]) == {404}
    assert 429 in answers[300:]
