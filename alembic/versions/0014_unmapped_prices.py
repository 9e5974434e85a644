"""Prices that the catalogue does not list are found by an index of their own."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

INDEX = "ix_billing_price_unmapped_at"


def upgrade() -> None:
    where = sa.text("unmapped_at IS NOT NULL")
    op.create_index(INDEX, "billing_price", ["id"], postgresql_where=where, sqlite_where=where)


def downgrade() -> None:
    op.drop_index(INDEX, table_name="billing_price")
