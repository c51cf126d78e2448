"""What comes in is found a moment later."""

from context_store.search import search
from tests.hub.desk import Desk, edit, message


async def _found(desk: Desk, asked: str) -> list[str]:
    return [hit.excerpt for hit in await desk.hub.store.read(search, asked)]


async def test_what_is_recorded_is_found_and_an_edit_by_its_new_words(desk: Desk):
    await desk.say(message("m1", text="the printer burns"))

    async def first() -> bool:
        return await _found(desk, "printer") == ["the printer burns"]

    await desk.until(first)
    await desk.say(edit("m1", "the scanner burns"))

    async def second() -> bool:
        return await _found(desk, "scanner") == ["the scanner burns"] and not await _found(desk, "printer")

    await desk.until(second)


async def test_an_agents_note_is_found(desk: Desk):
    await desk.say(message("m1", text="hello"))
    (reference,) = await desk.references()
    await desk.operate("note", "amir", reference, "cartridge ordered")

    async def found() -> bool:
        return await _found(desk, "cartridge") == ["cartridge ordered"]

    await desk.until(found)
