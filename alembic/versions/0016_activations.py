"""A subscription keeps an activation that waits for its user, and since when its invoices say it is due.

Only new columns, which may be null, and indexes of the few rows that the periodic alerts look for.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

TABLE = "billing_subscription"
PARTIAL = {
    "ix_billing_subscription_activation": "activation IS NOT NULL",
    "ix_billing_subscription_unpaid": "status = 'unpaid'",
    "ix_billing_subscription_first_payment_failed": "first_payment_failed_at IS NOT NULL",
}


def upgrade() -> None:
    json = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
    op.add_column(TABLE, sa.Column("activation", json, nullable=True))
    op.add_column(TABLE, sa.Column("due_invoices", json, nullable=True))
    for name, condition in PARTIAL.items():
        where = sa.text(condition)
        op.create_index(name, TABLE, ["id"], postgresql_where=where, sqlite_where=where)


def downgrade() -> None:
    for name in PARTIAL:
        op.drop_index(name, TABLE)
    for column in ("due_invoices", "activation"):
        op.drop_column(TABLE, column)
