"""Search: the terms of each message, and an index over them."""
# ruff: noqa: E501 (comments of tables stay on one line)

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TSVECTOR

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "search_terms",
        sa.Column(
            "message_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("terms", TSVECTOR().with_variant(sa.Text(), "sqlite"), nullable=False),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], name=op.f("fk_search_terms_message_id")),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_search_terms")),
        comment="what search finds, written behind the recording. SQLite has the virtual table search_index over it instead of the index, which `migrations` makes by hand",
    )
    if op.get_bind().dialect.name == "postgresql":
        # fastupdate keeps a list of up to 4 MB that every search would walk; the indexer has time to sort its rows in
        op.create_index(
            "ix_search_terms", "search_terms", ["terms"], postgresql_using="gin", postgresql_with={"fastupdate": "off"}
        )
        return
    # `ascii` takes every sign beyond ASCII for part of a word: terms come through as they are. No positions and no
    # sizes are kept, because nobody asks for phrases or ranks by them.
    op.execute(
        "CREATE VIRTUAL TABLE search_index USING fts5 (terms, content = 'search_terms', content_rowid = 'message_id', "
        "columnsize = 0, detail = none, tokenize = 'ascii')"
    )
