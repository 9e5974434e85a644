"""How events arrived, by the hour: accepted, refused and why, or by catch-up."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "billing_event_arrival",
        sa.Column("hour", sa.BigInteger(), nullable=False),
        sa.Column("way", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("hour", "way", name="pk_billing_event_arrival"),
    )


def downgrade() -> None:
    op.drop_table("billing_event_arrival")
