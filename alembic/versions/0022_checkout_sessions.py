"""The checkout sessions that were opened: which of a user's is the newest, and which are to be expired."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    text_c = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.create_table(
        "billing_checkout_session",
        sa.Column("id", text_c, nullable=False),
        sa.Column("user_id", text_c, nullable=False),
        sa.Column("allow_second", sa.Boolean(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("superseded_at", sa.BigInteger(), nullable=True),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.Column("next_attempt_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_billing_checkout_session"),
    )
    open_only = sa.text("closed_at IS NULL")
    op.create_index(
        "ix_billing_checkout_session_open",
        "billing_checkout_session",
        ["id"],
        postgresql_where=open_only,
        sqlite_where=open_only,
    )
    op.create_index("ix_billing_checkout_session_user_id", "billing_checkout_session", ["user_id"])
    op.create_index("ix_billing_checkout_session_expires_at", "billing_checkout_session", ["expires_at"])


def downgrade() -> None:
    op.drop_table("billing_checkout_session")
