"""A subscription has a user of its own, and a customer the time of its deletion.

One customer may pay for several of the application's users. Only new columns, which may be null: a row
without `links` is taken to be of its customer's user.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

TABLE = "billing_subscription"
PARTIAL = {
    "ix_billing_subscription_unlinked": "user_id IS NULL AND links IS NOT NULL",
    "ix_billing_subscription_without_links": "links IS NULL",
}


def upgrade() -> None:
    id_text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.add_column(TABLE, sa.Column("user_id", id_text, nullable=True))
    op.add_column(TABLE, sa.Column("link_source", sa.Text(), nullable=True))
    json = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
    op.add_column(TABLE, sa.Column("links", json, nullable=True))
    op.add_column("billing_customer", sa.Column("deleted_at", sa.BigInteger(), nullable=True))
    op.add_column("billing_customer", sa.Column("details_from", json, nullable=True))
    op.create_index("ix_billing_subscription_user_id", TABLE, ["user_id"])
    for name, condition in PARTIAL.items():
        where = sa.text(condition)
        op.create_index(name, TABLE, ["customer_id"], postgresql_where=where, sqlite_where=where)


def downgrade() -> None:
    for column in ("details_from", "deleted_at"):
        op.drop_column("billing_customer", column)
    for name in PARTIAL:
        op.drop_index(name, TABLE)
    op.drop_index("ix_billing_subscription_user_id", TABLE)
    for column in ("links", "link_source", "user_id"):
        op.drop_column(TABLE, column)
