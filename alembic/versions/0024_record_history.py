"""What records were before each change, the catalogues in force, and when events were first processed.

Triggers keep the state before a change in the statement that makes it, whichever code wrote that: a process
of the version before included.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

ID_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
JSON = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")

PLAIN, AS_JSON = "plain", "json"
SUBSCRIPTION = {
    **dict.fromkeys(
        (
            "id",
            "customer_id",
            "user_id",
            "link_source",
            "status",
            "plan_id",
            "quantity",
            "start_date",
            "expiry_date",
            "paid_through",
            "current_period_start",
            "current_period_end",
            "billing_cycle_anchor",
            "trial_end",
            "cancel_at",
            "cancel_at_period_end",
            "pause_cause",
            "past_due_since",
            "first_payment_failed_at",
            "ever_paid",
            "rules_version",
            "rules_row_version",
            "version",
            "snapshot_rank",
            "snapshot_created",
            "snapshot_event_id",
            "updated_at",
        ),
        PLAIN,
    ),
    **dict.fromkeys(
        ("links", "items", "item_history", "paid_lines", "period_changes", "pause_collection", "overlay"),
        AS_JSON,
    ),
}
CUSTOMER = {
    **dict.fromkeys(
        ("id", "user_id", "link_source", "deleted", "deleted_at", "snapshot_created", "version"), PLAIN
    ),
    "updated_at": PLAIN,
    "links": AS_JSON,
}
INVOICE = dict.fromkeys(
    (
        "id",
        "subscription_id",
        "status",
        "attempt_count",
        "amount_remaining",
        "created",
        "version",
        "updated_at",
    ),
    PLAIN,
)
PRICE = {**dict.fromkeys(("id", "product_id", "version", "updated_at"), PLAIN), "lookup_keys": AS_JSON}
PURCHASE = {
    **dict.fromkeys(
        ("id", "session_id", "customer_id", "user_id", "offer", "quantity", "paid_at", "amount", "currency"),
        PLAIN,
    ),
    **dict.fromkeys(("gives", "refunds", "disputes"), AS_JSON),
    **dict.fromkeys(("version", "updated_at"), PLAIN),
}
COUNTED_UP = "OLD.version <> NEW.version"
LEARNED = (
    f"{COUNTED_UP} OR OLD.lookup_keys IS DISTINCT FROM NEW.lookup_keys "
    "OR OLD.product_id IS DISTINCT FROM NEW.product_id"
)
KINDS = (
    ("subscription", SUBSCRIPTION, "user_id", COUNTED_UP),
    ("customer", CUSTOMER, "user_id", COUNTED_UP),
    ("invoice", INVOICE, "subscription_id", COUNTED_UP),
    ("price", PRICE, None, LEARNED),
    ("purchase", PURCHASE, "user_id", COUNTED_UP),
)
"""Each kind of record: what is kept of it, whose it is, and when it has changed."""
TARGET = "billing_record_history (kind, record_id, version, former_owner, valid_until, record)"
ONCE = "ON CONFLICT DO NOTHING"


def upgrade() -> None:
    op.add_column("billing_event", sa.Column("first_processed_at", sa.BigInteger(), nullable=True))
    op.create_table(
        "billing_record_history",
        sa.Column("record_id", ID_TEXT, nullable=False),
        sa.Column("valid_until", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("former_owner", ID_TEXT, nullable=True),
        sa.Column("record", JSON, nullable=True),
        sa.PrimaryKeyConstraint(
            "record_id", "valid_until", "version", "kind", name=op.f("pk_billing_record_history")
        ),
    )
    op.create_index("ix_billing_record_history_valid_until", "billing_record_history", ["valid_until"])
    op.create_index(
        "ix_billing_record_history_former_owner",
        "billing_record_history",
        ["former_owner"],
        postgresql_where=sa.text("former_owner IS NOT NULL"),
        sqlite_where=sa.text("former_owner IS NOT NULL"),
    )
    op.create_table(
        "billing_catalogue",
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("hash", ID_TEXT, nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("since", "hash", name=op.f("pk_billing_catalogue")),
    )
    for kind, columns, owner, changed in KINDS:
        _create_triggers(kind, columns, owner, changed)


def _create_triggers(kind: str, columns: dict[str, str], owner: str | None, changed: str) -> None:
    postgresql = op.get_bind().dialect.name == "postgresql"
    former = "NULL"
    if owner is not None:
        former = f"CASE WHEN OLD.{owner} IS DISTINCT FROM NEW.{owner} THEN OLD.{owner} END"
    values = f"'{kind}', OLD.id, OLD.version, {former}, NEW.updated_at, {{}}"
    kept = f"INSERT INTO {TARGET} VALUES ({values}) {ONCE};"  # noqa: S608
    absent = f"INSERT INTO {TARGET} VALUES ('{kind}', NEW.id, -1, NULL, NEW.updated_at, NULL) {ONCE};"  # noqa: S608
    if postgresql:
        pairs = ", ".join(f"'{name}', OLD.{name}" for name in columns)
        _postgresql(kind, "update", kept.format(f"jsonb_build_object({pairs})"), changed)
        _postgresql(kind, "insert", absent, None)
    else:
        pairs = ", ".join(
            f"'{name}', json(OLD.{name})" if how == AS_JSON else f"'{name}', OLD.{name}"
            for name, how in columns.items()
        )
        _sqlite(kind, "update", kept.format(f"json_object({pairs})"), changed)
        _sqlite(kind, "insert", absent, None)


def _postgresql(kind: str, verb: str, statement: str, condition: str | None) -> None:
    name = f"billing_{kind}_history_{verb}"
    op.execute(
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN {statement} RETURN NULL; END $$"
    )
    when = f"WHEN ({condition}) " if condition else ""
    op.execute(
        f"CREATE TRIGGER {name} AFTER {verb.upper()} ON billing_{kind} FOR EACH ROW {when}"
        f"EXECUTE FUNCTION {name}()"
    )


def _sqlite(kind: str, verb: str, statement: str, condition: str | None) -> None:
    statement = statement.replace("IS DISTINCT FROM", "IS NOT")
    when = f"WHEN {condition.replace('IS DISTINCT FROM', 'IS NOT')} " if condition else ""
    op.execute(
        f"CREATE TRIGGER billing_{kind}_history_{verb} AFTER {verb.upper()} ON billing_{kind} FOR EACH ROW "
        f"{when}BEGIN {statement} END"
    )


def downgrade() -> None:
    postgresql = op.get_bind().dialect.name == "postgresql"
    for kind, *_ in KINDS:
        for verb in ("update", "insert"):
            name = f"billing_{kind}_history_{verb}"
            op.execute(f"DROP TRIGGER {name}" + (f" ON billing_{kind}" if postgresql else ""))
            if postgresql:
                op.execute(f"DROP FUNCTION {name}()")
    op.drop_table("billing_catalogue")
    op.drop_table("billing_record_history")
    op.drop_column("billing_event", "first_processed_at")
