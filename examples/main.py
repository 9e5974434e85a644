"""The example as a process: `uvicorn examples.main:app`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from sqlmodel import SQLModel

from app.main import install

from . import billing_page, projects, uploads


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Make the example's own tables; your application has migrations for its own."""
    async with service.database.engine.begin() as connection:
        await connection.run_sync(SQLModel.metadata.create_all)
    yield


app = FastAPI(title="Projects and files", lifespan=lifespan)
service = install(app)
app.include_router(projects.router)
app.include_router(uploads.router)
app.include_router(billing_page.router)
