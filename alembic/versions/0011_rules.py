"""Records say by which rules they were written, and since when a payment is due.

Columns are only added: processes of the release before go on with this schema.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

RULED = ("billing_subscription", "billing_invoice", "billing_customer")
JSON = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
COLUMNS = (
    ("billing_subscription", "pause_cause", sa.Text()),
    ("billing_subscription", "past_due_since", sa.BigInteger()),
    ("billing_subscription", "running_at", sa.BigInteger()),
    ("billing_subscription", "due_at", JSON),
    ("billing_subscription", "first_payment_failed_at", sa.BigInteger()),
    ("billing_subscription", "ever_paid", sa.Boolean()),
    ("billing_invoice", "billing_reason", sa.Text()),
    ("billing_invoice", "due_date", sa.BigInteger()),
)


def upgrade() -> None:
    for table, name, kind in COLUMNS:
        op.add_column(table, sa.Column(name, kind, nullable=True))
    for table in RULED:
        op.add_column(table, sa.Column("rules_version", sa.Integer(), nullable=True))
        op.add_column(table, sa.Column("rules_row_version", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    for table in RULED:
        op.drop_column(table, "rules_row_version")
        op.drop_column(table, "rules_version")
    for table, name, _ in reversed(COLUMNS):
        op.drop_column(table, name)
