"""A small application: projects and files, limited by plan. Its tables live in the service's database.

Each change is guarded in the same transaction as its own insert: one commit for both, one rollback for both.
"""

import asyncio
import os
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, HTTPException
from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import Field, SQLModel, col, func, select

from app import limits
from app.service import Running


class Project(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    owner: str = Field(index=True)
    name: str


class StoredFile(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    owner: str = Field(index=True)
    name: str
    size: int
    path: str | None = None


async def current_user(x_user: Annotated[str | None, Header()] = None) -> str:
    """Whoever is logged in. A header, or EXAMPLE_USER for a browser, stands for your own log-in here."""
    user = x_user or os.environ.get("EXAMPLE_USER")
    if not user:
        raise HTTPException(401, "Send the header X-User, or set EXAMPLE_USER to try the pages in a browser.")
    return user


User = Annotated[str, Depends(current_user)]
router = APIRouter()


@router.post("/projects", status_code=201)
async def create_project(name: str, user: User, service: Running) -> dict[str, Any]:
    async with service.database.session() as session:
        project = Project(owner=user, name=name)
        session.add(project)
        decision = await limits.consume(session, user, "projects")
        await session.flush()
        return {"id": project.id, "left": decision.remaining}


@router.delete("/projects/{project_id}", status_code=204)
async def delete_project(project_id: int, user: User, service: Running) -> None:
    async with service.database.session() as session:
        # The proof of deletion: of several requests that delete one row, one gets it back.
        gone = delete(Project).where(col(Project.id) == project_id, col(Project.owner) == user)
        deleted = await (await session.connection()).execute(gone.returning(col(Project.id)))
        if deleted.first() is not None:
            await limits.release(session, user, "projects")


@router.get("/projects")
async def list_projects(user: User, service: Running) -> dict[str, Any]:
    async with service.database.reading() as session:
        projects = list(await session.exec(select(Project).where(Project.owner == user)))
    entitlements = await limits.load(user)
    may_create = entitlements.check("projects", used=len(projects))
    return {"names": [project.name for project in projects], "may_create": may_create.allowed}


@router.post("/files", status_code=201)
async def upload_file(name: str, size: int, user: User, service: Running) -> dict[str, Any]:
    async with service.database.session() as session:
        file = StoredFile(owner=user, name=name, size=size)
        session.add(file)
        await limits.consume(session, user, "storage_bytes", size)
        await session.flush()
        return {"id": file.id}


@router.delete("/files/{file_id}", status_code=204)
async def delete_file(file_id: int, user: User, service: Running) -> None:
    async with service.database.session() as session:
        gone = delete(StoredFile).where(col(StoredFile.id) == file_id, col(StoredFile.owner) == user)
        returned = gone.returning(col(StoredFile.size), col(StoredFile.path))
        row = (await (await session.connection()).execute(returned)).first()
        if row is not None and row.size > 0:
            await limits.release(session, user, "storage_bytes", row.size)
    if row is not None and row.path is not None:
        await asyncio.to_thread(Path(row.path).unlink, missing_ok=True)


@router.get("/sign-in/sso")
async def sso(
    entitlements: Annotated[limits.Entitlements, Depends(limits.require("sso", user=current_user))],
) -> dict[str, Any]:
    """Only for users whose plan includes it; others get 403 with the plans that would."""
    return {"plan": entitlements.plan}


async def count_projects(session: AsyncSession) -> dict[str, int]:
    """What `limits.reconcile` compares with."""
    connection = await session.connection()
    query = select(col(Project.owner), func.count()).group_by(col(Project.owner))
    return {row[0]: row[1] for row in await connection.execute(query)}
