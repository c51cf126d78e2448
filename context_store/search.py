"""Search in messages: a trailing index of `terms`, in FTS5 and in a tsvector alike.

The index follows `events.seq` by a cursor of its own, outside the record transaction: recording never waits for it,
and an event that is numbered later is met later. Whatever an event says of a message, its terms are worked out anew
from the message as it stands, so that doing it twice is harmless.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, Text, bindparam, case, func, select, text

from context_store import tables as t
from context_store.shapes import fill
from context_store.terms import terms

INDEX_LOCK = 0x7472756E6B696478
"""PostgreSQL: one node indexes at a time."""
BATCH = 500
"""Messages, or events that name none."""
SHORTEST_PREFIX = 3
"""Signs of a word's beginning: a shorter one would gather half of the index."""
MOST_ASKED = 32
"""Different terms of a question; the rest is left out."""
WALKED = 2000
"""Newest messages that are looked through before the index is asked (PostgreSQL)."""
FARTHER = 8
"""Times that, where an eighth of a page was found in them: the index would fetch ten thousand rows for fifty."""
EXCERPT = 240
LAST = (1 << 63) - 1


class IndexBatch(Struct, frozen=True):
    """Terms of messages, blank-separated; "" takes a message out of the index. `after` is the cursor that was read."""

    after: int
    upto: int
    rows: tuple[tuple[int, str], ...]


class Hit(Struct, frozen=True, kw_only=True):
    """A message that was found."""

    message_id: int
    reference: str
    """Of its conversation's query."""
    direction: str
    channel: str
    private: bool
    recorded_at: int
    subject: str
    excerpt: str
    """The beginning of its text."""
    author: str
    sender: str
    """The name or address of the identity that it belongs to."""

    @property
    def writer(self) -> str:
        """Who wrote it: the user, unless it went out."""
        return self.author if self.direction == "out" else self.sender


# ---- filling -----------------------------------------------------------------------------------------

_m, _i, _a, _e, _c = t.messages.c, t.identities.c, t.attachments.c, t.events.c, t.cursors.c
_cursor = select(_c.value).where(_c.instance == "", _c.name == "search")
_followed = (
    select(_e.seq, _e.message_id, case((_e.kind == "messages.reprocessed", _e.body)).label("body"))
    .where(_e.seq > bindparam("after"))
    .order_by(_e.seq)
    .limit(bindparam("limit"))
)
_texts = (
    select(_m.id, _m.subject, _m.text, _m.author, _i.value, _i.name)
    .join(t.identities, _i.id == _m.identity_id)
    .where(_m.id.in_(bindparam("ids", expanding=True)), _m.deleted_at.is_(None))
)
_names = select(_a.message_id, _a.name).where(_a.message_id.in_(bindparam("ids", expanding=True)), _a.name != "")


class _Reprocessed(Struct):
    messages: list[int] = []


_reprocessed = msgspec.json.Decoder(_Reprocessed, strict=False)


def due(conn: Connection, limit: int = BATCH) -> IndexBatch | None:
    """What was numbered since the last batch; None: nothing, or another node indexes.

    On PostgreSQL the caller keeps the transaction open until the batch is put.
    """
    if conn.dialect.name == "postgresql" and not conn.scalar(
        text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": INDEX_LOCK}
    ):
        return None
    after = upto = int.from_bytes(conn.scalar(_cursor) or b"", "big")
    ids: set[int] = set()
    for seq, message_id, body in conn.execute(_followed, {"after": after, "limit": limit}):
        named = _reprocessed.decode(body).messages if body else [message_id] if message_id else []
        if ids and len(ids) + len(named) > limit:
            break
        ids.update(named)
        upto = seq
    return IndexBatch(after, upto, _terms_of(conn, ids)) if upto > after else None


def _terms_of(conn: Connection, ids: set[int]) -> tuple[tuple[int, str], ...]:
    """Each message's number with its terms; "" for what is deleted or gone."""
    parts: dict[int, list[str]] = {number: [] for number in sorted(ids)}
    if not parts:
        return ()
    wanted = {"ids": list(parts)}
    for number, *words in conn.execute(_texts, wanted):
        parts[number] += words
    for number, name in conn.execute(_names, wanted):
        if parts[number]:  # not of a deleted message
            parts[number].append(name)
    return tuple((number, " ".join(terms("\n".join(_short_first(words))))) for number, words in parts.items())


def _short_first(words: Sequence[str]) -> list[str]:
    """What is bounded stands before a text without end: subject, names and address are always found."""
    return sorted(words, key=len)


def put(conn: Connection, batch: IndexBatch, now: int) -> int:
    """Write the batch and move the cursor together; 0 if somebody else was faster. Returns how many messages."""
    if not _move(conn, batch, now):
        return 0
    driver: Any = conn.connection.driver_connection
    if batch.rows:
        (_put_sqlite if conn.dialect.name == "sqlite" else _put_postgresql)(driver, batch.rows)
    return len(batch.rows)


def _move(conn: Connection, batch: IndexBatch, now: int) -> bool:
    values = {"value": batch.upto.to_bytes(8, "big"), "moved_at": now}
    mine = t.cursors.update().where(_c.instance == "", _c.name == "search")
    if batch.after:
        return conn.execute(mine.where(_c.value == batch.after.to_bytes(8, "big")).values(values)).rowcount == 1
    conn.execute(t.cursors.insert().values(instance="", name="search", **values))
    return True


