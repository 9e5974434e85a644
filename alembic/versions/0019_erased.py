"""When a customer's or a subscription's personal data was erased: nothing brings it back."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("billing_customer", sa.Column("erased_at", sa.BigInteger(), nullable=True))
    op.add_column("billing_subscription", sa.Column("erased_at", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("billing_subscription", "erased_at")
    op.drop_column("billing_customer", "erased_at")
