"""Grants: amounts and plans of a user's own, what was bought once, and what of it was drawn down.

Only new tables and one column with a default: a process of the version before works on, and draws down no
grant.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

ID_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
JSON = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    op.add_column("billing_usage", sa.Column("drawn", JSON, nullable=False, server_default=sa.text("'{}'")))
    op.create_table(
        "billing_grant",
        sa.Column("id", ID_TEXT, nullable=False),
        sa.Column("user_id", ID_TEXT, nullable=False),
        sa.Column("feature", ID_TEXT),
        sa.Column("amount", sa.BigInteger()),
        sa.Column("plan", sa.Text()),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("starts_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger()),
        sa.Column("ended_at", sa.BigInteger()),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("actor", sa.Text()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_billing_grant")),
    )
    op.create_index(op.f("ix_billing_grant_user_id"), "billing_grant", ["user_id"])
    op.create_table(
        "billing_purchase",
        sa.Column("id", ID_TEXT, nullable=False),
        sa.Column("session_id", ID_TEXT),
        sa.Column("customer_id", ID_TEXT),
        sa.Column("user_id", ID_TEXT),
        sa.Column("offer", sa.Text()),
        sa.Column("quantity", sa.BigInteger()),
        sa.Column("gives", JSON),
        sa.Column("paid_at", sa.BigInteger()),
        sa.Column("amount", sa.BigInteger()),
        sa.Column("currency", sa.Text()),
        sa.Column("refunds", JSON, nullable=False),
        sa.Column("disputes", JSON, nullable=False),
        sa.Column("livemode", sa.Boolean()),
        sa.Column("stated", JSON),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_billing_purchase")),
    )
    op.create_index(op.f("ix_billing_purchase_customer_id"), "billing_purchase", ["customer_id"])
    op.create_index(op.f("ix_billing_purchase_user_id"), "billing_purchase", ["user_id"])


def downgrade() -> None:
    op.drop_table("billing_purchase")
    op.drop_table("billing_grant")
    op.drop_column("billing_usage", "drawn")
