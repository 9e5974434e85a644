"""An application with synchronous SQLModel sessions, as FastAPI's own project template has them.

`uvicorn examples.sync_app:app`. The service runs in the same process. The limit is checked inside the
application's own transaction, in the thread that FastAPI runs a `def` route in.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException
from sqlmodel import Session, SQLModel, col, create_engine, delete, select

from app import limits
from app.main import install

from .projects import Project, User


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Make the example's own tables; your application has migrations for its own."""
    await asyncio.to_thread(SQLModel.metadata.create_all, engine)
    yield


app = FastAPI(title="Projects, with synchronous sessions", lifespan=lifespan)
service = install(app)


def sync_address(url: str) -> str:
    """The service's database for a synchronous driver: psycopg or sqlite3."""
    return url.replace("postgresql://", "postgresql+psycopg://", 1)


url = sync_address(service.settings.database_url)
# One process writes to a SQLite file at a time: wait for it.
engine = create_engine(url, connect_args={"timeout": 30} if url.startswith("sqlite") else {})


def get_session() -> Iterator[Session]:
    with Session(engine) as session:
        yield session


Database = Annotated[Session, Depends(get_session)]


@app.post("/projects", status_code=201)
def create_project(name: str, user: User, session: Database) -> dict[str, Any]:
    project = Project(owner=user, name=name)
    session.add(project)
    decision = limits.consume(session, user, "projects")  # denied: 403 with the reason, and no project
    session.commit()
    return {"id": project.id, "left": decision.remaining}


@app.delete("/projects/{project_id}", status_code=204)
def delete_project(project_id: int, user: User, session: Database) -> None:
    gone = delete(Project).where(col(Project.id) == project_id, col(Project.owner) == user)
    if session.connection().execute(gone.returning(col(Project.id))).first() is None:
        raise HTTPException(404, "You have no such project.")
    limits.release(session, user, "projects")
    session.commit()


@app.get("/projects")
def list_projects(user: User, session: Database) -> dict[str, Any]:
    names = list(session.exec(select(Project.name).where(Project.owner == user)))
    may_create = limits.load(user, session).check("projects").allowed
    return {"names": names, "may_create": may_create}
