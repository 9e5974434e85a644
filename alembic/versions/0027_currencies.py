"""What a price costs in other currencies than its own, and which statement of Stripe's says so."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

ID_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
JSON = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    op.add_column("billing_price", sa.Column("currencies", JSON, nullable=True))
    op.add_column("billing_price", sa.Column("currencies_at", ID_TEXT, nullable=True))


def downgrade() -> None:
    op.drop_column("billing_price", "currencies_at")
    op.drop_column("billing_price", "currencies")
