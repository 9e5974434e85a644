"""Users, usage, idempotency keys and overrides."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ID_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
JSON = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    op.create_table(
        "billing_override",
        sa.Column("user_id", ID_TEXT, nullable=False),
        sa.Column("feature", ID_TEXT, nullable=False),
        sa.Column("op", sa.Text(), nullable=False),
        sa.Column("value", JSON, nullable=True),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "feature", name=op.f("pk_billing_override")),
    )
    op.create_table(
        "billing_usage",
        sa.Column("user_id", ID_TEXT, nullable=False),
        sa.Column("feature", ID_TEXT, nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.Column("holds", JSON, nullable=False),
        sa.Column("period_start", sa.BigInteger(), nullable=False),
        sa.Column("period_end", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "feature", name=op.f("pk_billing_usage")),
    )
    op.create_table(
        "billing_usage_key",
        sa.Column("user_id", ID_TEXT, nullable=False),
        sa.Column("feature", ID_TEXT, nullable=False),
        sa.Column("operation", ID_TEXT, nullable=False),
        sa.Column("key", ID_TEXT, nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("decision", JSON, nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "feature", "operation", "key", name=op.f("pk_billing_usage_key")),
    )
    op.create_index(
        op.f("ix_billing_usage_key_expires_at"), "billing_usage_key", ["expires_at"], unique=False
    )
    op.create_table(
        "billing_user",
        sa.Column("id", ID_TEXT, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_billing_user")),
    )


def downgrade() -> None:
    op.drop_table("billing_user")
    op.drop_index(op.f("ix_billing_usage_key_expires_at"), table_name="billing_usage_key")
    op.drop_table("billing_usage_key")
    op.drop_table("billing_usage")
    op.drop_table("billing_override")
