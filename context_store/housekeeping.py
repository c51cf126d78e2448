"""What time alone makes due: originals that never came; sessions, tokens, login counts and alarms that are over."""

from sqlalchemy import Connection, delete, text, update

from context_store import alarms
from context_store.tables import items, login_tries, sessions, tokens

TRIES_KEPT_MS = 86_400_000
TOKENS_KEPT_MS = 90 * 86_400_000


def keep_house(conn: Connection, now: int) -> int:
    """Returns how many items had waited in vain: they end with that reason, their envelope stays."""
    waited = conn.execute(
        update(items)
        .where(text("outcome = 'waiting'"), items.c.until <= now)
        .values(outcome="skipped", reason="its original never came", waits_for=None)
    )
    conn.execute(delete(sessions).where(sessions.c.expires_at <= now))
    conn.execute(delete(tokens).where(tokens.c.expires_at <= now - TOKENS_KEPT_MS))
    alarms.passed(conn, now)
    conn.execute(delete(login_tries).where(login_tries.c.since_at <= now - TRIES_KEPT_MS))
    return int(waited.rowcount)
