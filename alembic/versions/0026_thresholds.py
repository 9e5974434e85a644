"""Which thresholds of a user's usage were announced, and which overages are to be announced when."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

ID_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
JSON = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    op.add_column("billing_usage", sa.Column("thresholds", JSON, nullable=True))
    op.create_table(
        "billing_usage_overage",
        sa.Column("user_id", ID_TEXT, nullable=False),
        sa.Column("feature", ID_TEXT, nullable=False),
        sa.Column("period_start", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "feature", "period_start", name=op.f("pk_billing_usage_overage")),
    )
    op.create_index(op.f("ix_billing_usage_overage_due_at"), "billing_usage_overage", ["due_at"])


def downgrade() -> None:
    op.drop_table("billing_usage_overage")
    op.drop_column("billing_usage", "thresholds")
