"""One hub with a portal for all tests of a file."""

import pytest
import pytest_asyncio

from tests.hub.portal.people import Browser, portal_in
from tests.servers import room


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hub():
    with room("hub") as folder:
        async for desk in portal_in(folder, ""):
            yield desk


@pytest.fixture
def desk(hub):
    hub.hub.fabric._windows.clear()  # limits count for each test alone
    return hub


@pytest_asyncio.fixture(loop_scope="module")
async def people(desk):
    made: list[Browser] = []

    def make() -> Browser:
        made.append(Browser(desk))
        return made[-1]

    yield make
    for one in made:
        await one.web.close()
