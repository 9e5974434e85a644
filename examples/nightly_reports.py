"""A cron job without an event loop: a report on each project, which counts as one API call of its owner.

Run it once a day, in a process of its own: `python -m examples.nightly_reports`. It needs no service, only
the service's database (`DATABASE_URL`) and catalogue (`PLANS_FILE`). Run twice on one day, it counts once.
"""

import os
import sys
from datetime import UTC, datetime

from sqlmodel import Session, SQLModel, create_engine, select

from app import limits

from .projects import Project


def main() -> None:
    url = os.environ.get("DATABASE_URL", "sqlite:///var/app.db").replace(
        "postgresql://", "postgresql+psycopg://", 1
    )
    engine = create_engine(url, connect_args={"timeout": 30} if url.startswith("sqlite") else {})
    SQLModel.metadata.create_all(engine)  # your application has migrations for its own tables
    limits.use_catalogue()  # once at the start; reads PLANS_FILE
    with Session(engine) as session:
        for project in session.exec(select(Project).order_by("id")).all():
            report(session, project)


def report(session: Session, project: Project) -> None:
    """One report in one transaction: the row that it would write and its use are kept or lost together."""
    key = f"report:{project.id}:{datetime.now(UTC):%Y-%m-%d}"
    try:
        decision = limits.consume(session, project.owner, "api_calls", key=key)
    except limits.DeniedByDecision as denied:
        session.rollback()
        print(f"{project.name}: not reported. {denied}", file=sys.stderr)  # noqa: T201
        return
    print(f"{project.name}: reported, {decision.remaining} left for {project.owner}")  # noqa: T201
    session.commit()


if __name__ == "__main__":
    main()
