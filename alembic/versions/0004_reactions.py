"""What is to be reacted to after a commit, and who changed what."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

ID_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
JSON = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    op.create_table(
        "billing_audit",
        sa.Column("id", ID_TEXT, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", ID_TEXT, nullable=False),
        sa.Column("before", JSON, nullable=True),
        sa.Column("after", JSON, nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_billing_audit")),
    )
    op.create_index("ix_billing_audit_at_id", "billing_audit", ["at", "id"], unique=False)
    op.create_index("ix_billing_audit_subject_at", "billing_audit", ["subject", "at"], unique=False)
    op.create_table(
        "billing_outbox",
        sa.Column("id", ID_TEXT, nullable=False),
        sa.Column("signal", sa.Text(), nullable=False),
        sa.Column("receiver", ID_TEXT, nullable=False),
        sa.Column("event_id", ID_TEXT, nullable=True),
        sa.Column("customer_id", ID_TEXT, nullable=True),
        sa.Column("reaction", JSON, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("failing_since", sa.BigInteger(), nullable=True),
        sa.Column("next_attempt_at", sa.BigInteger(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("done_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_billing_outbox")),
    )
    op.create_index("ix_billing_outbox_created_at_id", "billing_outbox", ["created_at", "id"], unique=False)
    op.create_index(
        "ix_billing_outbox_customer_id_created_at",
        "billing_outbox",
        ["customer_id", "created_at"],
        unique=False,
    )
    op.create_index(
        "ix_billing_outbox_receiver_next_attempt_at",
        "billing_outbox",
        ["receiver", "next_attempt_at"],
        unique=False,
        postgresql_where=sa.text("state = 'pending'"),
        sqlite_where=sa.text("state = 'pending'"),
    )
    op.create_index(
        "ix_billing_outbox_unsettled",
        "billing_outbox",
        ["state", "created_at"],
        unique=False,
        postgresql_where=sa.text("state IN ('pending', 'dead')"),
        sqlite_where=sa.text("state IN ('pending', 'dead')"),
    )
    op.create_index(
        "ix_billing_customer_needs_refresh",
        "billing_customer",
        ["id"],
        unique=False,
        postgresql_where=sa.text("needs_refresh"),
        sqlite_where=sa.text("needs_refresh"),
    )
    op.create_index(
        "ix_billing_event_unsettled",
        "billing_event",
        ["state", "received_at"],
        unique=False,
        postgresql_where=sa.text("state IN ('pending', 'failed', 'dead')"),
        sqlite_where=sa.text("state IN ('pending', 'failed', 'dead')"),
    )
    op.create_index(
        "ix_billing_subscription_needs_refresh",
        "billing_subscription",
        ["id"],
        unique=False,
        postgresql_where=sa.text("needs_refresh"),
        sqlite_where=sa.text("needs_refresh"),
    )
    op.create_index(
        "ix_billing_subscription_past_due",
        "billing_subscription",
        ["id"],
        unique=False,
        postgresql_where=sa.text("status = 'past_due'"),
        sqlite_where=sa.text("status = 'past_due'"),
    )


def downgrade() -> None:
    op.drop_index(
        "ix_billing_subscription_past_due",
        table_name="billing_subscription",
        postgresql_where=sa.text("status = 'past_due'"),
        sqlite_where=sa.text("status = 'past_due'"),
    )
    op.drop_index(
        "ix_billing_subscription_needs_refresh",
        table_name="billing_subscription",
        postgresql_where=sa.text("needs_refresh"),
        sqlite_where=sa.text("needs_refresh"),
    )
    op.drop_index(
        "ix_billing_event_unsettled",
        table_name="billing_event",
        postgresql_where=sa.text("state IN ('pending', 'failed', 'dead')"),
        sqlite_where=sa.text("state IN ('pending', 'failed', 'dead')"),
    )
    op.drop_index(
        "ix_billing_customer_needs_refresh",
        table_name="billing_customer",
        postgresql_where=sa.text("needs_refresh"),
        sqlite_where=sa.text("needs_refresh"),
    )
    op.drop_index(
        "ix_billing_outbox_unsettled",
        table_name="billing_outbox",
        postgresql_where=sa.text("state IN ('pending', 'dead')"),
        sqlite_where=sa.text("state IN ('pending', 'dead')"),
    )
    op.drop_index(
        "ix_billing_outbox_receiver_next_attempt_at",
        table_name="billing_outbox",
        postgresql_where=sa.text("state = 'pending'"),
        sqlite_where=sa.text("state = 'pending'"),
    )
    op.drop_index("ix_billing_outbox_customer_id_created_at", table_name="billing_outbox")
    op.drop_index("ix_billing_outbox_created_at_id", table_name="billing_outbox")
    op.drop_table("billing_outbox")
    op.drop_index("ix_billing_audit_subject_at", table_name="billing_audit")
    op.drop_index("ix_billing_audit_at_id", table_name="billing_audit")
    op.drop_table("billing_audit")
