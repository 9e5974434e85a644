"""What was planned for a period's end, while another change of the subscription is made at once."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

ID_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
JSON = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    op.create_table(
        "billing_set_aside_plan",
        sa.Column("subscription_id", ID_TEXT, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("items", JSON, nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("subscription_id", name=op.f("pk_billing_set_aside_plan")),
    )
    op.create_index(op.f("ix_billing_set_aside_plan_due_at"), "billing_set_aside_plan", ["due_at"])


def downgrade() -> None:
    op.drop_table("billing_set_aside_plan")