def _put_sqlite(driver: Any, rows: Sequence[tuple[int, str]]) -> None:
    """FTS5 keeps no terms itself: to forget a row it must be told exactly what it was given."""
    known = "SELECT message_id, terms FROM search_terms WHERE message_id IN (SELECT value FROM json_each(?))"
    old = dict(driver.execute(known, [msgspec.json.encode([number for number, _ in rows]).decode()]).fetchall())
    changed = [(number, words) for number, words in rows if old.get(number, "") != words]
    gone = [(number, old[number]) for number, _ in changed if number in old]
    driver.executemany("INSERT INTO search_index (search_index, rowid, terms) VALUES ('delete', ?, ?)", gone)
    driver.executemany("DELETE FROM search_terms WHERE message_id = ?", [(number,) for number, _ in gone])
    new = [(number, words) for number, words in changed if words]
    driver.executemany("INSERT INTO search_terms (message_id, terms) VALUES (?, ?)", new)
    driver.executemany("INSERT INTO search_index (rowid, terms) VALUES (?, ?)", new)


def _put_postgresql(driver: Any, rows: Sequence[tuple[int, str]]) -> None:
    new = [row for row in rows if row[1]]
    gone = [number for number, words in rows if not words]
    driver.execute(
        "INSERT INTO search_terms (message_id, terms) SELECT v.id, array_to_tsvector(string_to_array(v.words, ' ')) "
        "FROM unnest(%s::bigint[], %s::text[]) AS v(id, words) ON CONFLICT (message_id) DO UPDATE "
        "SET terms = excluded.terms WHERE search_terms.terms IS DISTINCT FROM excluded.terms",
        [[number for number, _ in new], [words for _, words in new]],
    )
    driver.execute("DELETE FROM search_terms WHERE message_id = ANY(%s::bigint[])", [gone])


def index_batch(conn: Connection, limit: int = BATCH, now: int = 0) -> int | None:
    """`due` and `put` in one transaction: how many messages, None when the index has caught up."""
    batch = due(conn, limit)
    return None if batch is None else put(conn, batch, now)


# ---- asking ------------------------------------------------------------------------------------------

_q = t.queries.c
_hits = (
    select(
        _m.id.label("message_id"), _q.reference, _m.direction, _m.channel, _m.private, _m.recorded_at, _m.subject,
        func.substr(_m.text, 1, EXCERPT).label("excerpt"), _m.author,
        case((_i.name != "", _i.name), else_=_i.value).label("sender"),
    )
    .join(t.queries, _q.id == _m.query_id)
    .join(t.identities, _i.id == _m.identity_id)
    .where(_m.id.in_(bindparam("ids", expanding=True)), _m.deleted_at.is_(None))
    .order_by(_m.id.desc())
)  # fmt: skip
# PostgreSQL finds few rows quickly by the index and the newest of many by walking back; its planner guesses badly which
# it will be. So the newest rows are walked first, and what is too rare to fill a page there is asked of the index, of
# which `+ 0` makes the order no shortcut. The question stands in the statement, so that each is planned for its words.
_question = bindparam("asked", literal_execute=True, type_=Text)
_lately = text(
    "SELECT message_id FROM (SELECT message_id, terms FROM search_terms WHERE message_id < :before "
    "ORDER BY message_id DESC LIMIT :walked) AS lately WHERE terms @@ CAST(:asked AS tsquery) "
    "ORDER BY message_id DESC LIMIT :limit"
).bindparams(_question, walked=WALKED)
_ever = text(
    "SELECT message_id FROM search_terms WHERE terms @@ CAST(:asked AS tsquery) AND message_id < :before "
    "ORDER BY message_id + 0 DESC LIMIT :limit"
).bindparams(_question)
_sqlite = text(
    "SELECT rowid FROM search_index WHERE search_index MATCH :asked AND rowid < :before "
    "ORDER BY rowid DESC LIMIT :limit"
)


def search(conn: Connection, asked: str, before: int | None = None, limit: int = 50) -> tuple[Hit, ...]:
    """Messages with all the words, the newest first; `before` is the last `message_id` of the page before.

    A `*` at the end asks for words that begin with the last one. No words: nothing is found.
    """
    words, beginning = _asked(asked)
    if not words and not beginning:
        return ()
    sqlite = conn.dialect.name == "sqlite"
    if sqlite:
        question = " AND ".join([*(f'"{word}"' for word in words), *(f'"{word}" *' for word in beginning)])
    else:
        question = " & ".join([*(f"'{word}'" for word in words), *(f"'{word}':*" for word in beginning)])
    given = {"asked": question, "before": LAST if before is None else before, "limit": limit}
    ids = list(conn.scalars(_sqlite if sqlite else _lately, given))
    if not sqlite and limit > len(ids) >= limit // FARTHER:  # as many again are likely a few steps on
        ids = list(conn.scalars(_lately, {**given, "walked": WALKED * FARTHER}))
    if not sqlite and len(ids) < limit:
        ids = list(conn.scalars(_ever, given))
    return tuple(fill(Hit, row) for row in conn.execute(_hits, {"ids": ids}))


def _asked(asked: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(whole words, beginnings of words): at most one beginning."""
    asked = asked.strip()
    if not asked.endswith("*"):
        return terms(asked)[:MOST_ASKED], ()
    *front, last = asked.rstrip("* ").split() or [""]
    *whole, beginning = terms(last) or ("",)
    words = dict.fromkeys([*terms(" ".join(front)), *whole][:MOST_ASKED])
    if len(beginning) < SHORTEST_PREFIX:
        return tuple(words | dict.fromkeys(filter(None, [beginning]))), ()
    return tuple(words), (beginning,)
