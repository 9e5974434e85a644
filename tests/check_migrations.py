"""`alembic check` against a fresh database: the migrations must lead to the models."""

import sys
import tempfile
import warnings
from pathlib import Path

from alembic import command
from alembic.util import CommandError

from app.db.migrations import alembic_config, migrate


def main() -> int:
    # SQLAlchemy cannot read an index of an expression back from SQLite; the suite compares on PostgreSQL.
    warnings.filterwarnings("ignore", message=".*expression-based index")
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'check.db'}"
        migrate(url)
        try:
            command.check(alembic_config(url))
        except CommandError as error:
            sys.stderr.write(f"{error}\nRun: make migration m='…'\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
