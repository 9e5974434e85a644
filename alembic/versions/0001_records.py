"""The records and the inbox."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ID_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
JSON = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    op.create_table(
        "billing_customer",
        sa.Column("id", ID_TEXT, nullable=False),
        sa.Column("user_id", ID_TEXT, nullable=True),
        sa.Column("link_source", sa.Text(), nullable=True),
        sa.Column("links", JSON, nullable=False),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("livemode", sa.Boolean(), nullable=True),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("needs_refresh", sa.Boolean(), nullable=False),
        sa.Column("snapshot_rank", sa.Integer(), nullable=True),
        sa.Column("snapshot_created", sa.BigInteger(), nullable=True),
        sa.Column("snapshot_burst", sa.Integer(), nullable=False),
        sa.Column("snapshot_event_id", sa.Text(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_billing_customer")),
    )
    op.create_index(op.f("ix_billing_customer_user_id"), "billing_customer", ["user_id"], unique=False)
    op.create_table(
        "billing_event",
        sa.Column("id", ID_TEXT, nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("object_id", ID_TEXT, nullable=True),
        sa.Column("created", sa.BigInteger(), nullable=True),
        sa.Column("api_version", sa.Text(), nullable=True),
        sa.Column("livemode", sa.Boolean(), nullable=True),
        sa.Column("account", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("signature", sa.Text(), nullable=True),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("processed_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_billing_event")),
    )
    op.create_index(
        "ix_billing_event_object_id_created", "billing_event", ["object_id", "created"], unique=False
    )
    op.create_index("ix_billing_event_received_at_id", "billing_event", ["received_at", "id"], unique=False)
    op.create_table(
        "billing_invoice",
        sa.Column("id", ID_TEXT, nullable=False),
        sa.Column("customer_id", ID_TEXT, nullable=True),
        sa.Column("subscription_id", ID_TEXT, nullable=True),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("amount_due", sa.BigInteger(), nullable=True),
        sa.Column("amount_paid", sa.BigInteger(), nullable=True),
        sa.Column("amount_remaining", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("attempt_count", sa.BigInteger(), nullable=False),
        sa.Column("next_payment_attempt", sa.BigInteger(), nullable=True),
        sa.Column("hosted_invoice_url", sa.Text(), nullable=True),
        sa.Column("created", sa.BigInteger(), nullable=True),
        sa.Column("paid_at", sa.BigInteger(), nullable=True),
        sa.Column("livemode", sa.Boolean(), nullable=True),
        sa.Column("snapshot_created", sa.BigInteger(), nullable=True),
        sa.Column("snapshot_event_id", sa.Text(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_billing_invoice")),
    )
    op.create_index(op.f("ix_billing_invoice_customer_id"), "billing_invoice", ["customer_id"], unique=False)
    op.create_index(
        op.f("ix_billing_invoice_subscription_id"), "billing_invoice", ["subscription_id"], unique=False
    )
    op.create_table(
        "billing_subscription",
        sa.Column("id", ID_TEXT, nullable=False),
        sa.Column("customer_id", ID_TEXT, nullable=True),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("items", JSON, nullable=False),
        sa.Column("plan_id", sa.Text(), nullable=True),
        sa.Column("quantity", sa.BigInteger(), nullable=True),
        sa.Column("start_date", sa.BigInteger(), nullable=True),
        sa.Column("expiry_date", sa.BigInteger(), nullable=True),
        sa.Column("paid_through", sa.BigInteger(), nullable=True),
        sa.Column("current_period_start", sa.BigInteger(), nullable=True),
        sa.Column("current_period_end", sa.BigInteger(), nullable=True),
        sa.Column("trial_end", sa.BigInteger(), nullable=True),
        sa.Column("cancel_at", sa.BigInteger(), nullable=True),
        sa.Column("cancel_at_period_end", sa.Boolean(), nullable=False),
        sa.Column("canceled_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("pause_collection", JSON, nullable=True),
        sa.Column("livemode", sa.Boolean(), nullable=True),
        sa.Column("stripe_metadata", JSON, nullable=False),
        sa.Column("needs_refresh", sa.Boolean(), nullable=False),
        sa.Column("snapshot_rank", sa.Integer(), nullable=True),
        sa.Column("snapshot_created", sa.BigInteger(), nullable=True),
        sa.Column("snapshot_burst", sa.Integer(), nullable=False),
        sa.Column("snapshot_event_id", sa.Text(), nullable=True),
        sa.Column("overlay", JSON, nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_billing_subscription")),
    )
    op.create_index(
        op.f("ix_billing_subscription_customer_id"), "billing_subscription", ["customer_id"], unique=False
    )


def downgrade() -> None:
    op.drop_index(op.f("ix_billing_subscription_customer_id"), table_name="billing_subscription")
    op.drop_table("billing_subscription")
    op.drop_index(op.f("ix_billing_invoice_subscription_id"), table_name="billing_invoice")
    op.drop_index(op.f("ix_billing_invoice_customer_id"), table_name="billing_invoice")
    op.drop_table("billing_invoice")
    op.drop_index("ix_billing_event_received_at_id", table_name="billing_event")
    op.drop_index("ix_billing_event_object_id_created", table_name="billing_event")
    op.drop_table("billing_event")
    op.drop_index(op.f("ix_billing_customer_user_id"), table_name="billing_customer")
    op.drop_table("billing_customer")
