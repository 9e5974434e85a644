"""Raw events are compressed with lz4 where PostgreSQL has it: its older way halves the webhook's rate."""

from alembic import op
from sqlalchemy import text

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def _set_compression(method: str) -> None:
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return
    # Since PostgreSQL 14, and only where it was built with it.
    methods = connection.scalar(
        text("SELECT enumvals FROM pg_settings WHERE name = 'default_toast_compression'")
    )
    if method in (methods or ()):
        op.execute(f"ALTER TABLE billing_event ALTER COLUMN body SET COMPRESSION {method}")


def upgrade() -> None:
    _set_compression("lz4")


def downgrade() -> None:
    _set_compression("pglz")
