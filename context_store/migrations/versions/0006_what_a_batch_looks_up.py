"""Indexes for what a batch looks up: open queries by when they were touched, automatic messages; no numbers not given.

What most rows have none of stands in no index: an event waits for its `seq` outside of it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

OPEN = "state IN ('new', 'open', 'pending', 'on_hold')"


def upgrade() -> None:
    _index("ix_messages_automatic", "messages", ["identity_id", "id"], "automatic <> ''")
    _index("ix_queries_open", "queries", ["identity_id", "instance", "updated_at"], OPEN)
    _index("ix_queries_joined", "queries", ["identity_id"], "root_id <> id")
    with op.batch_alter_table("events") as table:  # SQLite writes the table anew
        table.drop_constraint("uq_events_seq", type_="unique")
    _index("ix_events_seq", "events", ["seq"], "seq IS NOT NULL", unique=True)


def _index(name: str, table: str, columns: list[str], only: str, *, unique: bool = False) -> None:
    op.create_index(name, table, columns, unique=unique, sqlite_where=sa.text(only), postgresql_where=sa.text(only))
