"""When failed events are due."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ID_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
JSON = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    op.add_column("billing_event", sa.Column("failing_since", sa.BigInteger(), nullable=True))
    op.add_column("billing_event", sa.Column("next_attempt_at", sa.BigInteger(), nullable=True))
    op.create_index(
        "ix_billing_event_next_attempt_at",
        "billing_event",
        ["next_attempt_at"],
        unique=False,
        postgresql_where=sa.text("state = 'failed'"),
        sqlite_where=sa.text("state = 'failed'"),
    )


def downgrade() -> None:
    op.drop_index(
        "ix_billing_event_next_attempt_at",
        table_name="billing_event",
        postgresql_where=sa.text("state = 'failed'"),
        sqlite_where=sa.text("state = 'failed'"),
    )
    op.drop_column("billing_event", "next_attempt_at")
    op.drop_column("billing_event", "failing_since")
