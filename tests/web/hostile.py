"""Text that tries to run in every place where text can stand (S25: OWASP, mutation XSS, SVG, MathML, CSS)."""

from typing import Any

from sqlalchemy import insert, update

from context_store import tables as t
from tests.web.sample import Sample

CORPUS = (
    "<script>window.owned=1</script>",
    "<img src=x onerror=\"window.owned=1\">",
    "<svg onload=window.owned=1>",
    "<svg><script href=\"data:text/javascript,window.owned=1\"></script></svg>",
    "<math><mtext><table><mglyph><style><img src=x onerror=\"window.owned=1\">",
    "<noscript><p title=\"</noscript><img src=x onerror=window.owned=1>\">",
    "<iframe srcdoc=\"<script>parent.owned=1</script>\"></iframe>",
    "<a href=\"javascript:window.owned=1\">x</a>",
    "<a href=\"java\tscript:window.owned=1\" target=_top>x</a>",
    "<form action=\"https://evil.test\"><input autofocus onfocus=window.owned=1></form>",
    "<details open ontoggle=window.owned=1>",
    "<style>@import 'https://evil.test/x.css'; * { background: url(https://evil.test/y) }</style>",
    "<div style=\"background:url(https://evil.test/z)\">x</div>",
    "<link rel=stylesheet href=https://evil.test/a.css><link rel=prefetch href=https://evil.test/b>",
    "<meta http-equiv=refresh content=\"0;url=https://evil.test\">",
    "<base href=https://evil.test/>",
    "<object data=\"data:text/html,<script>parent.owned=1</script>\"></object><embed src=https://evil.test/e>",
    "<img src=https://evil.test/pixel.gif><video poster=https://evil.test/p><audio src=https://evil.test/s autoplay>",
    "\"><script>window.owned=1</script>",
    "'-window.owned=1-'",
    "{{ 7*7 }}{% for x in y %}${window.owned=1}",
    "</textarea><script>window.owned=1</script>",
    "</title><script>window.owned=1</script>",
    "]]><script>window.owned=1</script>",
    "\u202e<script>window.owned=1</script>",
)  # fmt: skip


async def plant(desk: Any) -> tuple[str, int]:
    """A query whose every text is hostile; its reference, and a message of it."""
    return await desk.store.write(_plant, Sample(desk.store, ""), desk.ids)


def _plant(conn: Any, sample: Sample, ids: dict[str, Any]) -> tuple[str, int]:
    whole = "\n".join(CORPUS)
    sample.named = ids
    query = sample._query(conn, ids["eve"], whole, "new", 1, channel=CORPUS[1], instance=CORPUS[18])
    message = sample._message(
        conn, query, ids["eve"], subject=whole, text=whole, html=whole, author=whole, channel=CORPUS[2], kind="chat"
    )
    sample._message(conn, query, ids["eve"], direction="out", author=whole, delivery=CORPUS[0], text=whole)
    for n, bad in enumerate(CORPUS):
        conn.execute(
            insert(t.attachments).values(
                message_id=message, n=n, sha256=b"h" * 32, name=bad, type=bad, size=1, content_id=bad
            )
        )
    conn.execute(update(t.identities).where(t.identities.c.id == ids["eve"]["identity"]).values(name=whole))
    conn.execute(update(t.users).values(name=whole))
    conn.execute(update(t.outbox).values(cause=whole, trace=whole, destination=CORPUS[18]))
    conn.execute(update(t.envelopes).values(cause=whole, trace=whole))
    conn.execute(update(t.teams).values(name=CORPUS[18]))
    sample._event(conn, query, CORPUS[0], whole, {whole: whole})
    return query["reference"], message
