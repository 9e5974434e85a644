"""What usage periods need to know, and the usage of those that are closed.

A trigger keeps a closed period's usage in the statement that opens the next one, whichever code wrote that:
a process of the version before included.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

ID_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
JSON = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")

CONFLICT = (
    "ON CONFLICT (user_id, feature, period_start) DO UPDATE SET "
    "period_end = excluded.period_end, used = excluded.used, included = excluded.included"
)
CLOSED = "NEW.period_start > OLD.period_start AND OLD.used > 0"
COLUMNS = "user_id, feature, period_start, period_end, used, included"
VALUES = "OLD.user_id, OLD.feature, OLD.period_start, OLD.period_end, OLD.used, OLD.included"
INSERT = f"INSERT INTO billing_usage_period ({COLUMNS}) VALUES ({VALUES}) {CONFLICT};"  # noqa: S608


def upgrade() -> None:
    op.add_column("billing_subscription", sa.Column("billing_cycle_anchor", sa.BigInteger()))
    op.add_column("billing_subscription", sa.Column("period_changes", JSON))
    op.add_column("billing_usage", sa.Column("included", sa.BigInteger()))
    op.add_column("billing_usage", sa.Column("over_since", sa.BigInteger()))
    op.create_table(
        "billing_usage_period",
        sa.Column("user_id", ID_TEXT, nullable=False),
        sa.Column("feature", ID_TEXT, nullable=False),
        sa.Column("period_start", sa.BigInteger(), nullable=False),
        sa.Column("period_end", sa.BigInteger(), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.Column("included", sa.BigInteger()),
        sa.PrimaryKeyConstraint("user_id", "feature", "period_start", name=op.f("pk_billing_usage_period")),
    )
    op.create_index(op.f("ix_billing_usage_period_period_end"), "billing_usage_period", ["period_end"])
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION billing_keep_usage_period() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN {INSERT} RETURN NULL; END $$"
        )
        op.execute(
            "CREATE TRIGGER billing_usage_period_closed AFTER UPDATE ON billing_usage FOR EACH ROW "
            f"WHEN ({CLOSED}) EXECUTE FUNCTION billing_keep_usage_period()"
        )
    else:
        op.execute(
            "CREATE TRIGGER billing_usage_period_closed AFTER UPDATE ON billing_usage FOR EACH ROW "
            f"WHEN {CLOSED} BEGIN {INSERT} END"
        )


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP TRIGGER billing_usage_period_closed ON billing_usage")
        op.execute("DROP FUNCTION billing_keep_usage_period()")
    else:
        op.execute("DROP TRIGGER billing_usage_period_closed")
    op.drop_table("billing_usage_period")
    op.drop_column("billing_usage", "over_since")
    op.drop_column("billing_usage", "included")
    op.drop_column("billing_subscription", "period_changes")
    op.drop_column("billing_subscription", "billing_cycle_anchor")
