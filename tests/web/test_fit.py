"""No page grows with what is stored."""

import re

import pytest
from sqlalchemy import insert, select, update

from context_store import tables as t
from hub.web.fit import LETTERS
from hub.web.site import clip, said, tail, told
from tests.web.sample import Sample

MIB = 1 << 20
QUOTES = '"' * 300_000
"""Five bytes each in a page."""


async def flood(desk, n: int) -> None:
    """`n` more messages of Ann's, all of quotation marks."""

    def fill(conn):
        row = conn.execute(select(t.messages).where(t.messages.c.id == desk.ids["first"])).mappings().one()
        sample = Sample(desk.store, "")
        for at in range(n):
            number = sample.ids.next()
            key = str(number).encode().ljust(32, b"0")
            values = {**row, "id": number, "key": str(number), "key_hash": key, "thread_seq": 1000 + at}
            conn.execute(
                insert(t.messages).values(**values | {"text": QUOTES, "folds": "[]", "subject": QUOTES[:2000]})
            )

    await desk.store.write(fill)


async def read(client, path: str) -> str:
    return await (await (await client("manager")).get(path)).text()


async def test_a_query_of_many_long_texts_makes_a_page_below_a_megabyte_and_loses_nothing(desk, client):
    await flood(desk, 60)
    path, seen = f"/console/queries/{desk.ids['vpn']['reference']}", set()

    while path:
        text = await read(client, path)
        assert len(text.encode()) < MIB
        seen |= set(re.findall(r"/console/messages/(\d+)/text", text))
        older = re.search(r'href="(\?before=\d+)">Earlier', text)
        path = older and f"/console/queries/{desk.ids['vpn']['reference']}{older[1]}"
    assert len(seen) == 60


async def test_a_journey_of_many_long_texts_makes_a_page_below_a_megabyte(desk, client):
    await flood(desk, 60)
    text = await read(client, f"/console/users/{desk.ids['ann']['user']}")
    assert len(text.encode()) < MIB
    assert "Older" in text


async def test_a_long_text_is_cut_in_the_page_and_whole_behind_a_link(desk, client):
    whole = "word " * 10_000
    await desk.store.write(
        lambda conn: (
            conn.execute(update(t.messages).where(t.messages.c.id == desk.ids["first"]).values(text=whole, folds="[]"))
            and None
        )
    )
    page = await read(client, f"/console/queries/{desk.ids['vpn']['reference']}")
    assert f"/console/messages/{desk.ids['first']}/text" in page
    assert page.count("word ") < LETTERS / 5 + 10
    answer = await (await client("viewer")).get(f"/console/messages/{desk.ids['first']}/text")
    assert await answer.text() == whole
    assert answer.content_type == "text/plain"
    assert "sandbox" in answer.headers["Content-Security-Policy"]


async def test_a_short_text_has_no_such_link(desk, client):
    assert '/text"' not in await read(client, f"/console/queries/{desk.ids['vpn']['reference']}")


async def test_a_huge_layout_is_not_shown(desk, client):
    await desk.store.write(lambda conn: conn.execute(update(t.messages).values(html="<b>x</b>" * 200_000)) and None)
    text = await read(client, f"/console/messages/{desk.ids['first']}/html")
    assert "too long" in text
    assert len(text) < 1000


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"was": {"state": "open", "team": ""}, "is": {"state": "on_hold", "team": "desk"}},
         ["state: open → on_hold", "team: nothing → desk"]),
        ({"was": {}, "is": {"assignee": "amir"}}, ["assignee: amir"]),
        ({"envelopes": ["1", "2"], "works": [], "why": None}, ["envelopes: 1, 2"]),
        ({"sure": True, "of": {"by_hand": False}}, ["sure: yes", "of: by hand: no"]),
    ],
)  # fmt: skip
def test_events_are_told_in_words(body, words):
    assert told(body) == words


def test_values_of_no_kind_of_ours_are_text():
    assert said(3) == "3"
    assert said([]) == said({}) == said("") == "nothing"


def test_what_is_clipped_says_so():
    assert clip("abcdef", 4) == "abc…"
    assert tail("abcdef", 4) == "…def"
    assert clip("abcd", 4) == tail("abcd", 4) == "abcd"
