"""The kit's checks of pages: a sound site passes them all, and each mistake is caught."""

from html import escape
from urllib.parse import parse_qs, urlsplit

import pytest

from plugins import Page, Reply
from tests.plugins.test_conformance_kit import Sound, TestSound


def page(*parts: str) -> Reply:
    return Reply(body="".join(parts).encode(), type="text/html; charset=utf-8")


async def own(request, desk):
    """The matters of who asks, each with a link."""
    found = await desk.queries(request.person) if request.person else []
    return [f'<a href="/p/sample/q/{one.reference}">{escape(one.subject)}</a>' for one in found]


class Site(Sound):
    pages = (Page(path="site.css", body=b"", type="text/css"),)

    async def show(self, request, desk):
        _, _, reference = request.tail.partition("q/")
        if not request.tail:
            return page(*await own(request, desk))
        found = await desk.query(request.person, reference) if request.person else None
        return page(escape(found.subject)) if found else Reply(status=404)


class TestSite(TestSound):
    cls = Site


SEEN = {}


async def remembers(self, request, desk):
    """What the first who asked was shown."""
    if request.tail not in SEEN:
        SEEN[request.tail] = await Site.show(self, request, desk)
    return SEEN[request.tail]


async def unescaped(self, request, desk):
    return page(*(one.subject for one in await desk.queries(request.person))) if request.person else page()


async def repeats(self, request, desk):
    return page(*parse_qs(urlsplit(request.url).query).get("q", []))


async def counts(self, request, desk):
    parse_qs(urlsplit(request.url).query, max_num_fields=20)
    return page()


async def leads_away(self, request, desk):
    return Reply(status=303, headers=(("Location", "//evil.test/"),))


async def breaks_headers(self, request, desk):
    found = await desk.attachment(request.person, "1", 0) if request.person else None
    return Reply(headers=(("Content-Disposition", found.name),) if found else ())


async def shows_proof(self, request, desk):
    return page(request.person.proof if request.person else "")


async def shows_secret(self, request, desk):
    return page(self.settings.secret.reveal())


async def missing(self, request, desk):
    return Reply(status=404)


@pytest.mark.parametrize(
    ("check", "members"),
    [
        ("test_pages_cross_the_contract", {"pages": Site.pages * 2}),
        ("test_pages_cross_the_contract", {"pages": (Page(path="../a", body=b""),)}),
        ("test_page_is_shown_to_whoever_asks", {"show": missing}),
        ("test_page_is_shown_to_whoever_asks", {"show": leads_away}),
        ("test_page_is_shown_to_whoever_asks", {"show": breaks_headers}),
        ("test_page_is_shown_to_whoever_asks", {"show": shows_proof}),
        ("test_page_is_shown_to_whoever_asks", {"show": shows_secret}),
        ("test_nobody_is_shown_what_is_anothers", {"show": remembers}),
        ("test_what_people_wrote_is_text_on_every_page", {"show": unescaped}),
        ("test_hostile_path_gets_a_page_too", {"show": repeats}),
        ("test_hostile_path_gets_a_page_too", {"show": counts}),
    ],
)
async def test_kit_catches_a_site_that(check, members):
    kit = type("Kit", (TestSite,), {"cls": type("Flawed", (Site,), members)})()
    with pytest.raises((AssertionError, ValueError)):  # noqa: PT012  # a check may be sync or async
        result = getattr(kit, check)()
        if result is not None:
            await result


async def test_what_shows_nothing_declares_it():
    with pytest.raises(pytest.skip.Exception, match="it shows nobody pages of their own"):
        await TestSound().test_page_is_shown_to_whoever_asks()
