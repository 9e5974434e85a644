"""What records were before each change, the catalogues in force, and when events were first processed.

Triggers keep the state before a change in the statement that makes it, whichever code wrote that: a process
of the version before included. On PostgreSQL they run once for each statement, which costs a batch of many
records hardly more than one. `recorded_at` says since when a record is there; a trigger fills it in for a
process of the version before, and rows from before this migration have none.
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
            "recorded_at",
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
        ("id", "user_id", "link_source", "deleted", "deleted_at", "snapshot_created", "recorded_at"), PLAIN
    ),
    **dict.fromkeys(("version", "updated_at"), PLAIN),
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
        "recorded_at",
        "version",
        "updated_at",
    ),
    PLAIN,
)
PRICE = {
    **dict.fromkeys(("id", "product_id", "recorded_at", "version", "updated_at"), PLAIN),
    "lookup_keys": AS_JSON,
}
PURCHASE = {
    **dict.fromkeys(
        ("id", "session_id", "customer_id", "user_id", "offer", "quantity", "paid_at", "amount", "currency"),
        PLAIN,
    ),
    **dict.fromkeys(("gives", "refunds", "disputes"), AS_JSON),
    **dict.fromkeys(("recorded_at", "version", "updated_at"), PLAIN),
}
COUNTED_UP = "old.version <> new.version"
LEARNED = (
    f"{COUNTED_UP} OR old.lookup_keys IS DISTINCT FROM new.lookup_keys "
    "OR old.product_id IS DISTINCT FROM new.product_id"
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
    postgresql = op.get_bind().dialect.name == "postgresql"
    for kind, columns, owner, changed in KINDS:
        op.add_column(f"billing_{kind}", sa.Column("recorded_at", sa.BigInteger(), nullable=True))
        if postgresql:
            _on_postgresql(kind, columns, owner, changed)
        else:
            _on_sqlite(kind, columns, owner, changed)


def _kept(kind: str, owner: str | None, record: str) -> str:
    """What becomes a row of the history, of the row before (`old`) and after the change (`new`)."""
    former = "NULL"
    if owner is not None:
        former = f"CASE WHEN old.{owner} IS DISTINCT FROM new.{owner} THEN old.{owner} END"
    return f"'{kind}', old.id, old.version, {former}, new.updated_at, {record}"


def _on_postgresql(kind: str, columns: dict[str, str], owner: str | None, changed: str) -> None:
    pairs = ", ".join(f"'{name}', old.{name}" for name in columns)
    kept = _kept(kind, owner, f"jsonb_build_object({pairs})")
    # Not `old` and `new`: those are names of PL/pgSQL's own.
    kept, changed = (text.replace("old.", "was.").replace("new.", "is_now.") for text in (kept, changed))
    _function(
        f"billing_{kind}_history",
        f"INSERT INTO {TARGET} SELECT {kept} FROM rows_before AS was "  # noqa: S608
        f"JOIN rows_after AS is_now ON is_now.id = was.id WHERE {changed} {ONCE}; RETURN NULL;",
    )
    op.execute(
        f"CREATE TRIGGER billing_{kind}_history AFTER UPDATE ON billing_{kind} REFERENCING "
        f"OLD TABLE AS rows_before NEW TABLE AS rows_after FOR EACH STATEMENT "
        f"EXECUTE FUNCTION billing_{kind}_history()"
    )
    _function(f"billing_{kind}_recorded", "NEW.recorded_at := NEW.updated_at; RETURN NEW;")
    op.execute(
        f"CREATE TRIGGER billing_{kind}_recorded BEFORE INSERT ON billing_{kind} FOR EACH ROW "
        f"WHEN (NEW.recorded_at IS NULL) EXECUTE FUNCTION billing_{kind}_recorded()"
    )


def _function(name: str, body: str) -> None:
    op.execute(f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$")


def _on_sqlite(kind: str, columns: dict[str, str], owner: str | None, changed: str) -> None:
    pairs = ", ".join(
        f"'{name}', json(old.{name})" if how == AS_JSON else f"'{name}', old.{name}"
        for name, how in columns.items()
    )
    kept = _kept(kind, owner, f"json_object({pairs})")
    kept, changed = (text.replace("IS DISTINCT FROM", "IS NOT") for text in (kept, changed))
    keep = f"INSERT INTO {TARGET} VALUES ({kept}) {ONCE};"  # noqa: S608
    op.execute(
        f"CREATE TRIGGER billing_{kind}_history AFTER UPDATE ON billing_{kind} FOR EACH ROW "
        f"WHEN {changed} BEGIN {keep} END"
    )
    fill_in = f"UPDATE billing_{kind} SET recorded_at = new.updated_at WHERE id = new.id;"  # noqa: S608
    op.execute(
        f"CREATE TRIGGER billing_{kind}_recorded AFTER INSERT ON billing_{kind} FOR EACH ROW "
        f"WHEN new.recorded_at IS NULL BEGIN {fill_in} END"
    )


def downgrade() -> None:
    postgresql = op.get_bind().dialect.name == "postgresql"
    for kind, *_ in KINDS:
        for name in (f"billing_{kind}_history", f"billing_{kind}_recorded"):
            op.execute(f"DROP TRIGGER {name}" + (f" ON billing_{kind}" if postgresql else ""))
            if postgresql:
                op.execute(f"DROP FUNCTION {name}()")
        op.drop_column(f"billing_{kind}", "recorded_at")
    op.drop_table("billing_catalogue")
    op.drop_table("billing_record_history")
    op.drop_column("billing_event", "first_processed_at")
