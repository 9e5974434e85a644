"""An invoice says that it is to be fetched again, after a payment or a credit note that names it alone."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

NAME = "ix_billing_invoice_needs_refresh"


def upgrade() -> None:
    op.add_column(
        "billing_invoice", sa.Column("needs_refresh", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    marked = sa.text("needs_refresh")
    op.create_index(NAME, "billing_invoice", ["id"], postgresql_where=marked, sqlite_where=marked)


def downgrade() -> None:
    op.drop_index(NAME, "billing_invoice")
    op.drop_column("billing_invoice", "needs_refresh")
