"""What prices cost and what products are called, as Stripe shows them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

ID = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
JSON = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    op.add_column("billing_price", sa.Column("shown", JSON, nullable=True))
    op.add_column("billing_price", sa.Column("lookup_key", sa.Text(), nullable=True))
    op.add_column("billing_price", sa.Column("shown_at", ID, nullable=True))
    op.create_index("ix_billing_price_product_id", "billing_price", ["product_id"])
    op.create_index("ix_billing_price_lookup_key", "billing_price", ["lookup_key"])
    op.create_table(
        "billing_product",
        sa.Column("id", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=True),
        sa.Column("shown_at", ID, nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_billing_product"),
    )


def downgrade() -> None:
    op.drop_table("billing_product")
    op.drop_index("ix_billing_price_lookup_key", table_name="billing_price")
    op.drop_index("ix_billing_price_product_id", table_name="billing_price")
    for column in ("shown_at", "lookup_key", "shown"):
        op.drop_column("billing_price", column)
