"""Prices and their lookup keys; what a subscription remembers of its items, paid lines and cut invoices."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

ID = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
JSON = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
REMEMBERED = ("item_history", "paid_lines", "cut_invoices")


def upgrade() -> None:
    op.create_table(
        "billing_price",
        sa.Column("id", ID, nullable=False),
        sa.Column("product_id", sa.Text(), nullable=True),
        sa.Column("lookup_keys", JSON, nullable=False),
        sa.Column("unmapped_at", sa.BigInteger(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_billing_price"),
    )
    for column in REMEMBERED:
        op.add_column("billing_subscription", sa.Column(column, JSON, nullable=True))


def downgrade() -> None:
    for column in REMEMBERED:
        op.drop_column("billing_subscription", column)
    op.drop_table("billing_price")
