"""What stands beside a decision: opinions, holds, clocks; and announcements."""
# ruff: noqa: E501 (comments of tables stay on one line)

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "announcements",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("services", sa.Text(), server_default="[]", nullable=False),
        sa.Column("major", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("from_at", sa.BigInteger(), nullable=False),
        sa.Column("until_at", sa.BigInteger(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_announcements")),
        comment="what users are told of services; major: a major incident stands behind it. Ended ones stay",
    )
    op.create_index("ix_announcements_until", "announcements", ["until_at"])
    op.create_table(
        "clocks",
        sa.Column(
            "query_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("promise", sa.Text(), nullable=False),
        sa.Column("begun_at", sa.BigInteger(), nullable=False),
        sa.Column("promised", sa.BigInteger(), nullable=False),
        sa.Column("calendar", sa.Text(), server_default="", nullable=False),
        sa.Column("pauses", sa.Text(), server_default="[]", nullable=False),
        sa.Column("warn_at", sa.BigInteger(), nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("warned_at", sa.BigInteger(), nullable=True),
        sa.Column("breached_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["query_id"], ["queries.id"], name=op.f("fk_clocks_query_id")),
        sa.PrimaryKeyConstraint("query_id", "promise", name=op.f("pk_clocks")),
        comment="first_response and resolution of a query: promised is milliseconds of its calendar's time; due_at is null while it is paused; pauses is JSON, [from, to or null] each",
    )
    op.create_index(
        "ix_clocks_late",
        "clocks",
        ["breached_at"],
        sqlite_where=sa.text("ended_at IS NULL AND breached_at IS NOT NULL"),
        postgresql_where=sa.text("ended_at IS NULL AND breached_at IS NOT NULL"),
    )
    op.create_index(
        "ix_clocks_open",
        "clocks",
        ["query_id"],
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )

    op.create_table(
        "holds",
        sa.Column(
            "query_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_by", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["query_id"], ["queries.id"], name=op.f("fk_holds_query_id")),
        sa.PrimaryKeyConstraint("query_id", name=op.f("pk_holds")),
        comment="queries that a person must let go before they go on. kind: hold (acknowledged, needs validation), park (nothing goes out) or spam (closed as well)",
    )
    op.create_index(
        "ix_holds_standing",
        "holds",
        ["at"],
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )

    op.create_table(
        "opinions",
        sa.Column(
            "decision_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("differs", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["decision_id"], ["decisions.id"], name=op.f("fk_opinions_decision_id")),
        sa.PrimaryKeyConstraint("decision_id", "source", name=op.f("pk_opinions")),
        comment="what others would have decided of the same facts, without effect. source: shadow (model is the rule set's hash) or classifier",
    )
