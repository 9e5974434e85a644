"""Customers are found by their e-mail."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The start alone: an e-mail of any length must fit into the index.
    start = sa.text("lower(substr(email, 1, 200))")
    op.create_index("ix_billing_customer_email", "billing_customer", [start], unique=False)


def downgrade() -> None:
    op.drop_index("ix_billing_customer_email", table_name="billing_customer")
