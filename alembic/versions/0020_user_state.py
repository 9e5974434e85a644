"""When a user's state is next compared with what was last announced of it, and what that was.

`state_due_at` 0 is due first, as every change writes it. 1 is due too: so begin the rows that there are, and
those of a process of the release before. It is indexed. Where nobody listens it stays as it is, so that a
change of a user touches no index.
"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name, first in (("state_due_at", "1"), ("state_version", "0")):
        column = sa.Column(name, sa.BigInteger(), nullable=False, server_default=first)
        op.add_column("billing_user", column)
    op.add_column("billing_user", sa.Column("state_digest", sa.Text(), nullable=True))
    op.create_index(op.f("ix_billing_user_state_due_at"), "billing_user", ["state_due_at"])


def downgrade() -> None:
    op.drop_index(op.f("ix_billing_user_state_due_at"), table_name="billing_user")
    for name in ("state_digest", "state_version", "state_due_at"):
        op.drop_column("billing_user", name)
