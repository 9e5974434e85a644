"""An invoice knows its payment, so that a dispute about that names who paid."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

ID_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
NAME = "ix_billing_invoice_payment_id"


def upgrade() -> None:
    op.add_column("billing_invoice", sa.Column("payment_id", ID_TEXT))
    known = sa.text("payment_id IS NOT NULL")
    op.create_index(NAME, "billing_invoice", ["payment_id"], postgresql_where=known, sqlite_where=known)


def downgrade() -> None:
    op.drop_index(NAME, "billing_invoice")
    op.drop_column("billing_invoice", "payment_id")
