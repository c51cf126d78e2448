"""Who of the unproved had an acknowledgement, by mailbox; what each step is called at its provider."""
# ruff: noqa: E501 (comments of tables stay on one line)

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "acknowledged",
        sa.Column("mailbox_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("mailbox_hash", name=op.f("pk_acknowledged")),
        comment="when an unproved mailbox, whatever its +suffix, last had an acknowledgement: one a day, and so many an hour of all (R16)",
    )
    op.create_index("ix_acknowledged_at", "acknowledged", ["at"])
    op.drop_column("identities", "last_ack_at")
    op.add_column("steps", sa.Column("ref_hash", sa.LargeBinary(length=32), nullable=True))
    op.create_index(
        "ix_steps_ref", "steps", ["ref_hash"],
        sqlite_where=sa.text("ref_hash IS NOT NULL"), postgresql_where=sa.text("ref_hash IS NOT NULL"),
    )  # fmt: skip
