"""What a schedule plans for a subscription; and the seats that are to be bought."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

JSON = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
ID_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
SEATS, DUE = "billing_seat_request", "ix_billing_seat_request_due_at"


def upgrade() -> None:
    op.add_column("billing_subscription", sa.Column("schedule_id", sa.Text(), nullable=True))
    op.add_column("billing_subscription", sa.Column("schedules", JSON, nullable=True))
    op.create_table(
        SEATS,
        sa.Column("user_id", ID_TEXT, nullable=False),
        sa.Column("members", sa.BigInteger(), nullable=False),
        sa.Column("wanted", sa.BigInteger(), nullable=False),
        sa.Column("done", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("requested_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("leased_until", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("subscription_id", ID_TEXT, nullable=True),
        sa.Column("quantity", sa.BigInteger(), nullable=True),
        sa.Column("done_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("user_id", name="pk_billing_seat_request"),
    )
    pending = sa.text("wanted <> done")
    op.create_index(DUE, SEATS, ["due_at"], postgresql_where=pending, sqlite_where=pending)


def downgrade() -> None:
    op.drop_index(DUE, SEATS)
    op.drop_table(SEATS)
    op.drop_column("billing_subscription", "schedules")
    op.drop_column("billing_subscription", "schedule_id")
